/* The kernel's heap as the engine's. */
#pragma once
#include "../kernel/heap.h"
#include "quickjs.h"

extern const JSMallocFunctions engine_allocator;
