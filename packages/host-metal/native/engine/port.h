/* What QuickJS takes for granted of a C library, beyond what ours declares. */
#pragma once
#include <stddef.h>

size_t malloc_usable_size(const void *block);
