import { ModuleBuilder } from '@machinist/wasm'
import { type Mode, usesFloat } from '../isa/form.ts'
import { type FloatFunctions, importFloat } from './float/functions.ts'
import type { State } from './layout.ts'
import { emitShared, importShared, type SharedFunctions } from './system/functions.ts'
import type { Variant } from './variant.ts'
import { VectorStage } from './vector-stage.ts'

/** What the code of every handler is written with. */
export interface CoreParts {
  readonly mode: Mode
  /** Of rSP: by SS.B, and 8 in 64-bit mode. */
  readonly stackSize: 2 | 4 | 8
  readonly state: State
  readonly shared: SharedFunctions
  /** Where a form may need them. */
  readonly float: FloatFunctions | null
}

/** The module of what all handlers share. */
export function writeShared(state: State, physicalBits: number): Uint8Array<ArrayBuffer> {
  const m = new ModuleBuilder()
  m.importMemory({ module: 'host', name: 'memory', initial: 1 })
  emitShared(m, state, { physicalBits })
  return m.toBytes()
}

/** A module with one function, `handler`: it executes an op, and returns 1 when that raised something. */
export function writeHandler(variant: Variant, { mode, stackSize, state }: Omit<CoreParts, 'shared' | 'float'>): Uint8Array<ArrayBuffer> {
  const m = new ModuleBuilder()
  m.importMemory({ module: 'host', name: 'memory', initial: 1 })
  const { form, operandSize, memory } = variant
  const parts: CoreParts = { mode, stackSize, state, shared: importShared(m), float: usesFloat(form) ? importFloat(m, state.float) : null }
  m.export('handler', m.func(`${form.instruction.name}${operandSize * 8}${memory ? 'm' : ''}`, ['i32'], 'i32', (f, op) => {
    new VectorStage(f, parts, op, variant).emit()
  }))
  return m.toBytes()
}
