# Python's start and end, with its modules compiled before.
prepare() { python3 -c pass; }
run() {
  for time in 1 2 3 4 5 6 7 8 9 10; do
    python3 -c pass || return 1
  done
}
check() { test "$(python3 -c 'print(6 * 7)')" = 42; }
"$1"
