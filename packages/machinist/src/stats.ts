import type { MachineStats } from '@machinist/machine'

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`

/**
 * What `--stats` shows.
 *
 * @param elapsed - milliseconds from start to end
 */
export function statsText(stats: MachineStats, elapsed: number): string {
  const run = stats.runTime / 1e6
  const { exits } = stats
  const rows: readonly (readonly [string, string])[] = [
    ['retired', `${stats.retired.toLocaleString('en')} instructions`],
    ['speed', `${run > 0 ? (stats.retired / run / 1000).toFixed(1) : '0'} MIPS while running`],
    ['elapsed', seconds(elapsed)],
    ['running', seconds(run)],
    ['idle', seconds(stats.idleTime / 1e6)],
    ['virtual', seconds(stats.virtualTime / 1e6)],
    ['slices', `${exits.budget} budget, ${exits.halt} halt, ${exits.yield} yield, ${exits.debug} debug`],
    ['events', String(stats.events)],
    ['memory', `${(stats.touchedMemory / 2 ** 20).toFixed(1)} MiB touched`],
  ]
  return rows.map(([name, value]) => `${name.padEnd(8)} ${value}\n`).join('')
}
