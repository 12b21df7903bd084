import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

/**
 * The CPU seconds that a process and its descendants have used so far, user and system, all threads, those of ended
 * children included (proc_pid_stat(5): utime, stime, cutime, cstime). Its grain is the kernel's tick, 10 ms.
 * @param {number} pid
 */
export function cpuSeconds(pid) {
  let ticks = 0
  const pending = [pid]
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    const stat = read(`/proc/${at}/stat`)
    if (stat === undefined) continue
    // The command's name, in parentheses, may itself hold spaces and parentheses; field 3 follows the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ').map(Number)
    ticks += (fields[11] ?? 0) + (fields[12] ?? 0) + (fields[13] ?? 0) + (fields[14] ?? 0)
    for (const thread of threads(at)) {
      const children = read(`/proc/${at}/task/${thread}/children`) ?? ''
      pending.push(...children.split(' ').filter((text) => text !== '').map(Number))
    }
  }
  return ticks / ticksPerSecond
}

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined // the process or thread ended meanwhile
  }
}

/** @param {number} pid */
function threads(pid) {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
}
