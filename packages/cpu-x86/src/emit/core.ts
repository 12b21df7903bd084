import { ModuleBuilder } from '@machinist/wasm'
import type { Mode } from '../isa/form.ts'
import { emitFlags, type FlagFunctions } from './flags.ts'
import { emitHelpers, type Helpers } from './helpers.ts'
import type { State } from './layout.ts'
import { OpStage } from './op-stage.ts'
import type { Variant } from './variant.ts'

/** The guest's memory: `size` bytes at linear address `base`, which lie at `at`. */
export interface Window {
  readonly at: number
  readonly base: bigint
  readonly size: number
}

/** What the code of every handler is written with. */
export interface CoreParts {
  readonly mode: Mode
  readonly state: State
  readonly window: Window
  readonly flags: FlagFunctions
  readonly helpers: Helpers
}

/** A module with one function for each variant: it executes an op, and returns 1 when that raised something. */
export function writeHandlers(variants: readonly Variant[], { mode, state, window, pages }: { mode: Mode; state: State; window: Window; pages: number }): Uint8Array<ArrayBuffer> {
  const m = new ModuleBuilder()
  m.importMemory({ module: 'host', name: 'memory', initial: pages })
  const flags = emitFlags(m, state)
  const parts: CoreParts = { mode, state, window, flags, helpers: emitHelpers(m) }
  m.export('status', flags.status)
  variants.forEach((variant, i) => {
    const { form, operandSize, memory } = variant
    m.export(`${i}`, m.func(`${form.instruction.name}${operandSize * 8}${memory ? 'm' : ''}`, ['i32'], 'i32', (f, op) => {
      new OpStage(f, parts, op, variant).emit()
    }))
  })
  return m.toBytes()
}
