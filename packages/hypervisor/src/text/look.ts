import type { AllocationTable, Hypervisor } from '../contract/hypervisor.ts'
import type { MachineReport, PoolSpec } from '../contract/machines.ts'
import type { Allotment, ResourceKind } from '../contract/resources.ts'
import { PAGE, stateText } from './lists.ts'

/** What a hypervisor says of its machines at one moment. */
export interface Look {
  /** Nanoseconds, of the host's monotonic clock. */
  readonly at: number
  readonly machines: readonly MachineReport[]
  readonly pools: readonly PoolSpec[]
  readonly table: AllocationTable
  readonly processors: number
  readonly capacity: Readonly<Partial<Record<ResourceKind, number>>>
}

/** What a machine or a pool did between two looks. Shares of one processor are in percent, memory in bytes, and the rest in a second. */
export interface TopRow {
  readonly name: string
  readonly pool: string
  readonly state: string
  readonly processor: number
  /** Machines, of a pool. */
  readonly machines: number
  readonly used: number
  readonly ready: number
  readonly held: number
  /** Of the allocation table; NaN where that has nothing of it. */
  readonly entitled: number
  readonly lacking: number
  /** Millions of instructions a second. */
  readonly mips: number
  readonly touched: number
  readonly own: number
  readonly shared: number
  readonly merged: number
  readonly ballooned: number
  readonly compressed: number
  readonly swapped: number
  readonly read: number
  readonly written: number
  readonly requests: number
  readonly sent: number
  readonly received: number
  readonly frames: number
}

/**
 * Looks at a hypervisor.
 *
 * @param now - the host's monotonic clock, in nanoseconds
 */
export async function look(hypervisor: Hypervisor, now: () => number): Promise<Look> {
  const [machines, pools, table, { capacity, processors }] = await Promise.all([hypervisor.machines(), hypervisor.pools(), hypervisor.table(), hypervisor.host()])
  return { at: now(), machines, pools, table, processors, capacity }
}

/** What is added up where machines are taken together. */
const ADDED = ['used', 'ready', 'held', 'mips', 'touched', 'own', 'shared', 'merged', 'ballooned', 'compressed', 'swapped', 'read', 'written', 'requests', 'sent', 'received', 'frames'] as const

const NOTHING: Readonly<Record<typeof ADDED[number], number>> = { used: 0, ready: 0, held: 0, mips: 0, touched: 0, own: 0, shared: 0, merged: 0, ballooned: 0, compressed: 0, swapped: 0, read: 0, written: 0, requests: 0, sent: 0, received: 0, frames: 0 }

/** Sums of rows. */
export function sumOf(rows: readonly TopRow[]): Readonly<Record<typeof ADDED[number], number>> {
  const sum = { ...NOTHING }
  for (const row of rows) for (const name of ADDED) sum[name] += row[name]
  return sum
}

/** CPU in percent of one processor, as the table has it. */
function due({ table }: Look, kind: 'machine' | 'pool', name: string): Pick<TopRow, 'entitled' | 'lacking'> {
  const cell: Allotment | undefined = table.rows.find((row) => row.kind === kind && row.name === name)?.resources.cpu
  return { entitled: cell === undefined ? NaN : 100 * cell.entitled, lacking: cell === undefined ? NaN : 100 * cell.lacking }
}

/** What machines did from one look to the next; since they were added, where there is only one. */
export function machineRows(now: Look, before: Look | null): readonly TopRow[] {
  const seconds = before === null ? NaN : (now.at - before.at) / 1e9
  const known = new Map(before?.machines.map((machine) => [machine.name, machine]))
  return now.machines.map((machine) => {
    const past = known.get(machine.name)
    // A machine that is new, or was removed and came again under its name, has done since then what it did at all.
    const rate = (of: (report: MachineReport) => number): number => {
      if (!(seconds > 0)) return 0
      const from = past === undefined ? 0 : of(past)
      const to = of(machine)
      return (to < from ? to : to - from) / seconds
    }
    const pages = (count: number): number => count * PAGE
    const { memory } = machine
    return {
      name: machine.name, pool: machine.pool, state: stateText(machine), processor: machine.processor, machines: 1,
      used: rate(({ cpu }) => cpu.used) / 1e7, ready: rate(({ cpu }) => cpu.ready) / 1e7, held: rate(({ cpu }) => cpu.held) / 1e7,
      ...due(now, 'machine', machine.name), mips: rate(({ retired }) => retired) / 1e6,
      touched: pages(memory.touched), own: pages(memory.own), shared: pages(memory.shared), merged: pages(memory.merged),
      ballooned: pages(memory.ballooned), compressed: pages(memory.compressed), swapped: pages(memory.swapped),
      read: rate(({ disk }) => disk.readBytes), written: rate(({ disk }) => disk.writtenBytes), requests: rate(({ disk }) => disk.requests),
      sent: rate(({ network }) => network.sentBytes), received: rate(({ network }) => network.receivedBytes), frames: rate(({ network }) => network.frames),
    }
  })
}

/** The same of pools: each with all that is in it, and in pools in it. */
export function poolRows(now: Look, machines: readonly TopRow[]): readonly TopRow[] {
  return now.pools.map(({ path }) => {
    const inside = machines.filter(({ pool }) => pool === path || pool.startsWith(`${path}/`))
    const running = inside.filter(({ state }) => state === 'running').length
    return {
      name: path, pool: path.split('/').slice(0, -1).join('/'), state: `${running} running`, processor: -1, machines: inside.length, ...sumOf(inside), ...due(now, 'pool', path),
    }
  })
}
