import { fromBase64, JUMPS_BYTES, ModuleCache } from '@machinist/cpu-core'
import type { Arena } from '@machinist/memory'
import type { WasmModule } from '@machinist/wasm'
import { emitHartModule } from '../emit/module.ts'
import { CROSSING_SIZE, CROSSINGS, MAX_ENTERS, OP_SIZE } from '../handlers.ts'
import { hartLayout } from '../hart-layout.ts'
import { written } from './written.ts'
import { RULES_SIZE, writeRules } from './rules.ts'

/** Addresses of the structures that the generated code of an engine names. */
export interface CorePlaces {
  /** The record of the hart that runs. */
  readonly window: number
  /** The ops that `enter` ops have replaced. */
  readonly enters: number
  readonly jumps: number
  readonly crossings: number
  /** The rules by which instructions are decoded. */
  readonly rules: number
}

const sizes: CorePlaces = { window: hartLayout.size, enters: MAX_ENTERS * OP_SIZE, jumps: JUMPS_BYTES, crossings: CROSSINGS * CROSSING_SIZE, rules: RULES_SIZE }

/** Takes the structures: in every arena, those of the first engine are at the same addresses. */
export function placeCore(arena: Arena): CorePlaces {
  return {
    window: arena.allocateFirst(sizes.window), enters: arena.allocateFirst(sizes.enters), jumps: arena.allocateFirst(sizes.jumps), crossings: arena.allocateFirst(sizes.crossings),
    rules: arena.allocateFirst(sizes.rules),
  }
}

let rules: Uint8Array | null = null

/** Writes what generated code finds there. */
export function fillCore(arena: Arena, places: CorePlaces): void {
  rules ??= written === null ? writeRules() : fromBase64(written.rules)
  arena.u8.set(rules, places.rules)
}

export function freeCore(arena: Arena, places: CorePlaces): void {
  arena.free(places.rules, sizes.rules)
  arena.free(places.window, sizes.window)
  arena.free(places.enters, sizes.enters)
  arena.free(places.jumps, sizes.jumps)
  arena.free(places.crossings, sizes.crossings)
}

/** The module that executes harts, for a memory that is shared with other threads or not. */
export function writeCore(places: CorePlaces, shared: boolean): Uint8Array<ArrayBuffer> {
  return emitHartModule({ ...places, memory: { initial: 1, maximum: 65536, shared } })
}

/** What tells modules apart. */
export function coreKey({ window, enters, jumps, crossings, rules }: CorePlaces, shared: boolean): string {
  return [window, enters, jumps, crossings, rules, shared].join()
}

/** Nearly always one is all that there are. */
const modules = new ModuleCache(written, 4)

/**
 * The same, compiled: once for all machines for which it is the same, and not even written when the build has done that.
 *
 * @param anew - compile it even so, and let those that come have that
 */
export function coreModule(places: CorePlaces, shared: boolean, anew: boolean = false): WasmModule {
  return modules.get(coreKey(places, shared), () => writeCore(places, shared), anew)
}
