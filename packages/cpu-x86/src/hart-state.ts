import { machinistError } from '@machinist/api'
import { EXTENDED_STATE_SIZE, readExtendedState, writeExtendedState } from './extended-state.ts'
import { Efer } from './emit/control-bits.ts'
import { FlagKind } from './emit/flags.ts'
import type { StateField } from './emit/layout.ts'
import { Flag, STATUS } from './flags.ts'
import type { X86Record } from './record.ts'
import { SMBASE_RESET } from './smm.ts'

/** What the architecture says a processor is, besides RFLAGS and what XSAVE has; everything else in its record follows from it, or lasts for a step. */
const words = [
  ...(['pc', 'steps', 'unretired', 'cr0', 'cr2', 'cr3', 'cr4', 'efer', 'a20', 'cr8', 'apicBase', 'sysenterCs', 'sysenterEsp', 'sysenterEip', 'pat', 'star', 'lstar', 'cstar', 'fmask'] as const),
  ...(['kernelGsBase', 'tscAux', 'xcr0', 'specCtrl', 'mcgStatus', 'miscEnable', 'debugCtl', 'next', 'mtrrDefault', 'tscAdjust'] as const),
] as const
const arrays = ['registers', 'segments', 'pdptes', 'dr', 'mtrrFixed', 'mtrrVariable'] as const
const small = ['cpl', 'shadow', 'waiting', 'attention', 'lines', 'sipi', 'single', 'repeating', 'debugPending', 'nmiBlocked', 'watching', 'managed', 'smbase', 'managedDebug'] as const

/** The largest values of those that are not any word of 32 bits. */
const most: Readonly<Partial<Record<(typeof small)[number], number>>> = { cpl: 3, shadow: 2, waiting: 3, attention: 1, lines: 31, sipi: 255, single: 1, repeating: 1, nmiBlocked: 1, managed: 3 }
/** What older states do not have. */
const absent: Readonly<Partial<Record<(typeof small)[number], number>>> = { managed: 0, smbase: SMBASE_RESET, managedDebug: 0 }

/** Names of the fields that are saved, apart from those of RFLAGS. */
export const savedFields: readonly StateField[] = [...words, ...arrays, ...small]

/** The saved state of a processor: plain data. */
export interface SavedHart {
  readonly words: Readonly<Record<string, bigint>>
  readonly arrays: Readonly<Record<string, readonly bigint[]>>
  readonly small: Readonly<Record<string, number>>
  /** RFLAGS. */
  readonly flags: number
  /** As `Interpreter.extendedState`. */
  readonly extended: Uint8Array
}

/** Elements of an array of a record. */
function lengthOf(record: X86Record, field: StateField): number {
  const type = record.layout.fields[field]
  return typeof type === 'string' ? 1 : type[1]
}

/** @param status - the status flags, which are worked out of the last operation */
export function saveHart(record: X86Record, status: number): SavedHart {
  const of = <Name extends string, Value>(names: readonly Name[], value: (name: Name) => Value): Record<string, Value> => Object.fromEntries(names.map((name) => [name, value(name)]))
  return {
    words: of(words, (field) => record.get64(field)),
    arrays: of(arrays, (field) => Array.from({ length: lengthOf(record, field) }, (_, index) => record.get64(field, index))),
    // Attention is what made somebody ask for it, and asks for a look alone.
    small: of(small, (field) => field === 'attention' ? Math.min(record.get(field), 1) : record.get(field)),
    flags: (status | record.get('system') | (record.get('direction') === 0 ? 0 : Flag.direction)) >>> 0,
    extended: readExtendedState(record.data, record.state.float),
  }
}

/** Takes back a state. @throws `'bad-state'` when it is not one, and nothing has changed */
export function restoreHart(record: X86Record, state: unknown, part: string): void {
  const fail = (field: string): never => {
    throw machinistError({ code: 'bad-state', part, value: field, remedy: 'Restore a state that this version saved.' }, 'the saved state is not valid')
  }
  const table = (value: unknown, field: string): Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null ? value as Readonly<Record<string, unknown>> : fail(field)
  const isLong = (value: unknown): value is bigint => typeof value === 'bigint' && value === BigInt.asUintN(64, value)
  const { flags, extended, ...tables } = table(state, 'state')
  const given = { words: table(tables['words'], 'words'), arrays: table(tables['arrays'], 'arrays'), small: table(tables['small'], 'small') }
  for (const field of words) if (!isLong(given.words[field])) fail(field)
  // What the model has not, its guest could not have set.
  for (const [field, bits, more] of [['cr4', 'cr4Bits', 0n], ['efer', 'eferBits', BigInt(Efer.lma)], ['xcr0', 'xcr0Bits', 0n]] as const) {
    if (((given.words[field] as bigint) & ~(record.get64(bits) | more)) !== 0n) fail(field)
  }
  for (const field of arrays) {
    const list = given.arrays[field]
    if (!Array.isArray(list) || list.length !== lengthOf(record, field) || !list.every(isLong)) fail(field)
  }
  for (const field of small) {
    const value = given.small[field] ?? absent[field]
    if (!Number.isInteger(value) || Number(value) < 0 || Number(value) > (most[field] ?? 0xffff_ffff)) fail(field)
  }
  if (!Number.isInteger(flags) || Number(flags) !== Number(flags) >>> 0) fail('flags')
  if (!(extended instanceof Uint8Array) || extended.length !== EXTENDED_STATE_SIZE) return fail('extended')
  for (const field of words) record.set64(field, given.words[field] as bigint)
  for (const field of arrays) (given.arrays[field] as readonly bigint[]).forEach((value, index) => { record.set64(field, value, index) })
  for (const field of small) record.set(field, (given.small[field] ?? absent[field]) as number)
  const bits = Number(flags)
  record.set('flagKind', FlagKind.plain)
  record.set64('flagResult', BigInt(bits & STATUS))
  record.set('direction', (bits & Flag.direction) === 0 ? 0 : 1)
  record.set('system', bits & ~(STATUS | Flag.direction | 2))
  writeExtendedState(record.data, record.state.float, extended)
}
