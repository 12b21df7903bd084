import { linkSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileError, systemCode } from '../system/errors.ts'

/** Who has a folder. */
interface Holder {
  readonly pid: number
  /** When that process began, where the system tells; so that another process with its number is not taken for it. */
  readonly began: string
}

const LOCK = /^lock\.([1-9][0-9]{0,14})$/

/** The boot and the moment in which a process began (proc(5): fields 3 and 22 of `stat`); `''` where the system does not tell; null for one that has ended, though nobody has asked how. */
function beginning(pid: number): string | null {
  try {
    // The name of the program may have anything in it, and comes to an end with the last parenthesis.
    const [, state = '', after = ''] = /^.*\) (\S) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? []
    if (state === 'Z' || state === 'X') return null
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${after.split(' ')[18] ?? ''}`
  } catch {
    return ''
  }
}

function isAlive({ pid, began }: Holder): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (systemCode(error) === 'ESRCH') return false
  }
  const now = beginning(pid)
  return now !== null && (began === '' || now === '' || now === began)
}

/** Null for a lock that was given back, or that the system lost when its power went. */
function holderOf(path: string): Holder | null {
  try {
    const { pid, began } = JSON.parse(readFileSync(path, 'utf8')) as Partial<Holder>
    return typeof pid === 'number' && Number.isSafeInteger(pid) && pid > 0 && typeof began === 'string' ? { pid, began } : null
  } catch {
    return null
  }
}

function highest(folder: string): number {
  return Math.max(0, ...readdirSync(folder).map((name) => Number(LOCK.exec(name)?.[1] ?? 0)))
}

/**
 * Takes a folder for this process, without locks of the system, which Node.js has not. Locks are files with numbers, of which the highest counts; it stays when its process ends. Whoever
 * comes and finds that process gone makes the next number, which only one can: a file with a name is linked once. A number below the highest, made of an old look at the folder, counts for nothing.
 *
 * @returns what gives it back; or the number of the process that has it
 * @throws typed errors `'file-…'`
 */
export function takeFolder(folder: string): (() => void) | number {
  const own: Holder = { pid: process.pid, began: beginning(process.pid) ?? '' }
  const written = join(folder, `lock.${process.pid}.part`)
  const write = (holder: Partial<Holder>): void => { writeFileSync(written, JSON.stringify(holder), { mode: 0o600 }) }
  try {
    for (;;) {
      const last = highest(folder)
      const holder = last === 0 ? null : holderOf(join(folder, `lock.${last}`))
      if (holder !== null && isAlive(holder)) return holder.pid
      const path = join(folder, `lock.${last + 1}`)
      write(own)
      try {
        linkSync(written, path)
      } catch (error) {
        if (systemCode(error) !== 'EEXIST') throw error
        continue
      } finally {
        rmSync(written, { force: true })
      }
      if (highest(folder) !== last + 1) {
        rmSync(path, { force: true })
        continue
      }
      for (const name of readdirSync(folder)) if (Number(LOCK.exec(name)?.[1] ?? Infinity) <= last) rmSync(join(folder, name), { force: true })
      return () => {
        write({})
        renameSync(written, path)
      }
    }
  } catch (error) {
    throw fileError(error, 'hypervisor', folder)
  }
}
