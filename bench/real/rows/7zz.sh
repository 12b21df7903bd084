# 7-Zip's own benchmark, once, with its smallest dictionary and one thread. How much it does is fixed, and it verifies
# what it decompresses.
prepare() { :; }
run() { 7zz b 1 -mmt1 -md18 >report; }
check() { grep -q '^Tot:' report; }
"$1"
