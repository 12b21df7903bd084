import { machinistError } from '@machinist/api'

/** The most steps that a loop in which a hart spins may have. */
export const SPIN_MOST = 48

/** What a run may end for besides a debugger's wish. */
export type RunEnd = 'halt' | 'yield'

/** Once round the loop in which a hart may spin. */
export interface SpinLoop {
  /** Where it began, and what the halves of all registers were then. */
  readonly pc: bigint
  readonly registers: ArrayLike<number>
  /** Steps since then. */
  steps: number
}

/** How far the question has come whether a hart spins. */
export interface SpinLook {
  /** Steps of the hart at which its place is compared with where it was. */
  readonly until: number
  readonly pc: bigint
  readonly stack: bigint
  /** Afterwards, when it was near. */
  loop: SpinLoop | null
}

/** What a hart knows of a run that was cut short: plain data. */
export interface SavedRun {
  /** Whether other harts may be able to run. */
  readonly others: boolean
  readonly owed: RunEnd | null
  readonly look: SpinLook | null
}

/** Another one that may be kept. */
export function copyLook({ until, pc, stack, loop }: SpinLook): SpinLook {
  return { until, pc, stack, loop: loop && { pc: loop.pc, registers: Array.from(loop.registers), steps: loop.steps } }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null
const isWord = (value: unknown): boolean => typeof value === 'bigint'
const isHalf = (value: unknown): boolean => Number.isInteger(value) && Number(value) === Number(value) >>> 0
/** The halves of 32 registers. */
const HALVES = 64

function isLoop(value: unknown): value is SpinLoop {
  if (!isObject(value)) return false
  const { pc, registers, steps } = value
  return isWord(pc) && Array.isArray(registers) && registers.length === HALVES && registers.every(isHalf) && Number.isInteger(steps) && Number(steps) >= 0 && Number(steps) <= SPIN_MOST
}

function isLook(value: unknown): value is SpinLook {
  return isObject(value) && Number.isSafeInteger(value['until']) && isWord(value['pc']) && isWord(value['stack']) && (value['loop'] === null || isLoop(value['loop']))
}

/**
 * A saved run from anywhere.
 *
 * @param steps - of the hart so far
 * @param most - how many steps a look takes until it compares
 */
export function checkedRun(input: unknown, part: string, steps: number, most: number): SavedRun {
  const fail = (field: string): never => {
    throw machinistError({ code: 'bad-state', part, value: field, remedy: 'Restore a state that this version saved.' }, 'the saved run is not valid')
  }
  if (!isObject(input)) return fail('run')
  const { others, owed, look } = input
  if (typeof others !== 'boolean') return fail('others')
  if (owed !== null && owed !== 'halt' && owed !== 'yield') return fail('owed')
  if (look !== null && (!isLook(look) || look.until > steps + most)) return fail('look')
  return { others, owed, look: look && copyLook(look) }
}
