# gzip of 100 MB: a hundred times the same megabyte, which is far more than gzip looks back.
prepare() {
  python3 /bench/rows/text.py >megabyte
  for ten in 0 1 2 3 4 5 6 7 8 9; do
    cat megabyte megabyte megabyte megabyte megabyte megabyte megabyte megabyte megabyte megabyte
  done >text
}
run() { gzip -k text; }
check() {
  gzip -dc text.gz | sha256sum | cut -c1-16 | grep -x 552b103232e156cc
}
"$1"
