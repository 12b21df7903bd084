/* On the host: bytecode.c PROGRAM POSITIONS OUTPUT compiles a program for the engine, with the positions of its TypeScript. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "quickjs.h"

struct position {
  int line, column, source, source_line, source_column;
};

static char **files;
static struct position *positions;
static int position_count;

static void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

/* The number of files, their names, a line each; the number of positions, and five numbers each. */
static void read_positions(const char *path) {
  FILE *file = fopen(path, "r");
  int count;
  char name[4096];
  if (!file || fscanf(file, "%d\n", &count) != 1) fail("cannot read the positions");
  files = calloc((size_t)count + 1, sizeof *files);
  for (int i = 0; i < count; i++) {
    if (!fgets(name, sizeof name, file)) fail("the positions end early");
    name[strcspn(name, "\n")] = 0;
    files[i] = strdup(name);
  }
  if (fscanf(file, "%d", &position_count) != 1) fail("the positions end early");
  positions = calloc((size_t)position_count + 1, sizeof *positions);
  for (int i = 0; i < position_count; i++) {
    struct position *p = &positions[i];
    if (fscanf(file, "%d %d %d %d %d", &p->line, &p->column, &p->source, &p->source_line, &p->source_column) != 5 || p->source < 0 || p->source >= count) fail("a position is broken");
  }
  fclose(file);
}

/* The last position that is not behind a place in the program, or the first. */
static const struct position *find(int line, int column) {
  int low = 0, high = position_count;
  while (low < high) {
    int middle = (low + high) / 2;
    const struct position *p = &positions[middle];
    if (p->line < line || (p->line == line && p->column <= column)) low = middle + 1;
    else high = middle;
  }
  return position_count == 0 ? NULL : &positions[low > 0 ? low - 1 : 0];
}

int machinist_position(int line, int column, int *source_column) {
  const struct position *p = find(line, column);
  *source_column = p ? p->source_column : column;
  return p ? p->source_line : line;
}

const char *machinist_file(int line, int column) {
  const struct position *p = find(line, column);
  return p ? files[p->source] : NULL;
}

int main(int count, char **arguments) {
  if (count != 4) fail("usage: bytecode PROGRAM POSITIONS OUTPUT");
  read_positions(arguments[2]);
  FILE *file = fopen(arguments[1], "rb");
  if (!file || fseek(file, 0, SEEK_END) != 0) fail("cannot read the program");
  size_t length = (size_t)ftell(file);
  char *text = calloc(length + 1, 1);
  rewind(file);
  if (fread(text, 1, length, file) != length) fail("cannot read the program");
  fclose(file);
  JSRuntime *runtime = JS_NewRuntime();
  JS_SetStripInfo(runtime, JS_STRIP_SOURCE);
  JS_SetMaxStackSize(runtime, 0);
  JSContext *context = JS_NewContext(runtime);
  JSValue program = JS_Eval(context, text, length, "program", JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_COMPILE_ONLY | JS_EVAL_FLAG_STRICT);
  if (JS_IsException(program)) fail(JS_ToCString(context, JS_GetException(context)));
  size_t size;
  uint8_t *bytes = JS_WriteObject(context, &size, program, JS_WRITE_OBJ_BYTECODE);
  file = fopen(arguments[3], "wb");
  if (!bytes || !file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) fail("cannot write the bytecode");
  return 0;
}
