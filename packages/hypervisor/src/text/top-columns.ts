import type { Column } from './columns.ts'
import { bytesText } from './terms.ts'
import type { TopRow } from './look.ts'

/** What `machinist top` shows. */
export type TopView = 'all' | 'cpu' | 'memory' | 'io'

/** A column of `machinist top`. */
export interface TopColumn extends Column<TopRow> {
  /** What it is called where one sorts by it. */
  readonly key: keyof TopRow
  /** The view that it belongs to; null for all. */
  readonly view: Exclude<TopView, 'all'> | null
  /** For help. */
  readonly about: string
}

const percent = (value: number): string => Number.isNaN(value) ? '-' : value.toFixed(1)
const count = (value: number): string => value >= 1e5 ? bytesText(value) : value.toFixed(value > 0 && value < 10 ? 1 : 0)

type Numbers = { [Key in keyof TopRow]: TopRow[Key] extends number ? Key : never }[keyof TopRow]

const number = (key: Numbers, view: TopColumn['view'], title: string, text: (value: number) => string, about: string, rank: number): TopColumn =>
  ({ key, view, title, text: (row) => text(row[key]), right: true, about, rank, least: key === 'processor' ? 2 : 5 })

/** All columns, in their order. */
export const TOP_COLUMNS: readonly TopColumn[] = [
  { key: 'name', view: null, title: 'NAME', text: ({ name }) => name, about: 'the name' },
  { key: 'pool', view: null, title: 'POOL', text: ({ pool }) => pool === '' ? '-' : pool, about: 'the pool that it is in', rank: 12 },
  { key: 'state', view: null, title: 'STATE', text: ({ state }) => state, about: 'what it is doing', rank: 5 },
  number('processor', 'cpu', 'P', (value) => value < 0 ? '-' : String(value), 'the processor on which it is', 14),
  number('used', 'cpu', '%USED', percent, 'CPU time, in percent of one processor', 0),
  number('ready', 'cpu', '%READY', percent, 'time for which it was ready and others ran', 1),
  number('held', 'cpu', '%HELD', percent, 'time for which it was held back: co-stop, or its limit', 3),
  number('entitled', 'cpu', '%DUE', percent, 'what it is entitled to', 9),
  number('lacking', 'cpu', '%LACK', percent, 'what it wants and does not get', 10),
  number('mips', 'cpu', 'MIPS', count, 'millions of instructions a second', 13),
  number('touched', 'memory', 'TOUCHED', bytesText, 'memory that the guest has touched', 11),
  number('own', 'memory', 'OWN', bytesText, 'memory of the host that it has for itself', 2),
  number('shared', 'memory', 'SHARED', bytesText, 'memory that others have, too', 8),
  number('merged', 'memory', 'MERGED', bytesText, 'memory given back because it was zeros or equal', 15),
  number('ballooned', 'memory', 'BALLOON', bytesText, 'memory in its balloon, or reported as free', 16),
  number('compressed', 'memory', 'COMPR', bytesText, 'memory that is kept compressed', 17),
  number('swapped', 'memory', 'SWAP', bytesText, 'memory in the swap file', 7),
  number('read', 'io', 'READ/s', bytesText, 'bytes read from disks', 4),
  number('written', 'io', 'WRITE/s', bytesText, 'bytes written to disks', 4),
  number('requests', 'io', 'REQ/s', count, 'requests to disks', 18),
  number('received', 'io', 'RECV/s', bytesText, 'bytes received from networks', 6),
  number('sent', 'io', 'SENT/s', bytesText, 'bytes sent to networks', 6),
  number('frames', 'io', 'FRAME/s', count, 'frames sent and received', 19),
]

/** The columns of a view. Those of a view alone stay in a narrow terminal. */
export function columnsOf(view: TopView, pools: boolean): readonly TopColumn[] {
  const machines: TopColumn = { key: 'machines', view: null, title: 'MACHINES', text: ({ machines: all }) => String(all), right: true, about: 'machines in the pool', rank: 5 }
  const columns = pools ? TOP_COLUMNS.flatMap((column) => column.key === 'state' ? [machines, column] : column.key === 'pool' || column.key === 'processor' ? [] : [column]) : TOP_COLUMNS
  return columns.filter((column) => view === 'all' || column.view === view || column.view === null)
}

/** Rows in the order of a column: the most of it first, and names from A to Z. */
export function sorted(rows: readonly TopRow[], key: keyof TopRow, reverse = false): readonly TopRow[] {
  const sign = reverse ? -1 : 1
  return [...rows].sort((one, other) => {
    const [a, b] = [one[key], other[key]]
    const byKey = typeof a === 'number' && typeof b === 'number' ? (Number.isNaN(b) ? -1 : b) - (Number.isNaN(a) ? -1 : a) : String(a).localeCompare(String(b), 'en', { numeric: true })
    return sign * (byKey || one.name.localeCompare(other.name, 'en', { numeric: true }))
  })
}
