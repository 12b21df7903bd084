/* Copying and filling by words: the C library's go byte by byte. Nothing here may become a call of itself. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#pragma GCC optimize("no-tree-loop-distribute-patterns")

typedef uint64_t __attribute__((may_alias)) word;
enum { WORD = sizeof(word), LINE = 8 * WORD };

static void *copy_up(uint8_t *to, const uint8_t *from, size_t length) {
  uint8_t *start = to;
  /* Words, where both can be aligned at once. */
  if ((((uintptr_t)to ^ (uintptr_t)from) & (WORD - 1)) == 0 && length >= 2 * WORD) {
    for (; (uintptr_t)to & (WORD - 1); length--) *to++ = *from++;
    for (; length >= LINE; length -= LINE, to += LINE, from += LINE) {
      const word *source = (const word *)from;
      word *target = (word *)to;
      word a = source[0], b = source[1], c = source[2], d = source[3], e = source[4], f = source[5], g = source[6], h = source[7];
      target[0] = a, target[1] = b, target[2] = c, target[3] = d, target[4] = e, target[5] = f, target[6] = g, target[7] = h;
    }
    for (; length >= WORD; length -= WORD, to += WORD, from += WORD) *(word *)to = *(const word *)from;
  } else if (length >= 4 * WORD) {
    /* Else each word of the target is put together of two of the source. */
    for (; (uintptr_t)to & (WORD - 1); length--) *to++ = *from++;
    unsigned shift = 8 * ((uintptr_t)from & (WORD - 1));
    const word *source = (const word *)((uintptr_t)from & ~(uintptr_t)(WORD - 1));
    word low = *source++;
    for (; length >= WORD + WORD; length -= WORD, to += WORD, from += WORD) {
      word high = *source++;
      *(word *)to = low >> shift | high << (64 - shift);
      low = high;
    }
  }
  while (length-- > 0) *to++ = *from++;
  return start;
}

static void *copy_down(uint8_t *to, const uint8_t *from, size_t length) {
  if ((((uintptr_t)to ^ (uintptr_t)from) & (WORD - 1)) == 0) {
    for (; length > 0 && ((uintptr_t)(to + length) & (WORD - 1)); length--) to[length - 1] = from[length - 1];
    for (; length >= WORD; length -= WORD) *(word *)(to + length - WORD) = *(const word *)(from + length - WORD);
  }
  for (; length > 0; length--) to[length - 1] = from[length - 1];
  return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t length) { return copy_up(to, from, length); }

void *memmove(void *to, const void *from, size_t length) {
  /* Upwards all is read before it is written over when the target lies below. */
  return (uintptr_t)to - (uintptr_t)from >= length ? copy_up(to, from, length) : copy_down(to, from, length);
}

void *memset(void *at, int value, size_t length) {
  uint8_t *to = at;
  word pattern = (uint8_t)value * 0x0101010101010101u;
  if (length >= 2 * WORD) {
    for (; (uintptr_t)to & (WORD - 1); length--) *to++ = (uint8_t)value;
    for (; length >= LINE; length -= LINE, to += LINE) {
      word *target = (word *)to;
      target[0] = pattern, target[1] = pattern, target[2] = pattern, target[3] = pattern, target[4] = pattern, target[5] = pattern, target[6] = pattern, target[7] = pattern;
    }
    for (; length >= WORD; length -= WORD, to += WORD) *(word *)to = pattern;
  }
  while (length-- > 0) *to++ = (uint8_t)value;
  return at;
}
