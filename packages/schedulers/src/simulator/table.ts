import type { TaskReport } from './simulation.ts'

/** What became of entities, as a table of text: CPU time and its part of all, runs, time that they waited, and latencies (median, 99th percentile, greatest), in ms. */
export function latencyTable<E>(reports: ReadonlyMap<E, TaskReport>): string {
  const all = [...reports.values()].reduce((sum, { ran }) => sum + ran, 0)
  const rows = [...reports].map(([entity, { ran, runs, waited, latency, response }]) => [
    String(entity), ms(ran), all === 0 ? '-' : (ran / all * 100).toFixed(1), String(runs), ms(waited),
    ...latency.count === 0 ? ['-', '-', '-'] : [latency.quantile(0.5), latency.quantile(0.99), latency.max].map(ms),
    ...response.count === 0 ? ['-', '-'] : [response.quantile(0.99), response.max].map(ms),
  ])
  const table = [['', 'CPU', '%', 'runs', 'waited', 'latency p50', 'p99', 'max', 'done p99', 'max'], ...rows]
  const widths = (table[0] ?? []).map((_, column) => Math.max(...table.map((row) => (row[column] ?? '').length)))
  return `${table.map((row) => row.map((cell, column) => column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)).join('  ').trimEnd()).join('\n')}\n`
}

const ms = (time: number): string => (time / 1e6).toFixed(2)
