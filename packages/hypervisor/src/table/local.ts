import type { AllocationTable } from '../contract/hypervisor.ts'
import type { PoolSpec } from '../contract/machines.ts'
import type { Terms } from '../contract/resources.ts'
import { PROCESSOR_RESERVABLE, type Member, parentOf } from './tree.ts'
import { termsOf } from './terms.ts'

/** The tree of CPU time as one processor has it. */
export interface LocalTree {
  /** Parents come before children. */
  readonly pools: readonly ({ readonly path: string } & Required<Terms>)[]
  readonly machines: readonly ({ readonly name: string; readonly pool: string } & Required<Terms>)[]
}

/** The policy rounds promises up to millionths of a processor. */
const ROUNDING = 1e-6

/** The least part of a pool that a processor on which it has machines is taken to have: those that sleep now may wake before it is told again. */
const LEAST_PART = 1 / 64

/**
 * What a processor is told of CPU time: the pools of the machines that are on it, with those machines. A pool whose machines are on several processors has on each the part of its shares,
 * reservation and limit that its machines there are entitled to of what it is entitled to in all. Of a pool that is on one processor alone, that is all of it: what is promised there holds from one
 * moment to the next, and not only from one report to the next.
 *
 * @param here - whether a machine is on the processor
 * @param width - harts that the processor has
 */
export function localTree(pools: readonly PoolSpec[], machines: readonly Member[], table: AllocationTable, here: (name: string) => boolean, anywhere: (name: string) => boolean, width: number = 1): LocalTree {
  const entitled = new Map(table.rows.filter(({ kind }) => kind === 'machine').map(({ name, resources }) => [name, resources.cpu?.entitled ?? 0]))
  const local = machines.filter(({ name }) => here(name))
  const whole = tally(machines.filter(({ name }) => anywhere(name)), entitled)
  const part = tally(local, entitled)
  const promised = new Map<string, number>()
  const promise = (pool: string, amount: number): void => { promised.set(pool, (promised.get(pool) ?? 0) + amount) }
  for (const { pool, resources } of local) promise(pool, termsOf(resources, 'cpu').reservation)
  let spare = PROCESSOR_RESERVABLE * width - local.reduce((sum, { resources }) => sum + termsOf(resources, 'cpu').reservation, 0)
  // Children come before parents, whose promises include theirs.
  const scaled = pools.filter(({ path }) => part.has(path)).reverse().map(({ path, resources }) => {
    const { shares, reservation, limit } = termsOf(resources, 'cpu')
    const fraction = fractionOf(part.get(path), whole.get(path))
    const children = promised.get(path) ?? 0
    const own = Math.min(reservation, limit) * fraction
    const kept = Math.max(children, Math.min(own, children + Math.max(0, spare)))
    spare -= kept - children
    promise(parentOf(path), kept)
    // What those below were promised is theirs, whatever part of the pool is here.
    return { path, shares: shares * fraction, reservation: kept, limit: Math.max(limit * fraction, kept + ROUNDING * (local.length + 1)) }
  })
  const terms = local.map(({ name, pool, resources }) => {
    const { shares, reservation, limit } = termsOf(resources, 'cpu')
    return { name, pool, shares, reservation, limit: Math.max(limit, reservation + ROUNDING) }
  })
  return { pools: scaled.reverse(), machines: terms }
}

interface Tally {
  count: number
  entitled: number
}

/** For each pool, the machines below it and what they are entitled to. */
function tally(machines: readonly Member[], entitled: ReadonlyMap<string, number>): Map<string, Tally> {
  const sums = new Map<string, Tally>()
  for (const { name, pool } of machines) {
    for (let path = pool; path !== ''; path = parentOf(path)) {
      const sum = sums.get(path) ?? { count: 0, entitled: 0 }
      sum.count += 1
      sum.entitled += entitled.get(name) ?? 0
      sums.set(path, sum)
    }
  }
  return sums
}

function fractionOf(part: Tally | undefined, whole: Tally | undefined): number {
  if (part === undefined || whole === undefined || part.count === whole.count) return 1
  return Math.max(LEAST_PART, whole.entitled > 0 ? part.entitled / whole.entitled : part.count / whole.count)
}
