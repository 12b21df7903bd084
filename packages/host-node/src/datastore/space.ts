import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { replaceFile } from '../files/replace-file.ts'
import { type DatastoreIndex, readIndex } from './datastore-index.ts'
import { exclusively } from './exclusive.ts'

const SPACE_FILE = 'space.json'
/** What a file system gives at once, and `stat` counts in. */
export const BLOCK = 4096
/** Most bytes that a disk takes in advance, and the part of what is left that it takes at most: the rest others have. */
const ADVANCE: number = 16 * 2 ** 20
const PART = 16

/** Up to which size the files of disks that are open may grow, and which process has them open. */
type Leases = Readonly<Record<string, { readonly pid: number; readonly bytes: number }>>

/** Bytes that a file takes on its file system. */
export function allocated(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false })
  return found === undefined ? 0 : found.blocks * 512
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** The leases of a folder, as far as they count: after a crash, or when they are damaged, there are none. */
function leasesOf(folder: string): Leases {
  let input: unknown
  try {
    input = JSON.parse(readFileSync(join(folder, SPACE_FILE), 'utf8'))
  } catch {
    return {}
  }
  if (typeof input !== 'object' || input === null) return {}
  return Object.fromEntries(Object.entries(input as Record<string, unknown>).flatMap(([file, lease]) => {
    const { pid, bytes } = (lease ?? {}) as { pid?: unknown; bytes?: unknown }
    return typeof pid === 'number' && Number.isSafeInteger(pid) && pid > 0 && typeof bytes === 'number' && bytes >= 0 && lives(pid) ? [[file, { pid, bytes }]] : []
  }))
}

/** After a loss of power there are none: that need not be stable. */
function writeLeases(folder: string, leases: Leases): Promise<void> {
  return replaceFile(join(folder, SPACE_FILE), `${JSON.stringify(leases, null, 2)}\n`, folder, false)
}

/** Bytes that a disk's file takes, or may take without asking. */
function takenBy(folder: string, file: string, leases: Leases): number {
  return Math.max(allocated(join(folder, file)), leases[file]?.bytes ?? 0)
}

/** Bytes that the disks of a datastore take, and what those that are open may take besides without asking. */
export function spaceOf(folder: string, { disks }: DatastoreIndex): { readonly used: number; readonly promised: number } {
  const leases = leasesOf(folder)
  const used = disks.reduce((sum, { file }) => sum + allocated(join(folder, file)), 0)
  return { used, promised: disks.reduce((sum, { file }) => sum + takenBy(folder, file, leases), 0) - used }
}

/**
 * Asks that the file of a disk may grow.
 *
 * @param need - bytes up to which it must be able to grow
 * @param most - bytes up to which it may
 * @returns up to how many bytes it may grow from now on; null when it may not
 */
export function lease(folder: string, file: string, need: number, most: number): Promise<number | null> {
  return exclusively(folder, async () => {
    const { quota, disks } = readIndex(folder)
    const leases = leasesOf(folder)
    const others = disks.reduce((sum, each) => sum + (each.file === file ? 0 : takenBy(folder, each.file, leases)), 0)
    const end = Math.min(quota === null ? Infinity : quota - others, most)
    // What it takes is taken, whatever the quota was made since.
    if (need > end && need > allocated(join(folder, file))) return null
    const advance = Math.max(0, Math.min(ADVANCE, (end - need) / PART))
    const bytes = need + advance - advance % BLOCK
    await writeLeases(folder, { ...leases, [file]: { pid: process.pid, bytes } })
    return bytes
  })
}

/** A disk is closed: its file takes what it takes. */
export function endLease(folder: string, file: string): Promise<void> {
  return exclusively(folder, async () => {
    const { [file]: ended, ...others } = leasesOf(folder)
    if (ended !== undefined) await writeLeases(folder, others)
  })
}
