import { createRequire } from 'node:module'

/** Of Linux. */
const CLOCK_THREAD_CPUTIME_ID = 3
const NS_PER_SECOND = 1e9
const NS_PER_MICROSECOND = 1000

interface Koffi {
  load(library: string | null): { func(prototype: string): (clock: number, into: BigInt64Array) => number }
}

/** Node.js has this from 23.9 on. */
interface ThreadUsage {
  threadCpuUsage?(): { readonly user: number; readonly system: number }
}

/**
 * The CPU time of the calling thread, in nanoseconds: what a clock of the C library says (through koffi, which is not installed with this package), or Node.js, where it knows. Null where neither does.
 * It is to be called in the thread that asked for it.
 */
export function threadCpuTime(): (() => number) | null {
  if (process.platform === 'linux') {
    try {
      const read = (createRequire(import.meta.url)('koffi') as Koffi).load(null).func('int clock_gettime(int, void *)')
      // A `timespec`: seconds and nanoseconds, of 64 bits each where `long` has them.
      const time = new BigInt64Array(2)
      const wide = ['x64', 'arm64', 'riscv64', 'loong64'].includes(process.arch)
      if (wide && read(CLOCK_THREAD_CPUTIME_ID, time) === 0) {
        return () => {
          read(CLOCK_THREAD_CPUTIME_ID, time)
          return Number(time[0]) * NS_PER_SECOND + Number(time[1])
        }
      }
    } catch {
      // It is not installed.
    }
  }
  const usage = (process as ThreadUsage).threadCpuUsage?.bind(process)
  if (usage === undefined) return null
  return () => {
    const { user, system } = usage()
    return (user + system) * NS_PER_MICROSECOND
  }
}
