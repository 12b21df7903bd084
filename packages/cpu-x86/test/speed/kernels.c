/* Programs whose speed is measured: each gives a checksum. */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

static u8 area[1 << 22];

static u64 sieve(u64 rounds) {
  u64 found = 0;
  for (u64 round = 0; round < rounds; round++) {
    for (u64 i = 0; i < 1 << 20; i++) area[i] = 1;
    for (u64 i = 2; i * i < 1 << 20; i++)
      if (area[i]) for (u64 j = i * i; j < 1 << 20; j += i) area[j] = 0;
    for (u64 i = 2; i < 1 << 20; i++) found += area[i];
  }
  return found;
}

static u64 crc32(u64 rounds) {
  static u32 table[256];
  for (u32 i = 0; i < 256; i++) {
    u32 c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
    table[i] = c;
  }
  for (u64 i = 0; i < 1 << 20; i++) area[i] = i * 7 >> 3;
  u32 c = ~0u;
  for (u64 round = 0; round < rounds; round++)
    for (u64 i = 0; i < 1 << 20; i++) c = table[(c ^ area[i]) & 255] ^ c >> 8;
  return c;
}

static u32 turn(u32 a, int n) { return a >> n | a << (32 - n); }
static u64 sha256(u64 rounds) {
  static u32 k[64], w[64];
  for (u32 i = 0; i < 64; i++) k[i] = 0x428a2f98u * (i + 1) ^ i << 13;
  u32 h[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  for (u64 round = 0; round < rounds; round++) {
    for (u32 i = 0; i < 16; i++) w[i] = h[i & 7] + i * round;
    for (u32 i = 16; i < 64; i++) {
      u32 a = w[i - 15], b = w[i - 2];
      w[i] = w[i - 16] + w[i - 7] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
    }
    u32 a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], s = h[7];
    for (u32 i = 0; i < 64; i++) {
      u32 x = s + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + k[i] + w[i];
      u32 y = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      s = g; g = f; f = e; e = d + x; d = c; c = b; b = a; a = x + y;
    }
    h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e; h[5] += f; h[6] += g; h[7] += s;
  }
  return h[0] ^ (u64)h[7] << 13;
}

typedef int (*Compare)(const void *, const void *);
static int compare(const void *a, const void *b) { u32 x = *(const u32 *)a, y = *(const u32 *)b; return x < y ? -1 : x > y; }
static void sort(u32 *from, u32 *to, Compare less) {
  while (to - from > 1) {
    u32 pivot = from[(to - from) / 2], *i = from, *j = to - 1;
    while (i <= j) {
      while (less(i, &pivot) < 0) i++;
      while (less(j, &pivot) > 0) j--;
      if (i <= j) { u32 t = *i; *i++ = *j; *j-- = t; }
    }
    sort(from, j + 1, less);
    from = i;
  }
}
static u64 qsort(u64 rounds) {
  u32 *numbers = (u32 *)area, x = 1;
  u64 sum = 0;
  for (u64 round = 0; round < rounds; round++) {
    for (u32 i = 0; i < 100000; i++) numbers[i] = x = x * 1664525 + 1013904223;
    sort(numbers, numbers + 100000, compare);
    sum += numbers[500] + numbers[99999];
  }
  return sum;
}

static __attribute__((noinline)) u64 fib(u64 n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
static u64 calls(u64 rounds) {
  u64 sum = 0;
  for (u64 round = 0; round < rounds; round++) sum += fib(24);
  return sum;
}

struct record { struct record *next; int kind, number; char text[32]; };
static u64 records(u64 rounds) {
  static struct record pool[64];
  u64 sum = 0;
  for (u32 i = 0; i < 64; i++) { pool[i].next = &pool[(i * 37 + 1) & 63]; pool[i].kind = i % 3; }
  for (u64 round = 0; round < rounds; round++) {
    struct record *at = pool;
    for (u32 i = 0; i < 64; i++, at = at->next) {
      switch (at->kind) {
        case 0: at->number += i; break;
        case 1: for (u32 j = 0; j < 32; j++) at->text[j] = (char)(j + round); break;
        default: at->number ^= at->text[i & 31];
      }
      sum += (u64)at->number;
    }
  }
  return sum;
}

u64 entry(u64 which, u64 rounds) {
  switch (which) {
    case 0: return sieve(rounds);
    case 1: return crc32(rounds);
    case 2: return sha256(rounds);
    case 3: return qsort(rounds);
    case 4: return calls(rounds);
    default: return records(rounds);
  }
}

__asm__(".globl _start\n_start: call entry\nud2\n");
