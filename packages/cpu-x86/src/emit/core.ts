import { type FuncRef, type MemoryImport, ModuleBuilder } from '@machinist/wasm'
import { emitCrawl } from './crawl.ts'
import { chainOf } from './chain.ts'
import { emitRegionFunctions } from './exits.ts'
import { emitFloat, type FloatFunctions } from './float/functions.ts'
import type { State } from './layout.ts'
import { emitRun } from './run.ts'
import { emitSteps } from './steps.ts'
import { emitShared, type SharedFunctions } from './system/functions.ts'
import { variants } from './variant.ts'
import { VectorStage } from './vector-stage.ts'

/** What the code of every handler is written with. */
export interface CoreParts {
  readonly state: State
  readonly shared: SharedFunctions
  readonly float: FloatFunctions
}

/** What a core is written for. */
export interface CoreOptions {
  /** Where the state lies. */
  readonly state: State
  readonly physicalBits: number
  readonly memory: Pick<MemoryImport, 'initial' | 'maximum' | 'shared'>
}

/** Places of the table that the module's own functions have; translated code has those behind. */
export const ownFunctions = (): number => variants().length


/**
 * The module that executes instructions: a function for each variant of an encoding, in its table; what they call; and `step`, which
 * calls one. The mode of code, the size of addresses and that of the stack are numbers when they run, so there is one function for all modes.
 */
export function writeCore({ state, physicalBits, memory }: CoreOptions): Uint8Array<ArrayBuffer> {
  const m = new ModuleBuilder()
  m.importMemory({ module: 'host', name: 'memory', ...memory })
  const decode = m.importFunction('host', 'decode', ['i32', 'i32', 'i32', 'i32'], 'i32')
  const decodeRun = m.importFunction('host', 'decodeRun', ['i32', 'i32', 'i32'], 'i32')
  m.importTable('host', 'table', ownFunctions())
  // Where the instructions lie that were decoded: see steps.ts; and the remembered jumps of translated code.
  const decoded = m.importGlobal('host', 'decoded', 'i32')
  const jumps = m.importGlobal('host', 'jumps', 'i32')
  const shared = emitShared(m, state, { physicalBits })
  const parts: CoreParts = { state, shared, float: emitFloat(m, state.float) }
  variants().forEach((variant, number) => {
    const name = `${variant.form.instruction.name}${variant.operandSize * 8}${variant.memory ? 'm' : ''}`
    const target = m.func(name, ['i32'], 'i32', (f, op) => new VectorStage(f, parts, op, variant).emit())
    if (m.tableEntry(target) !== number) throw new RangeError('the table has functions before these')
  })
  const steps = emitSteps(m, state, { memory: shared, decoded, decode })
  // Regions import these, by name.
  const { sse: { single, double, ...sse }, text } = parts.float
  for (const part of [single, double, sse, text]) for (const target of Object.values(part) as FuncRef[]) m.export(target.name, target)
  const before = m.functionCount
  emitRegionFunctions(m, state, shared, chainOf(m, state, jumps))
  m.exportSince(before)
  emitRun(m, { ...steps, ...emitCrawl(m, state, steps, shared), parts, decodeRun })
  return m.toBytes()
}
