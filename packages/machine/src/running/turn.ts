import { type CountedVcpu, type MachinistError, machinistError } from '@machinist/api'

/** The contract's limit on a budget. */
export const MOST_BUDGET: number = 2 ** 30

/** A turn of a hart, which may be left in the middle and gone on with. Steps are those of the hart, in all. */
export interface Turn {
  readonly vcpu: CountedVcpu
  /** Harts that wanted to run when it began: they share the time. */
  readonly runnable: number
  /** The first deadline then. */
  readonly deadline: number
  /** Instructions that the hart had retired when it began: time goes by them. */
  readonly from: number
  /** Steps at which it ends. */
  readonly end: number
  /** How many times as long each stretch is as the one before. */
  readonly growth: number
  /** The longest stretch. */
  readonly longest: number
  /** The stretch in progress, after which the hart is asked whether it spins; 0 for the last piece, after which it is not. */
  stretch: number
  /** Steps at which the piece in progress ends. */
  mark: number
  /** The piece has begun, and a run was cut short. */
  again: boolean
  /** The piece is over, and the hart is being asked. */
  asking: boolean
}

/** A turn that was left in the middle: plain data. */
export interface SavedTurn extends Omit<Turn, 'vcpu'> {
  readonly hart: number
  /** What the hart knows of the run. */
  readonly run: unknown
}

/** Whose turn it is, between slices. */
export interface SavedTurns {
  /** The hart that had the last turn; −1 before the first. */
  readonly last: number
  /** Harts that spun at the end of their last turns. */
  readonly spun: readonly number[]
  /** What waited for the next turn has been delivered. */
  readonly delivered?: boolean
  /** The turn in progress, if it was left in the middle. */
  readonly turn?: SavedTurn | null
}

export function saveTurn({ vcpu, ...turn }: Turn): SavedTurn {
  return { ...turn, hart: vcpu.index, run: vcpu.saveRun?.() }
}

const bad = (problem: string, value?: number): MachinistError =>
  machinistError({ code: 'state', part: 'machine', value, remedy: 'Restore it into the machine that it was saved from.' }, problem)

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null

/**
 * Turns from anywhere, checked but for what depends on the harts' states.
 *
 * @throws a typed error `'state'`
 */
export function checkedTurns(input: unknown, harts: number): SavedTurns {
  const isHart = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 0 && Number(value) < harts
  if (!isObject(input) || !(input['last'] === -1 || isHart(input['last'])) || !Array.isArray(input['spun']) || !input['spun'].every(isHart)) throw bad('the saved turns are none')
  const { delivered = false, turn = null } = input
  if (typeof delivered !== 'boolean') throw bad('the saved turns are none')
  if (turn === null) return { ...input, delivered, turn } as unknown as SavedTurns
  const fits = isObject(turn) && isHart(turn['hart']) && isHart(Number(turn['runnable']) - 1) && typeof turn['deadline'] === 'number'
    && ['from', 'end', 'longest', 'stretch', 'mark'].every((name) => Number.isSafeInteger(turn[name]) && Number(turn[name]) >= 0)
    && Number.isInteger(turn['growth']) && Number(turn['growth']) >= 2 && typeof turn['again'] === 'boolean' && typeof turn['asking'] === 'boolean'
  if (!fits) throw bad('the saved turn is none')
  return { ...input, delivered, turn } as unknown as SavedTurns
}

/**
 * The turn of a hart whose state has been restored.
 *
 * @throws a typed error `'state'`, or what the hart throws
 */
export function restoreTurn({ hart, run, ...turn }: SavedTurn, vcpus: readonly CountedVcpu[]): Turn {
  const vcpu = vcpus[hart]
  if (vcpu === undefined) throw bad('the saved turn is of no hart', hart)
  const { retired, steps } = vcpu
  const right = turn.from <= retired && steps <= turn.end && turn.mark <= turn.end && turn.end - steps <= MOST_BUDGET && steps - turn.mark <= MOST_BUDGET
  if (!right) throw bad('the saved turn is not one of the saved hart', hart)
  vcpu.restoreRun?.(run)
  return { vcpu, ...turn }
}
