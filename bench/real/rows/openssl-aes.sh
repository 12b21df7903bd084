# As openssl-sha256, with AES. The vector is the first of SP 800-38A, F.2.1.
prepare() {
  key=2b7e151628aed2a6abf7158809cf4f3c iv=000102030405060708090a0b0c0d0e0f
  printf '\153\301\276\342\056\100\237\226\351\075\176\021\163\223\027\052' >plain
  openssl enc -aes-128-cbc -nopad -K $key -iv $iv <plain >cipher
  test "$(od -An -tx1 cipher)" = ' 76 49 ab ac 81 19 b2 46 ce e9 8e 9b 12 e9 19 7d'
}
run() { openssl speed -seconds 8 -bytes 16384 aes-128-cbc >report 2>&1; }
check() {
  blocks=$(sed -n 's/^Doing .* on 16384 size blocks: \([0-9]*\) .*/\1/p' report)
  echo "work=$((blocks * 16384))"
  test "$blocks" -gt 0
}
"$1"
