#include "shortcuts.h"

bool shortcuts_have(const struct shortcuts *table, uint64_t address) {
  for (uint32_t i = 0; i < table->count; i++)
    if (table->address[i] == address) return true;
  return false;
}

static enum shortcut serve(struct shortcuts *table, uint64_t address, bool store, uint32_t width, uint64_t *value, bool here) {
  /* Who closes it looks at the lock after that, and we at this after taking the lock. */
  if (__atomic_load_n(&table->closed, __ATOMIC_SEQ_CST)) return SHORTCUT_NONE;
  for (uint32_t i = 0; i < table->count; i++) {
    uint32_t kind = table->kind[i];
    if (table->address[i] != address || table->width[i] != width || store == (kind == SHORTCUT_SHADOW)) continue;
    uint32_t open = __atomic_load_n(&table->open[i], __ATOMIC_ACQUIRE);
    if (kind != SHORTCUT_DOORBELL && table->rung) return SHORTCUT_NONE;
    if (kind == SHORTCUT_SHADOW) {
      if (!open) return SHORTCUT_NONE;
      *value = __atomic_load_n(&table->value[i], __ATOMIC_ACQUIRE);
      return SHORTCUT_SERVED;
    }
    uint32_t waiting = table->put - __atomic_load_n(&table->taken, __ATOMIC_ACQUIRE);
    if (waiting >= open || waiting >= WAITING_STORES || (kind == SHORTCUT_DOORBELL && here)) return SHORTCUT_NONE;
    uint32_t slot = table->put % WAITING_STORES;
    table->place[slot] = i;
    table->stored[slot] = (uint32_t)*value;
    __atomic_store_n(&table->put, table->put + 1, __ATOMIC_RELEASE);
    if (kind != SHORTCUT_DOORBELL) return SHORTCUT_SERVED;
    table->rung++;
    return SHORTCUT_RANG;
  }
  return SHORTCUT_NONE;
}

enum shortcut shortcuts_serve(struct shortcuts *table, uint64_t address, bool store, uint32_t width, uint64_t *value, bool here) {
  while (__atomic_exchange_n(&table->lock, 1, __ATOMIC_SEQ_CST)) {
  }
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  enum shortcut done = serve(table, address, store, width, value, here);
  if (done != SHORTCUT_NONE) table->served++;
  __atomic_store_n(&table->lock, 0, __ATOMIC_SEQ_CST);
  return done;
}
