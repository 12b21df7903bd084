/* CRC-32 (IEEE 802.3, reflected polynomial 0xEDB88320), a table look-up per byte: a chain of dependent loads. */
#include "rows.h"

enum { SIZE = 1 << 20, ROUNDS = 160 };

static uint32_t table[256];
static uint8_t data[SIZE];

uint64_t row_crc32(void) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; bit++) c = (c >> 1) ^ (UINT32_C(0xEDB88320) & (0u - (c & 1u)));
    table[i] = c;
  }
  uint64_t seed = 1;
  for (uint32_t i = 0; i < SIZE; i++) data[i] = (uint8_t)(next_random(&seed) >> 56);
  uint32_t crc = 0xFFFFFFFFu;
  for (int round = 0; round < ROUNDS; round++)
    for (uint32_t i = 0; i < SIZE; i++) crc = table[(crc ^ data[i]) & 0xFFu] ^ (crc >> 8);
  return crc ^ 0xFFFFFFFFu;
}
