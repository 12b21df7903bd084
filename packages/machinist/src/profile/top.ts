import type { CpuProfile } from './cpu-profile.ts'

/** A function's part in a profile. Times are microseconds. */
export interface FunctionTime {
  readonly name: string
  readonly url: string
  readonly self: number
}

/** Functions by the time that was spent in them, and not in what they called, the longest first. */
export function functionTimes({ nodes, samples, timeDeltas }: CpuProfile): FunctionTime[] {
  const times = new Map<string, { name: string; url: string; self: number }>()
  samples.forEach((id, index) => {
    const frame = nodes[id - 1]?.callFrame
    const self = timeDeltas[index + 1] ?? 0
    if (frame === undefined || self === 0) return
    const key = `${frame.url} ${frame.functionName}`
    const known = times.get(key)
    if (known === undefined) times.set(key, { name: frame.functionName, url: frame.url, self })
    else known.self += self
  })
  return [...times.values()].sort((a, b) => b.self - a.self)
}

/** The first functions of a profile as lines for people. */
export function topText(profile: CpuProfile, count: number): string {
  const total = Math.max(1, profile.endTime - profile.startTime)
  return functionTimes(profile).slice(0, count).map(({ name, url, self }) =>
    `${((100 * self) / total).toFixed(1).padStart(5)} % ${(self / 1e6).toFixed(2).padStart(7)} s  ${name}${/\(\w+\)$/.test(name) ? '' : `  ${url.replace('guest://', '')}`}\n`).join('')
}
