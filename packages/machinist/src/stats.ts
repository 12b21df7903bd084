import type { MachineStats } from '@machinist/machine'
import { type TimeSpent, timeShares } from './time-shares.ts'

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`

const percent = (part: number, whole: number): string => `${whole > 0 ? ((100 * part) / whole).toFixed(1) : '0'} %`

/** `12.0 % translated code, …`, what there is of it. */
function sharesText(spent: TimeSpent): string {
  const whole = timeShares.reduce((sum, share) => sum + spent[share], 0)
  return timeShares.filter((share) => spent[share] > 0).map((share) => `${percent(spent[share], whole)} ${share}`).join(', ')
}

/** What the CPU's engine says of itself, if it says anything. */
function engineRows({ retired, cpu }: MachineStats): readonly (readonly [string, string])[] {
  const { translated, stepped = 0, tlbMisses = 0, bytes = 0, regions = 0, dropped = 0 } = cpu
  if (translated === undefined) return []
  const interpreted = Math.max(0, retired - translated - stepped)
  return [
    ['engine', `${percent(translated, retired)} of instructions translated, ${percent(interpreted, retired)} interpreted, ${percent(stepped, retired)} one at a time`],
    ['regions', `${regions} made, ${dropped} dropped, ${(bytes / 1024).toFixed(0)} KiB of WebAssembly`],
    ['TLB', `${((1000 * tlbMisses) / Math.max(1, retired)).toFixed(2)} misses per 1000 instructions`],
  ]
}

/** One line about the time since `before`, for a look at a machine that runs. */
export function liveText(stats: MachineStats, before: MachineStats | null, spent?: TimeSpent, balloons: readonly string[] = []): string {
  const of = (name: string): number => (stats.cpu[name] ?? 0) - (before?.cpu[name] ?? 0)
  const retired = stats.retired - (before?.retired ?? 0)
  const run = (stats.runTime - (before?.runTime ?? 0)) / 1e6
  const mips = run > 0 ? (retired / run / 1000).toFixed(0) : '0'
  return `${mips} MIPS, ${percent(of('translated'), retired)} translated, ${of('regions')} regions made, ${of('dropped')} dropped, ${((1000 * of('tlbMisses')) / Math.max(1, retired)).toFixed(2)} TLB misses per 1000, ${run.toFixed(0)} ms running${spent === undefined ? '' : `: ${sharesText(spent)}`}${balloons.map((text) => `; ${text}`).join('')}\n`
}

/**
 * What `--stats` shows.
 *
 * @param elapsed - milliseconds from start to end
 * @param spent - where the time of the machine's thread went, if that was measured
 * @param balloons - what is to be said of each memory balloon
 */
export function statsText(stats: MachineStats, elapsed: number, spent?: TimeSpent, balloons: readonly string[] = []): string {
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
    ...balloons.map((text) => ['balloon', text] as const),
    ...(spent === undefined ? [] : [['time', sharesText(spent)] as const]),
    ...engineRows(stats),
  ]
  return rows.map(([name, value]) => `${name.padEnd(8)} ${value}\n`).join('')
}
