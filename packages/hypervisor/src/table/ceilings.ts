import type { AllocationTable } from '../contract/hypervisor.ts'
import type { ResourceKind } from '../contract/resources.ts'

/** What nobody wants, when it is more or less by such a part, is not told anew. */
const STEPS = 32

/**
 * What each machine may take of a resource until the table is made anew: what it is entitled to, and what nobody was found to want in its pool and those above, within their limits. Where several processors share
 * out the resource, each may give its machines a part of what nobody wants.
 *
 * @returns by the names of machines
 */
export function ceilings({ rows }: AllocationTable, kind: ResourceKind, processors: number): ReadonlyMap<string, number> {
  const [host, ...others] = rows
  const most = new Map([['', host?.resources[kind]?.limit ?? Infinity]])
  const due = new Map([['', host?.resources[kind]?.entitled ?? 0]])
  const found = new Map<string, number>()
  for (const { kind: what, name, pool, resources } of others) {
    const { limit = Infinity, entitled = 0 } = resources[kind] ?? {}
    const spare = Math.max(0, (most.get(pool) ?? Infinity) - (due.get(pool) ?? 0))
    if (what === 'machine') found.set(name, Math.min(limit, entitled + rounded(spare / processors)))
    else {
      most.set(name, Math.min(limit, entitled + spare))
      due.set(name, entitled)
    }
  }
  return found
}

function rounded(amount: number): number {
  if (!(amount > 0 && amount < Infinity)) return amount
  const step = 2 ** Math.floor(Math.log2(amount)) / STEPS
  return Math.floor(amount / step) * step
}
