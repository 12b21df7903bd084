# A loop of plain Python. What every start of Python imports is compiled before.
prepare() { python3 -c pass; }
run() { python3 /bench/rows/loop.py >result; }
check() { test "$(cat result)" = "352 [('eit', 565), ('iti', 542), ('eoe', 539)] 9914236195"; }
"$1"
