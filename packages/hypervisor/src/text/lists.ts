import type { AllocationRow, AllocationTable, HypervisorEvent } from '../contract/hypervisor.ts'
import type { MachineReport, PoolSpec } from '../contract/machines.ts'
import { type Allotment, RESOURCE_KINDS, type ResourceKind } from '../contract/resources.ts'
import { type Column, plain } from './columns.ts'
import { amountText, bytesText } from './terms.ts'

/** Bytes of a page. */
export const PAGE = 4096
const SECOND = 1e9

/** What a machine is doing, in a word or two. */
export function stateText({ state, status, error }: Pick<MachineReport, 'state' | 'status' | 'error'>): string {
  if (state === 'running' || state === 'paused') return state
  if (error !== null) return 'failed'
  return status === null ? 'off' : `off (${status})`
}

/** CPU time: `'4.2s'`, `'3:07'`, `'2:03:07'`. */
export function timeText(ns: number): string {
  const seconds = ns / SECOND
  if (seconds < 100) return `${seconds.toFixed(1)}s`
  const two = (value: number): string => String(Math.floor(value) % 60).padStart(2, '0')
  const hours = Math.floor(seconds / 3600)
  return hours === 0 ? `${Math.floor(seconds / 60)}:${two(seconds)}` : `${hours}:${two(seconds / 60)}:${two(seconds)}`
}

/** `machinist ps`. */
export const PS_COLUMNS: readonly Column<MachineReport>[] = [
  { title: 'NAME', text: ({ name }) => name },
  { title: 'STATE', text: stateText },
  { title: 'POOL', text: ({ pool }) => pool === '' ? '-' : pool, rank: 4 },
  { title: 'GROUP', text: ({ group, name }) => group === '' || group === name ? '-' : group, rank: 6 },
  { title: 'PROCESSOR', text: ({ processor }) => processor < 0 ? '-' : String(processor), right: true, rank: 5 },
  { title: 'CPU', text: ({ cpu }) => timeText(cpu.used), right: true, rank: 1 },
  { title: 'MEMORY', text: ({ memory }) => bytesText(memory.own * PAGE), right: true, rank: 2 },
  { title: 'DISK', text: ({ disk }) => bytesText(disk.readBytes + disk.writtenBytes), right: true, rank: 7 },
  { title: 'NETWORK', text: ({ network }) => bytesText(network.sentBytes + network.receivedBytes), right: true, rank: 8 },
  { title: 'ERROR', text: ({ error, state }) => state === 'running' || state === 'paused' ? '' : error ?? '', rank: 3 },
]

/** A row of `machinist table`: a machine or a pool, and one resource. */
export interface TableCell {
  readonly row: AllocationRow
  readonly kind: ResourceKind
  readonly cell: Allotment
  readonly depth: number
}

const UNITS: Readonly<Record<ResourceKind, string>> = { cpu: 'processors', memory: 'bytes', disk: 'bytes/s', space: 'bytes', network: 'bytes/s' }

const amounts = (title: string, of: (cell: Allotment) => number, rank?: number): Column<TableCell> => ({
  title, text: ({ cell, kind }) => amountText(kind, of(cell)), right: true, ...(rank !== undefined && { rank }),
})

/** `machinist table`, for one resource. */
export const TABLE_COLUMNS: readonly Column<TableCell>[] = [
  { title: 'NAME', text: ({ row, depth }) => `${'  '.repeat(depth)}${row.kind === 'host' ? '(host)' : row.kind === 'pool' ? `${row.name.split('/').at(-1) ?? ''}/` : row.name}` },
  { title: 'SHARES', text: ({ cell, row }) => row.kind === 'host' ? '' : String(cell.shares), right: true, rank: 2 },
  amounts('RESERVED', ({ reservation }) => reservation, 3),
  amounts('LIMIT', ({ limit }) => limit, 4),
  amounts('WANTS', ({ demand }) => demand, 1),
  amounts('ENTITLED', ({ entitled }) => entitled),
  amounts('USES', ({ used }) => used),
  amounts('LACKS', ({ lacking }) => lacking),
]

/** The rows as a tree: each behind what it is in. */
function asTree({ rows }: AllocationTable): readonly { readonly row: AllocationRow; readonly depth: number }[] {
  const lines: { readonly row: AllocationRow; readonly depth: number }[] = []
  const below = (pool: string, depth: number): void => {
    for (const kind of ['pool', 'machine']) for (const row of rows) {
      if (row.kind !== kind || row.pool !== pool) continue
      lines.push({ row, depth })
      if (row.kind === 'pool') below(row.name, depth + 1)
    }
  }
  for (const row of rows) if (row.kind === 'host') lines.push({ row, depth: 0 })
  below('', 1)
  return lines
}

/** Whether somebody wants something of a resource, or was promised some, or there is an end to it. */
function matters({ cell: { demand, used, reservation, limit } }: TableCell): boolean {
  return demand > 0 || used > 0 || reservation > 0 || (limit !== null && limit !== Infinity)
}

/** What an allocation table says of each resource of which there is something to say. */
export function tableSections(table: AllocationTable): readonly { readonly title: string; readonly rows: readonly TableCell[] }[] {
  const tree = asTree(table)
  return RESOURCE_KINDS.flatMap((kind) => {
    const rows = tree.flatMap(({ row, depth }) => {
      const cell = row.resources[kind]
      return cell === undefined ? [] : [{ row, depth, kind, cell }]
    })
    return !rows.some(matters) ? [] : [{ title: `${kind}, ${UNITS[kind]}`, rows }]
  })
}

/** `machinist pool list`. */
export const POOL_COLUMNS: readonly Column<PoolSpec>[] = [
  { title: 'POOL', text: ({ path }) => path },
  ...RESOURCE_KINDS.map((kind): Column<PoolSpec> => ({
    title: kind.toUpperCase(),
    text({ resources }) {
      const { shares, reservation, limit } = resources?.[kind] ?? {}
      return [
        ...shares === undefined ? [] : [`${shares} shares`], ...reservation === undefined || reservation === 0 ? [] : [`${amountText(kind, reservation)} reserved`],
        ...limit === undefined || limit === null || limit === Infinity ? [] : [`at most ${amountText(kind, limit)}`],
      ].join(', ') || '-'
    },
  })),
]

/** A time, in nanoseconds since 1970, as ISO 8601 has it, in UTC and to the millisecond. */
function isoText(at: bigint): string {
  const milliseconds = Number(at / 1_000_000n)
  const days = Math.floor(milliseconds / 86_400_000)
  const rest = milliseconds - days * 86_400_000
  // Years begin in March, so that a leap day is the last of its year; 400 of them have 146097 days.
  const fromEpoch = days + 719_468
  const era = Math.floor(fromEpoch / 146_097)
  const day = fromEpoch - era * 146_097
  const year = Math.floor((day - Math.floor(day / 1460) + Math.floor(day / 36_524) - Math.floor(day / 146_096)) / 365)
  const ofYear = day - (365 * year + Math.floor(year / 4) - Math.floor(year / 100))
  const month = Math.floor((5 * ofYear + 2) / 153)
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0')
  const date = `${String(year + era * 400 + (month > 9 ? 1 : 0)).padStart(4, '0')}-${two((month + 2) % 12 + 1)}-${two(ofYear - Math.floor((153 * month + 2) / 5) + 1)}`
  return `${date}T${two(rest / 3_600_000)}:${two(rest / 60_000 % 60)}:${two(rest / 1000 % 60)}.${String(rest % 1000).padStart(3, '0')}Z`
}

/** One line about an event, without its end. */
export function eventText({ at, kind, name, text }: HypervisorEvent): string {
  return plain([isoText(at), name, kind, text].filter((word) => word !== '').join(' '))
}
