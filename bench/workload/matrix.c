/* Products of square matrices of doubles, row by column as the definition has it. */
#include "rows.h"
#include <string.h>

enum { SIZE = 200, ROUNDS = 12 };

static double a[SIZE][SIZE], b[SIZE][SIZE], c[SIZE][SIZE];

uint64_t row_matrix(void) {
  uint64_t state = 11;
  for (int i = 0; i < SIZE; i++)
    for (int k = 0; k < SIZE; k++) {
      a[i][k] = (double)(next_random(&state) >> 11) / (double)(UINT64_C(1) << 53);
      b[i][k] = (double)(next_random(&state) >> 11) / (double)(UINT64_C(1) << 53) - 0.5;
    }
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < SIZE; i++)
      for (int j = 0; j < SIZE; j++) {
        double sum = 0;
        for (int k = 0; k < SIZE; k++) sum += a[i][k] * b[k][j];
        c[i][j] = sum;
      }
    /* The next factor, kept near 1 in size. */
    for (int i = 0; i < SIZE; i++)
      for (int j = 0; j < SIZE; j++) a[i][j] = c[i][j] * 0.25 + (i == j);
  }
  uint64_t sum = 0;
  for (int i = 0; i < SIZE; i++)
    for (int j = 0; j < SIZE; j++) {
      uint64_t bits;
      memcpy(&bits, &a[i][j], sizeof bits);
      sum = sum * 31 + bits;
    }
  return sum;
}
