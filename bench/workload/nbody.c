/* Planets under gravity in IEEE double: additions, multiplications, divisions and square roots. */
#include "rows.h"
#include <math.h>
#include <string.h>

enum { BODIES = 5, STEPS = 200000 };

struct body { double position[3], velocity[3], mass; };

uint64_t row_nbody(void) {
  struct body body[BODIES];
  uint64_t seed = 5;
  for (int i = 0; i < BODIES; i++) {
    for (int k = 0; k < 3; k++) {
      body[i].position[k] = (double)(int64_t)next_random(&seed) / 0x1p61;
      body[i].velocity[k] = (double)(int64_t)next_random(&seed) / 0x1p64;
    }
    body[i].mass = i == 0 ? 40.0 : 0.01 * i;
  }
  const double dt = 0.001, softening = 0.01;
  for (int step = 0; step < STEPS; step++) {
    for (int i = 0; i < BODIES; i++)
      for (int j = i + 1; j < BODIES; j++) {
        double d[3], square = softening;
        for (int k = 0; k < 3; k++) {
          d[k] = body[i].position[k] - body[j].position[k];
          square += d[k] * d[k];
        }
        double pull = dt / (square * sqrt(square));
        for (int k = 0; k < 3; k++) {
          body[i].velocity[k] -= d[k] * body[j].mass * pull;
          body[j].velocity[k] += d[k] * body[i].mass * pull;
        }
      }
    for (int i = 0; i < BODIES; i++)
      for (int k = 0; k < 3; k++) body[i].position[k] += dt * body[i].velocity[k];
  }
  uint64_t sum = 0;
  for (int i = 0; i < BODIES; i++)
    for (int k = 0; k < 3; k++) {
      uint64_t bits;
      memcpy(&bits, &body[i].position[k], sizeof bits);
      sum = sum * 31 + bits;
    }
  return sum;
}
