/* Rounding to whole numbers. picolibc's ceil and floor carry out of the low word of a double where nothing overflows: ceil(11583243.75) is 11583252 there. */
#include <math.h>

/* From here on a double is whole. */
#define WHOLE 0x1p52

double trunc(double value) {
  if (!(fabs(value) < WHOLE)) return value;
  return copysign((double)(long)value, value);
}

double floor(double value) {
  double whole = trunc(value);
  return whole > value ? whole - 1 : whole;
}

double ceil(double value) {
  double whole = trunc(value);
  return whole < value ? copysign(whole + 1, value) : whole;
}
