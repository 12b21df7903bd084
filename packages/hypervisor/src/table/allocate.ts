import { divide } from '@machinist/schedulers'
import type { AllocationRow, AllocationTable } from '../contract/hypervisor.ts'
import type { PoolSpec } from '../contract/machines.ts'
import { type Allotment, type Capacity, RESOURCE_KINDS, type ResourceKind, type Terms, type Usage } from '../contract/resources.ts'
import { pageCost } from '../memory/targets.ts'
import { termsOf } from './terms.ts'
import { type Member, parentOf } from './tree.ts'

const NOTHING: Usage = { demand: 0, used: 0 }

/** A machine or a pool, while one resource is divided. */
interface Node {
  readonly row: { readonly kind: AllocationRow['kind']; readonly name: string; readonly pool: string; readonly resources: Partial<Record<ResourceKind, Allotment>> }
  readonly terms: Required<Terms>
  readonly children: Node[]
  demand: number
  used: number
  idle: number
  /** What it would take within its limit, and what of that it was promised. */
  wanted: number
  least: number
  entitled: number
}

/**
 * The allocation table: what everybody wants goes up the tree, and what there is goes down, divided level by level (`divide` of `@machinist/schedulers`). Of a resource without a capacity, everybody is
 * entitled to what it wants, within limits. What lies idle costs more shares than what is in use (`memoryTargets`), wherever on the host it is.
 *
 * @param pools - parents come before children
 * @param usage - what each machine wants and takes
 * @param at - nanoseconds, of the host's clock
 */
export function allocate(capacity: Capacity, pools: readonly PoolSpec[], machines: readonly Member[], usage: (name: string, kind: ResourceKind) => Usage | undefined, at: number): AllocationTable {
  const host: AllocationRow = { kind: 'host', name: '', pool: '', resources: {} }
  const rows = [
    host,
    ...pools.map(({ path }): AllocationRow => ({ kind: 'pool', name: path, pool: parentOf(path), resources: {} })),
    ...machines.map(({ name, pool }): AllocationRow => ({ kind: 'machine', name, pool, resources: {} })),
  ]
  for (const kind of RESOURCE_KINDS) {
    const node = (row: AllocationRow, terms: Required<Terms>): Node => ({ row, terms, children: [], demand: 0, used: 0, idle: 0, wanted: 0, least: 0, entitled: 0 })
    const root = node(host, { shares: 1, reservation: 0, limit: capacity[kind] ?? Infinity })
    const groups = new Map([['', root]])
    const under = (pool: string): Node[] => groups.get(pool)?.children ?? root.children
    rows.slice(1, 1 + pools.length).forEach((row, index) => {
      const pool = node(row, termsOf(pools[index]?.resources, kind))
      under(row.pool).push(pool)
      groups.set(row.name, pool)
    })
    rows.slice(1 + pools.length).forEach((row, index) => {
      const machine = node(row, termsOf(machines[index]?.resources, kind))
      Object.assign(machine, usage(row.name, kind) ?? NOTHING)
      under(row.pool).push(machine)
    })
    gather(root)
    root.entitled = root.wanted
    hand(root, kind, root.children.reduce((sum, { wanted }) => sum + wanted, 0) > root.terms.limit)
  }
  return { at, rows }
}

/** Adds up what is wanted and used, from the leaves to the root. */
function gather(node: Node): void {
  let [wanted, least] = [0, 0]
  for (const child of node.children) {
    gather(child)
    node.demand += child.demand
    node.used += child.used
    node.idle += child.idle
    wanted += child.wanted
    least += child.least
  }
  node.wanted = Math.min(node.row.kind === 'machine' ? node.demand : wanted, node.terms.limit)
  node.least = Math.min(node.wanted, Math.max(node.terms.reservation, least))
}

/** Its shares, fewer where what it has lies idle: of a pool, too. */
function weightOf({ terms: { shares }, used, idle }: Node): number {
  return shares / pageCost(used > 0 ? 1 - Math.min(1, idle / used) : 1)
}

/** Divides what a node is entitled to among its children, and fills in the cells. Returns what it lacks. */
function hand(node: Node, kind: ResourceKind, short: boolean): number {
  const { children, terms, demand, used, entitled } = node
  let lacking = 0
  if (node.row.kind === 'machine') lacking = short || used < entitled ? Math.max(0, node.wanted - used) : 0
  else {
    // Admission sees to it that all promises can be kept, unless there is less now than there was then.
    const promised = children.reduce((sum, { least }) => sum + least, 0)
    const kept = promised > entitled ? entitled / promised : 1
    const shares = divide(entitled, children.map((child) => ({ shares: weightOf(child), reservation: child.least * kept, demand: child.wanted })))
    children.forEach((child, index) => {
      child.entitled = shares[index] ?? 0
      lacking += hand(child, kind, short)
    })
  }
  node.row.resources[kind] = { ...terms, demand, used, entitled, lacking }
  return lacking
}
