# GCC compiles a library of 5 500 lines that decodes Ogg Vorbis. The file is called a header; it is C.
prepare() { :; }
run() { gcc -O2 -c -x c /usr/include/stb/stb_vorbis.h -o vorbis.o; }
check() {
  nm vorbis.o | grep -q ' T stb_vorbis_decode_memory$' || return 1
  sha256sum vorbis.o | cut -c1-16
}
"$1"
