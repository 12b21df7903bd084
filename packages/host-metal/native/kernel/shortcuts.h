/* Accesses to devices that need not leave the guest: see docs/design/shortcuts.md. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "record.h"

enum shortcut { SHORTCUT_NONE, SHORTCUT_SERVED, SHORTCUT_RANG };

/* Whether an access to an address may be one of them. */
bool shortcuts_have(const struct shortcuts *table, uint64_t address);
/* Makes an access. `here`: on the hart of those who look at doorbells, which they had better do at once. */
enum shortcut shortcuts_serve(struct shortcuts *table, uint64_t address, bool store, uint32_t width, uint64_t *value, bool here);
