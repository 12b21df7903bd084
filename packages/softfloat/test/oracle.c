/*
 * The host's x86-64 SSE unit as an oracle. Reads batches from standard input and answers on standard output:
 *   batch:  u32 operation, u32 rounding mode (RISC-V encoding 0-3), u32 count, u32 zero, count x { u64 a, b, c }
 *   answer: count x { u64 result, u64 flags }, flags in RISC-V order
 * Results that are NaNs are made canonical, and what x86 lacks (limits of conversions, minimum, maximum, classes)
 * is made of its parts as RISC-V has it. Operations 0-31 are binary64, 32-63 binary32.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADD, SUB, MUL, DIV, SQRT, FMA, EQ, LT, LE, MIN, MAX, CLASSIFY, TO_I32, TO_U32, TO_I64, TO_U64,
       FROM_I32, FROM_U32, FROM_I64, FROM_U64, CONVERT };
enum { NX = 1, UF = 2, OF = 4, DZ = 8, NV = 16 };

static uint32_t control, status;

/* MXCSR: flags IE 1, DE 2, ZE 4, OE 8, UE 16, PE 32; masks from bit 7; rounding at bit 13. */
static void begin(uint32_t rm) {
  static const uint32_t mode[4] = { 0, 3, 1, 2 };
  control = 0x1f80 | mode[rm & 3] << 13;
}

static uint64_t flags_of(void) {
  return (status & 32 ? NX : 0) | (status & 16 ? UF : 0) | (status & 8 ? OF : 0) | (status & 4 ? DZ : 0) | (status & 1 ? NV : 0);
}

static const uint32_t plain = 0x1f80;
#define IN "ldmxcsr %[cw]\n\t"
#define OUT "\n\tstmxcsr %[sw]\n\tldmxcsr %[pl]"
#define BINARY(name, type, instruction) \
  static type name(type a, type b) { \
    __asm__ volatile(IN instruction " %[b], %[a]" OUT : [a] "+x"(a), [sw] "=m"(status) : [b] "x"(b), [cw] "m"(control), [pl] "m"(plain)); \
    return a; \
  }
#define CONVERT_TO(name, from, fc, to, tc, instruction) \
  static to name(from a) { \
    to r; \
    __asm__ volatile(IN instruction " %[a], %[r]" OUT : [r] "=" tc(r), [sw] "=m"(status) : [a] fc(a), [cw] "m"(control), [pl] "m"(plain)); \
    return r; \
  }
#define COMPARE(name, type, instruction) \
  static int name(type a, type b) { /* carry | zero << 1 | parity << 2 */ \
    uint8_t c, z, p; \
    __asm__ volatile(IN instruction " %[b], %[a]\n\tsetc %[c]\n\tsetz %[z]\n\tsetp %[p]" OUT \
      : [c] "=&q"(c), [z] "=&q"(z), [p] "=&q"(p), [sw] "=m"(status) : [a] "x"(a), [b] "x"(b), [cw] "m"(control), [pl] "m"(plain)); \
    return c | z << 1 | p << 2; \
  }
#define FUSED(name, type, instruction) \
  static type name(type a, type b, type c) { \
    __asm__ volatile(IN instruction " %[c], %[b], %[a]" OUT \
      : [a] "+x"(a), [sw] "=m"(status) : [b] "x"(b), [c] "x"(c), [cw] "m"(control), [pl] "m"(plain)); \
    return a; \
  }

#define ONE_FORMAT(T, U, S, W, UINF, UQUIET, P, OTHER, OTHERS) \
  BINARY(add##W, T, "add" S) BINARY(sub##W, T, "sub" S) BINARY(mul##W, T, "mul" S) BINARY(div##W, T, "div" S) \
  CONVERT_TO(sqrt##W, T, "x", T, "x", "sqrt" S) \
  COMPARE(ucomi##W, T, "ucomi" S) COMPARE(comi##W, T, "comi" S) \
  FUSED(fma##W, T, "vfmadd213" S) \
  CONVERT_TO(cvt##W, T, "x", OTHER, "x", "cvt" S "2" OTHERS) \
  CONVERT_TO(toi##W, T, "x", int64_t, "r", "cvt" S "2siq") \
  CONVERT_TO(fromi##W, int64_t, "r", T, "x", "cvtsi2" S "q") \
  static int nan##W(U x) { return (U)(x << 1) > (U)(UINF << 1); } \
  static int snan##W(U x) { return nan##W(x) && !(x & UQUIET); } \
  static U bits##W(T v) { U u; memcpy(&u, &v, sizeof u); return nan##W(u) ? UINF | UQUIET : u; } \
  static uint64_t limited##W(T v, U a, int64_t low, uint64_t high, T above, int is_signed) { \
    if (v != v) { status |= 1; return high; } \
    /* Split at 2^63, which the unsigned range straddles; both parts are exact. */ \
    T top = 9223372036854775808.0; \
    int64_t i; \
    uint64_t r; \
    if (!is_signed && v >= top && v < above) { i = toi##W(v - top); r = (uint64_t)i + (1ull << 63); return r; } \
    if (v >= top || v < -top) { status = 1; return v < 0 ? (uint64_t)low : high; } \
    i = toi##W(v); \
    r = (uint64_t)i; \
    if (i < low) { status = 1; return (uint64_t)low; } \
    if (i > 0 && (is_signed ? i > (int64_t)high : r > high)) { status = 1; return high; } \
    (void)a; \
    return r; \
  } \
  static uint64_t run##W(uint32_t operation, uint64_t wa, uint64_t wb, uint64_t wc) { \
    U ua = (U)wa, ub = (U)wb, uc = (U)wc; \
    T a, b, c; \
    memcpy(&a, &ua, sizeof a); memcpy(&b, &ub, sizeof b); memcpy(&c, &uc, sizeof c); \
    status = 0; \
    switch (operation) { \
      case ADD: return bits##W(add##W(a, b)); \
      case SUB: return bits##W(sub##W(a, b)); \
      case MUL: return bits##W(mul##W(a, b)); \
      case DIV: return bits##W(div##W(a, b)); \
      case SQRT: return bits##W(sqrt##W(a)); \
      case FMA: { \
        U r = bits##W(fma##W(a, b, c)); \
        /* RISC-V: infinity times zero is invalid whatever is added. */ \
        U ma = ua << 1, mb = ub << 1, inf = UINF << 1; \
        if ((ma == 0 && mb == inf) || (ma == inf && mb == 0)) status |= 1; \
        return r; \
      } \
      case EQ: return ucomi##W(a, b) == 2; \
      case LT: return comi##W(a, b) == 1; \
      case LE: { int r = comi##W(a, b); return r == 1 || r == 2; } \
      case MIN: case MAX: { \
        if (snan##W(ua) || snan##W(ub)) status |= 1; \
        if (nan##W(ua) && nan##W(ub)) return UINF | UQUIET; \
        if (nan##W(ua)) return ub; \
        if (nan##W(ub)) return ua; \
        uint32_t kept = status; \
        int order = ucomi##W(a, b); \
        status = kept; \
        int first = order == 2 ? (ua >> (sizeof(U) * 8 - 1)) > (ub >> (sizeof(U) * 8 - 1)) : order == 1; \
        return (operation == MIN) == first ? ua : ub; \
      } \
      case CLASSIFY: { \
        int negative = ua >> (sizeof(U) * 8 - 1); \
        U m = ua & ~((U)1 << (sizeof(U) * 8 - 1)); \
        if (nan##W(ua)) return snan##W(ua) ? 1 << 8 : 1 << 9; \
        if (m == UINF) return negative ? 1 : 1 << 7; \
        if (m == 0) return negative ? 1 << 3 : 1 << 4; \
        if (m >> (P - 1)) return negative ? 1 << 1 : 1 << 6; \
        return negative ? 1 << 2 : 1 << 5; \
      } \
      case TO_I32: return limited##W(a, ua, INT32_MIN, INT32_MAX, 2147483648.0, 1); \
      case TO_U32: return (uint64_t)(int64_t)(int32_t)limited##W(a, ua, 0, UINT32_MAX, 4294967296.0, 0); \
      case TO_I64: return limited##W(a, ua, INT64_MIN, INT64_MAX, 9223372036854775808.0, 1); \
      case TO_U64: return limited##W(a, ua, 0, UINT64_MAX, 18446744073709551616.0, 0); \
      case FROM_I32: return bits##W(fromi##W((int32_t)wa)); \
      case FROM_U32: return bits##W(fromi##W((uint32_t)wa)); \
      case FROM_I64: return bits##W(fromi##W((int64_t)wa)); \
      case FROM_U64: { \
        if ((int64_t)wa >= 0) return bits##W(fromi##W((int64_t)wa)); \
        /* Halved to odd, converted, doubled. */ \
        T half = fromi##W((int64_t)((wa >> 1) | (wa & 1))); \
        return bits##W(half + half); \
      } \
      default: fprintf(stderr, "no operation %u\n", operation); exit(2); \
    } \
  }

ONE_FORMAT(double, uint64_t, "sd", 64, 0x7ff0000000000000u, 0x0008000000000000u, 53, float, "ss")
ONE_FORMAT(float, uint32_t, "ss", 32, 0x7f800000u, 0x00400000u, 24, double, "sd")

static int read_all(void *to, size_t size) {
  return fread(to, 1, size, stdin) == size;
}

int main(void) {
  uint32_t header[4];
  if (!__builtin_cpu_supports("fma")) { fprintf(stderr, "no FMA3\n"); return 3; }
  while (read_all(header, sizeof header)) {
    uint32_t operation = header[0] & 31, single = header[0] >> 5, count = header[2];
    uint64_t *in = malloc(count * 24ull), *out = malloc(count * 16ull);
    if (!in || !out || !read_all(in, count * 24ull)) return 1;
    begin(header[1]);
    for (uint32_t i = 0; i < count; i++) {
      const uint64_t *x = in + 3 * i;
      uint64_t r;
      if (operation == CONVERT) {
        status = 0;
        if (single) { uint32_t u = (uint32_t)x[0]; float a; memcpy(&a, &u, 4); r = bits64(cvt32(a)); }
        else { double a; memcpy(&a, x, 8); r = bits32(cvt64(a)); }
      } else r = single ? run32(operation, x[0], x[1], x[2]) : run64(operation, x[0], x[1], x[2]);
      out[2 * i] = r;
      out[2 * i + 1] = flags_of();
    }
    fwrite(out, 16, count, stdout);
    free(in);
    free(out);
  }
  return 0;
}
