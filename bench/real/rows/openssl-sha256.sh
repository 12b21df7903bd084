# OpenSSL's own benchmark, which works for some seconds and says how much it did.
prepare() { test "$(printf abc | openssl dgst -sha256 -r)" = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad *stdin'; }
run() { openssl speed -seconds 8 -bytes 16384 sha256 >report 2>&1; }
check() {
  blocks=$(sed -n 's/^Doing .* on 16384 size blocks: \([0-9]*\) .*/\1/p' report)
  echo "work=$((blocks * 16384))"
  test "$blocks" -gt 0
}
"$1"
