import { ModuleCache } from '@machinist/cpu-core'
import type { Arena } from '@machinist/memory'
import type { WasmModule } from '@machinist/wasm'
import { writeCore } from './emit/core.ts'
import { State, STATE_SIZE } from './emit/layout.ts'
import { written } from './written.ts'

/** Bits of a physical address (CPUID leaf 8000_0008h). */
const PHYSICAL_BITS = 40

/** Takes the place of the record of the processor that runs: in every arena, that of the first engine is at the same address, whatever other CPUs there are. */
export function placeWindow(arena: Arena): number {
  return arena.allocateFirst(STATE_SIZE, true)
}

/** What tells modules apart. */
export function coreKey(window: number, shared: boolean): string {
  return [window, shared].join()
}

/** The module that executes processors, for a memory that is shared with other threads or not. */
export function writeModule(window: number, shared: boolean): Uint8Array<ArrayBuffer> {
  return writeCore({ state: new State(window), physicalBits: PHYSICAL_BITS, memory: { initial: 1, maximum: 65536, shared } })
}

/** Nearly always one is all that there are. */
const modules = new ModuleCache(written, 4)

/**
 * The same, compiled: once for all machines for which it is the same, and not even written when the build has done that.
 *
 * @param anew - compile it even so, and let those that come have that
 */
export function coreModule(window: number, shared: boolean, anew: boolean = false): WasmModule {
  return modules.get(coreKey(window, shared), () => writeModule(window, shared), anew)
}
