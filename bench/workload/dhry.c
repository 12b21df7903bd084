/*
 * What systems programs did when Dhrystone was written, in code of our own: records copied and linked, short strings
 * compared, small procedures with arguments by reference, decisions on enumerations.
 */
#include "rows.h"
#include <string.h>

enum { ROUNDS = 2000000 };
enum kind { LEAF, PAIR, NAMED };

struct record {
  struct record *next;
  enum kind kind;
  int number;
  int pair[2];
  char name[32];
};

static struct record first, second;
static int table[64][64];

__attribute__((noinline)) static enum kind after(enum kind kind) {
  switch (kind) {
    case LEAF: return PAIR;
    case PAIR: return NAMED;
    case NAMED: return LEAF;
  }
  return LEAF;
}

__attribute__((noinline)) static void add(int a, int b, int *sum) { *sum = a + b + 2; }

__attribute__((noinline)) static int differ(const char *a, const char *b, int *place) {
  int at = 2;
  while (at < 31 && a[at] == b[at]) at++;
  *place = at;
  return strcmp(a, b) > 0;
}

__attribute__((noinline)) static void fill(int grid[64][64], int row, int value) {
  for (int column = row & 31; column < (row & 31) + 3; column++) grid[row][column] = value + column;
  grid[row][row ? row - 1 : 0]++;
}

__attribute__((noinline)) static void advance(struct record *record) {
  struct record *next = record->next;
  *next = *record;
  next->next = record;
  next->kind = after(record->kind);
  if (next->kind == PAIR) {
    add(record->number, record->pair[0], &next->pair[1]);
    next->number = 6;
  } else {
    add(next->number, 10, &next->number);
    next->number %= 1009;
  }
  next->name[20] = (char)('A' + next->number % 3);
}

uint64_t row_dhry(void) {
  uint64_t sum = 0;
  first = (struct record){ .next = &second, .kind = PAIR, .number = 40, .name = "A PROGRAM OF SOME, 1ST STRING" };
  second = first;
  second.next = &first;
  memset(table, 0, sizeof table);
  struct record *record = &first;
  for (int round = 0; round < ROUNDS; round++) {
    int place = 0, product = 0;
    char name[32];
    strcpy(name, "A PROGRAM OF SOME, 2ND STRING");
    advance(record);
    if (differ(record->next->name, name, &place)) product = place * 3;
    add(product, round & 7, &product);
    fill(table, round & 63, product);
    record->pair[0] = product % 17;
    record = record->next;
    sum = sum * 33 + (uint64_t)(record->number + place + table[round & 63][round & 31]);
  }
  return sum;
}
