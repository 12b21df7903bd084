#include "page.h"
#include <string.h>

static const uint32_t primes[] = { 0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f };

static uint32_t step(uint32_t sum, uint32_t word, uint32_t prime) {
  uint32_t product = (sum ^ word) * prime;
  return product << 13 | product >> 19;
}

uint32_t page_hash(const void *page) {
  const uint32_t *words = page, *end = words + PAGE_BYTES / 4;
  uint32_t a = 0, b = 0, c = 0, d = 0, any = 0;
  for (; words < end; words += 4) {
    any |= words[0] | words[1] | words[2] | words[3];
    a = step(a, words[0], primes[0]);
    b = step(b, words[1], primes[1]);
    c = step(c, words[2], primes[2]);
    d = step(d, words[3], primes[3]);
  }
  if (any == 0) return 0;
  uint32_t sum = (a ^ b >> 1) * primes[1] ^ (c ^ d >> 3) * primes[2];
  sum = (sum ^ b >> 15 ^ d) * primes[0];
  sum ^= sum >> 15;
  return sum ? sum : 1;
}

bool page_same(const void *one, const void *other) {
  const uint64_t *left = one, *right = other;
  for (size_t i = 0; i < PAGE_BYTES / 8; i++)
    if (left[i] != right[i]) return false;
  return true;
}

enum { HASH_BITS = 11, LEAST_MATCH = 4, SKIP_SHIFT = 5 };

/* What is written, and how much there is room for. */
struct out {
  uint8_t *bytes;
  size_t length, most;
};

static void put_long(struct out *out, size_t left) {
  for (; left >= 255; left -= 255) out->bytes[out->length++] = 255;
  out->bytes[out->length++] = (uint8_t)left;
}

/* `count` literals, and a match of `length` at `distance`; 0 for none. */
static bool put_sequence(struct out *out, const uint8_t *literals, size_t count, size_t length, size_t distance) {
  if (out->length + count + count / 255 + length / 255 + 5 > out->most) return false;
  size_t more = length - LEAST_MATCH;
  out->bytes[out->length++] = (uint8_t)((count < 15 ? count : 15) << 4 | (distance == 0 ? 0 : more < 15 ? more : 15));
  if (count >= 15) put_long(out, count - 15);
  memcpy(out->bytes + out->length, literals, count);
  out->length += count;
  if (distance == 0) return true;
  out->bytes[out->length++] = (uint8_t)distance;
  out->bytes[out->length++] = (uint8_t)(distance >> 8);
  if (more >= 15) put_long(out, more - 15);
  return true;
}

static uint32_t word_at(const uint8_t *at) { return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24; }

size_t page_compress(const uint8_t *page, uint8_t *into, size_t most) {
  /* Positions by the hash of the four bytes there; 0 stands for none, others are one more. */
  uint16_t table[1 << HASH_BITS];
  memset(table, 0, sizeof table);
  struct out out = { into, 0, most };
  size_t literals = 0, at = 0, misses = 1 << SKIP_SHIFT;
  while (at <= PAGE_BYTES - LEAST_MATCH) {
    uint32_t word = word_at(page + at), hash = word * primes[0] >> (32 - HASH_BITS);
    size_t from = table[hash];
    table[hash] = (uint16_t)(at + 1);
    if (from == 0 || word_at(page + from - 1) != word) {
      at += misses++ >> SKIP_SHIFT;
      continue;
    }
    from--;
    misses = 1 << SKIP_SHIFT;
    size_t length = LEAST_MATCH;
    while (at + length < PAGE_BYTES && page[from + length] == page[at + length]) length++;
    if (!put_sequence(&out, page + literals, at - literals, length, at - from)) return 0;
    at += length;
    literals = at;
  }
  return put_sequence(&out, page + literals, PAGE_BYTES - literals, LEAST_MATCH, 0) ? out.length : 0;
}

/* What bytes add to a length of 15, up to one that is not 255. False when they are not there. */
static bool take_long(const uint8_t *packed, size_t length, size_t *at, size_t *sum) {
  if (*sum < 15) return true;
  for (;;) {
    if (*at == length) return false;
    uint8_t more = packed[(*at)++];
    *sum += more;
    if (more < 255) return true;
  }
}

bool page_decompress(const uint8_t *packed, size_t length, uint8_t *page) {
  size_t at = 0, out = 0;
  for (;;) {
    if (at == length) return false;
    uint8_t token = packed[at++];
    size_t count = token >> 4, match = token & 15;
    if (!take_long(packed, length, &at, &count) || count > length - at || count > PAGE_BYTES - out) return false;
    memcpy(page + out, packed + at, count);
    at += count, out += count;
    if (at == length) return out == PAGE_BYTES;
    if (length - at < 2) return false;
    size_t distance = packed[at] | (size_t)packed[at + 1] << 8;
    at += 2;
    if (!take_long(packed, length, &at, &match)) return false;
    match += LEAST_MATCH;
    if (distance == 0 || distance > out || match > PAGE_BYTES - out) return false;
    for (size_t i = 0; i < match; i++, out++) page[out] = page[out - distance];
  }
}
