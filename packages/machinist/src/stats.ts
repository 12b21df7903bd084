import type { MachineStats } from '@machinist/machine'

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`

/** What things cost on an ordinary machine, in nanoseconds: shares of time are estimated from counts by these. */
const COST = { translated: 0.8, interpreted: 3.3, stepped: 45, tlbMisses: 50, bytes: 150, deviceAccesses: 700 } as const

const percent = (part: number, whole: number): string => `${whole > 0 ? ((100 * part) / whole).toFixed(1) : '0'} %`

/** What the CPU's engine says of itself, if it says anything. */
function engineRows({ retired, cpu }: MachineStats): readonly (readonly [string, string])[] {
  const { translated = 0, stepped = 0, tlbMisses = 0, deviceAccesses = 0, bytes = 0, regions = 0, dropped = 0 } = cpu
  if (cpu['translated'] === undefined) return []
  const interpreted = Math.max(0, retired - translated - stepped)
  const times = {
    'translated code': translated * COST.translated,
    interpreter: interpreted * COST.interpreted,
    'slow path': stepped * COST.stepped + tlbMisses * COST.tlbMisses,
    compiling: bytes * COST.bytes,
    devices: deviceAccesses * COST.deviceAccesses,
  }
  const whole = Object.values(times).reduce((sum, time) => sum + time, 0)
  return [
    ['engine', `${percent(translated, retired)} of instructions translated, ${percent(interpreted, retired)} interpreted, ${percent(stepped, retired)} one at a time`],
    ['time', `about ${Object.entries(times).map(([name, time]) => `${percent(time, whole)} ${name}`).join(', ')} (estimated from counts)`],
    ['regions', `${regions} made, ${dropped} dropped, ${(bytes / 1024).toFixed(0)} KiB of WebAssembly`],
    ['TLB', `${((1000 * tlbMisses) / Math.max(1, retired)).toFixed(2)} misses per 1000 instructions`],
  ]
}

/** One line about the time since `before`, for a look at a machine that runs. */
export function liveText(stats: MachineStats, before: MachineStats | null): string {
  const of = (name: string): number => (stats.cpu[name] ?? 0) - (before?.cpu[name] ?? 0)
  const retired = stats.retired - (before?.retired ?? 0)
  const run = (stats.runTime - (before?.runTime ?? 0)) / 1e6
  const mips = run > 0 ? (retired / run / 1000).toFixed(0) : '0'
  return `${mips} MIPS, ${percent(of('translated'), retired)} translated, ${of('regions')} regions made, ${of('dropped')} dropped, ${((1000 * of('tlbMisses')) / Math.max(1, retired)).toFixed(2)} TLB misses per 1000, ${run.toFixed(0)} ms running\n`
}

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
    ...engineRows(stats),
  ]
  return rows.map(([name, value]) => `${name.padEnd(8)} ${value}\n`).join('')
}
