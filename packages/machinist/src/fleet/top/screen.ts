import { amountText, bytesText, columnsOf, type Look, machineRows, poolRows, sorted, sumOf, tableLines, type TopRow, type TopView } from '@machinist/hypervisor/text'

/** What is shown of a look, and how. */
export interface Showing {
  readonly view: TopView
  readonly pools: boolean
  readonly sort: keyof TopRow
  readonly reverse: boolean
}

/** Rows of machines or of pools between two looks, in their order. */
export function rowsOf(now: Look, before: Look | null, { pools, sort, reverse }: Showing): readonly TopRow[] {
  const machines = machineRows(now, before)
  return sorted(pools ? poolRows(now, machines) : machines, sort, reverse)
}

const two = (value: number): string => String(value).padStart(2, '0')

/** Lines about the whole host. */
export function headLines(now: Look, before: Look | null, time: Date, width: number = Infinity): readonly string[] {
  const machines = machineRows(now, before)
  const { used, ready, held, own, shared, merged, ballooned, compressed, swapped, read, written, sent, received } = sumOf(machines)
  const running = machines.filter(({ state }) => state === 'running').length
  const { cpu = now.processors, memory, disk, network } = now.capacity
  const of = (amount: number | undefined, kind: 'memory' | 'disk' | 'network'): string => amount === undefined ? '' : ` of ${amountText(kind, amount)}`
  return [
    `machinist top ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}  ${machines.length} machine${machines.length === 1 ? '' : 's'}, ${running} running`,
    `cpu      ${(used / 100).toFixed(2)} of ${amountText('cpu', cpu)} used, ${(ready / 100).toFixed(2)} ready, ${(held / 100).toFixed(2)} held back`,
    `memory   ${bytesText(own)}${of(memory, 'memory')} own, ${bytesText(shared)} shared; merged ${bytesText(merged)}, balloon ${bytesText(ballooned)}, compressed ${bytesText(compressed)}, swapped ${bytesText(swapped)}`,
    `disk     ${bytesText(read)}/s read, ${bytesText(written)}/s written${of(disk, 'disk')}`,
    `network  ${bytesText(received)}/s received, ${bytesText(sent)}/s sent${of(network, 'network')}`,
  ].map((line) => line.length > width ? `${line.slice(0, Math.max(0, width - 1))}…` : line)
}

/** What `--once` and `--batch` write of a look. */
export function plainText(now: Look, before: Look | null, showing: Showing, time: Date): string {
  return [...headLines(now, before, time), '', ...tableLines(columnsOf(showing.view, showing.pools), rowsOf(now, before, showing)), ''].map((line) => `${line}\n`).join('')
}

/** {@link headLines} with the empty line below. */
const HOST_LINES = 6

/** What is shown for `h`. */
const HELP: readonly string[] = [
  'q  end                       h  this help',
  'a  all columns               c  CPU',
  'm  memory by means           i  disks and networks',
  'p  machines or pools         r  the other way round',
  '< >  sort by another column  arrows, Page keys  move',
  'Space  look now              + -  look more often, less often',
]

/** Lines about the host, above the table. In a low terminal the machines are worth more. */
function hostLines(height: number): number {
  return HOST_LINES + 4 > height ? 0 : HOST_LINES
}

/** Rows of machines for which a screen has room. */
export function roomIn(height: number): number {
  return Math.max(0, height - hostLines(height) - 2)
}

/** How a screen is drawn: what it shows, what is marked, and from which row on. */
export interface Drawing extends Showing {
  readonly width: number
  readonly height: number
  /** The first row that is shown. */
  readonly from: number
  readonly help: boolean
  /** Milliseconds between looks. */
  readonly delay: number
  /** What is said at the bottom, instead of the keys. */
  readonly note: string | null
}

/** The lines of a screen, as many as it has at most, and which of them is the head of the table. */
export function screenLines(now: Look, before: Look | null, drawing: Drawing, time: Date): { readonly lines: readonly string[]; readonly head: number } {
  const { width, height, view, pools, from, sort, reverse, delay, help } = drawing
  const columns = columnsOf(view, pools)
  const foot = drawing.note ?? `${pools ? 'pools' : 'machines'} by ${sort}${reverse ? ', reversed' : ''}, each ${delay / 1000} s. h shows the keys, q ends.`
  const bottom = [foot.length > width ? foot.slice(0, width) : foot]
  if (help) {
    const wide = Math.max(...columns.map(({ title }) => title.length))
    const text = [...HELP, '', ...columns.map((column) => `${column.title.padEnd(wide)}  ${column.about}`)]
    return { lines: [...text.map((line) => line.slice(0, width)).slice(0, Math.max(0, height - 1)), ...bottom], head: -1 }
  }
  const above = [...headLines(now, before, time, width), ''].slice(0, hostLines(height))
  const [head = '', ...rows] = tableLines(columns, rowsOf(now, before, drawing), width)
  const room = roomIn(height)
  const shown = rows.slice(from, from + room)
  const blank = Array.from({ length: room - shown.length }, () => '')
  return { lines: [...above, head, ...shown, ...blank, ...bottom].slice(0, height), head: above.length }
}
