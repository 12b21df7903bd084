/* The remainder of `%`: the C library's takes a step for each bit between the exponents, and what is divided is almost always whole. */
#include <math.h>
#include <stdint.h>

/* A magnitude as mantissa · 2^exponent. */
static uint64_t mantissa_of(uint64_t bits, int *exponent) {
  int biased = (int)(bits >> 52);
  *exponent = biased == 0 ? 1 : biased;
  return (bits & 0xfffffffffffff) | (biased == 0 ? 0 : 1ul << 52);
}

static double remainder_of(double x, double y) {
  union { double value; uint64_t bits; } a = { .value = fabs(x) }, b = { .value = fabs(y) };
  int ea, eb;
  uint64_t ma = mantissa_of(a.bits, &ea), mb = mantissa_of(b.bits, &eb);
  if (a.bits < b.bits) return x;
  /* Bits of the dividend one by one; the remainder stays below the divisor. */
  ma %= mb;
  for (; ea > eb && ma != 0; ea--) {
    /* Up to 11 bits at once fit above 53. */
    int step = ea - eb < 11 ? ea - eb : 11;
    ma = (ma << step) % mb;
    ea -= step - 1;
  }
  return copysign(ldexp((double)ma, eb - 1075), x);
}

double fmod(double x, double y) {
  if (fabs(x) < 0x1p63 && fabs(y) < 0x1p63) {
    int64_t a = (int64_t)x, b = (int64_t)y;
    if ((double)a == x && (double)b == y && b != 0) {
      int64_t rest = a % b;
      /* Zero has the dividend's sign. */
      return rest != 0 ? (double)rest : copysign(0, x);
    }
  }
  if (isnan(x) || isnan(y) || isinf(x) || y == 0) return (x * y) / (x * y);
  if (isinf(y) || x == 0) return x;
  return remainder_of(x, y);
}
