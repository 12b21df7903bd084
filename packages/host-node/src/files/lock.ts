import { statSync } from 'node:fs'
import { machinistError } from '@machinist/api'
import { type FileCalls, libc, type Libc } from '../system/libc.ts'

/**
 * Whether an image is locked while it is open, so that no two programs write it, and none reads what another writes: `'auto'`, where the host has such
 * locks; `'on'`, or else it is not opened; `'off'`.
 */
export type FileLock = 'auto' | 'on' | 'off'

/** fcntl(2): locks that belong to an open file, not to a process, and end with it. */
const command = { get: 36, set: 37 } as const
const kind = { read: 0, write: 1, none: 2 } as const
/** Reasons of the system that say that somebody else has a lock: EAGAIN, EACCES. */
const TAKEN: readonly number[] = [11, 13]

/**
 * The bytes of a file by whose locks QEMU's programs come to terms (its block/file-posix.c): one for each thing that a program does with the image, and one for
 * each that nobody else may do meanwhile. All of them are locked for reading, and looked at as if they were to be locked for writing.
 */
const base = { done: 100, refused: 200 } as const
const act = { consistentRead: 0, write: 1, resize: 3 } as const

/** What we do, and what nobody else may do meanwhile. */
const reader = { done: [act.consistentRead], refused: [act.write, act.resize] } as const
const writer = { done: [act.consistentRead, act.write, act.resize], refused: [act.write, act.resize] } as const

/** struct flock of Linux with offsets of 64 bits, for one byte. */
function flock(type: number, at: number): Buffer {
  const bytes = Buffer.alloc(32)
  bytes.writeInt16LE(type, 0)
  bytes.writeBigInt64LE(BigInt(at), 8)
  bytes.writeBigInt64LE(1n, 16)
  return bytes
}

/** Whether files can be locked here: on Linux, with the package koffi. */
export function canLock(): boolean {
  return (libc()?.files ?? null) !== null
}

/**
 * Locks a file until it is closed.
 *
 * @param part - names the file in errors
 * @throws typed errors: `'file-locked'`, another program has it; `'file-lock'`, the host cannot, with `'on'`
 */
export function lockFile(fd: number, writable: boolean, lock: FileLock, part: string, path: string): void {
  if (lock === 'off') return
  const system = libc()
  const files = system?.files ?? null
  const taken = system === null || files === null ? 'unknown' : take(system, files, fd, writable)
  if (taken === 'other') {
    throw machinistError(
      { code: 'file-locked', part, value: path, remedy: 'End the program that has it open; or do without the lock, if you know that nobody writes it (lock=off).' },
      writable ? 'another program uses it' : 'another program writes it')
  }
  if (taken === 'unknown' && lock === 'on') {
    throw machinistError(
      { code: 'file-lock', part, value: path, remedy: 'Use Linux with the package koffi (npm install koffi) and a file system that has locks, or lock=auto.' }, 'it cannot be locked here')
  }
}

/** Lets others lock a file that {@link lockFile} locked. */
export function unlockFile(fd: number): void {
  const files = libc()?.files ?? null
  for (const first of [base.done, base.refused]) for (const at of Object.values(act)) files?.fcntl(fd, command.set, flock(kind.none, first + at))
}

function take(system: Libc, files: FileCalls, fd: number, writable: boolean): 'ours' | 'other' | 'unknown' {
  const { done, refused } = writable ? writer : reader
  for (const at of [...done.map((each) => base.done + each), ...refused.map((each) => base.refused + each)]) {
    if (files.fcntl(fd, command.set, flock(kind.read, at)) !== 0) return TAKEN.includes(system.errno()) ? 'other' : 'unknown'
  }
  // First locked, then looked: of two that come at once neither may miss the other.
  for (const at of [...refused.map((each) => base.done + each), ...done.map((each) => base.refused + each)]) {
    const wanted = flock(kind.write, at)
    if (files.fcntl(fd, command.get, wanted) !== 0) return 'unknown'
    if (wanted.readInt16LE(0) !== kind.none) return 'other'
  }
  return 'ours'
}

/** Files that this process has open, by device and inode: promises that each will be closed. */
const held = new Map<string, Set<Promise<void>>>()
const keyOf = ({ dev, ino }: { readonly dev: number, readonly ino: number }): string => `${dev}:${ino}`

/** Notes that this process has a file open. @returns to be called when it is closed */
export function hold(stat: { readonly dev: number, readonly ino: number }): () => void {
  const key = keyOf(stat)
  const files = held.get(key) ?? new Set()
  held.set(key, files)
  let released = (): void => {}
  const closed = new Promise<void>((resolve) => { released = resolve })
  files.add(closed)
  return () => {
    files.delete(closed)
    if (files.size === 0 && held.get(key) === files) held.delete(key)
    released()
  }
}

/** Milliseconds that a file of this process is waited for. */
const PATIENCE = 2000

/**
 * Opens a file that may be locked by this process itself, which is just about to close it, as a machine does that was disposed of: it waits for that a little.
 *
 * @throws what `open` throws
 */
export async function openWhenClosed<T>(path: string, open: () => T): Promise<T> {
  try {
    return open()
  } catch (error) {
    const ours = error instanceof Error && 'code' in error && error.code === 'file-locked' ? held.get(keyOf(statSync(path))) : undefined
    if (ours === undefined) throw error
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => { timer = setTimeout(resolve, PATIENCE) })
    await Promise.race([Promise.all(ours), late])
    clearTimeout(timer)
    return open()
  }
}
