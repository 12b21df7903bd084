import { positive } from '../refuse.ts'
import type { Run } from './simulation.ts'

/** A list that a simulation's `onRun` fills, for {@link gantt}; runs after the first `most` (100 000 unless it is given) are not kept. */
export function recordRuns<E>(most: number = 100_000): { readonly runs: Run<E>[]; readonly onRun: (run: Run<E>) => void } {
  const runs: Run<E>[] = []
  return { runs, onRun: (run) => { if (runs.length < most) runs.push(run) } }
}

/** How a chart is drawn. */
export interface GanttOptions {
  /** Columns, 72 unless they are given. */
  readonly width?: number | undefined
  /** From when to when, ns; all unless it is given. */
  readonly from?: number | undefined
  readonly to?: number | undefined
  /** What the rows are: `'entities'` (this is meant unless it is given), each with the processors it ran on, or `'processors'`, each with the entities that it ran. */
  readonly rows?: 'entities' | 'processors' | undefined
}

/** What stands for the one that had most of a column: digits, letters, then `+`. */
const MARKS = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'

const markOf = (index: number): string => MARKS[index] ?? '+'

/**
 * Draws who ran when, as text: a row for each entity or processor, in which each column is a piece of time and shows who had most of it. Nothing is
 * drawn where a row was idle for more than half of the column.
 */
export function gantt<E>(runs: readonly Run<E>[], { width = 72, from, to, rows = 'entities' }: GanttOptions = {}): string {
  const begin = from ?? runs.reduce((least, run) => Math.min(least, run.from), Infinity)
  const end = to ?? runs.reduce((most, run) => Math.max(most, run.to), -Infinity)
  if (!(end > begin)) return ''
  const columns = Math.floor(positive('the width', width, 1000))
  const entities = [...new Set(runs.map(({ entity }) => entity))]
  const numbers = new Map(entities.map((entity, index) => [entity, index]))
  const step = (end - begin) / columns

  const table = new Map<number, Map<number, number>[]>()
  for (const run of runs) {
    const entity = numbers.get(run.entity) ?? 0
    const [row, mark] = rows === 'entities' ? [entity, run.processor] : [run.processor, entity]
    const cells = table.get(row) ?? Array.from({ length: columns }, () => new Map<number, number>())
    table.set(row, cells)
    const last = Math.min(columns - 1, Math.ceil((run.to - begin) / step) - 1)
    for (let column = Math.max(0, Math.floor((run.from - begin) / step)); column <= last; column++) {
      const share = Math.min(run.to, begin + (column + 1) * step) - Math.max(run.from, begin + column * step)
      if (share > 0) cells[column]?.set(mark, (cells[column]?.get(mark) ?? 0) + share)
    }
  }

  const name = (row: number): string => rows === 'entities' ? String(entities[row]) : `processor ${String(row)}`
  const order = [...table.keys()].sort((one, other) => one - other)
  const margin = Math.max(...order.map((row) => name(row).length))
  const drawn = order.map((row) => {
    const cells = (table.get(row) ?? []).map((cell) => {
      const busy = [...cell.values()].reduce((sum, share) => sum + share, 0)
      const [most] = [...cell].sort(([, one], [, other]) => other - one)
      return most === undefined || busy < step / 2 ? ' ' : markOf(most[0])
    })
    return `${name(row).padEnd(margin)} |${cells.join('')}|`
  })
  const scale = `${' '.repeat(margin)} |${`${milliseconds(begin)} ms`.padEnd(columns - 12)}${`${milliseconds(end)} ms`.padStart(12)}|`
  const legend = rows === 'entities' ? [] : [`${' '.repeat(margin)}  ${entities.map((entity, index) => `${markOf(index)} ${String(entity)}`).join(', ')}`]
  return [scale, ...drawn, ...legend, ''].join('\n')
}

const milliseconds = (time: number): string => String(Math.round(time / 1e3) / 1e3)
