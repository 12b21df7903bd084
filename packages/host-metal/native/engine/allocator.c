#include "allocator.h"

/* The engine decides by the state's sizes when to look for garbage; hardly anybody else uses the heap. */
static void *engine_take(JSMallocState *state, size_t size) {
  void *block = heap_take(size);
  if (!block) return NULL;
  state->malloc_count++;
  state->malloc_size = heap_used;
  return block;
}
static void engine_give(JSMallocState *state, void *block) {
  if (!block) return;
  heap_give(block);
  state->malloc_count--;
  state->malloc_size = heap_used;
}
static void *engine_resize(JSMallocState *state, void *block, size_t size) {
  if (!block) return size == 0 ? NULL : engine_take(state, size);
  if (size == 0) {
    engine_give(state, block);
    return NULL;
  }
  void *to = heap_resize(block, size);
  if (to) state->malloc_size = heap_used;
  return to;
}

const JSMallocFunctions engine_allocator = { engine_take, engine_give, engine_resize, heap_size };
