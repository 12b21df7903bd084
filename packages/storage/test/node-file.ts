import { closeSync, fdatasyncSync, ftruncateSync, openSync, readSync, statSync, writeSync } from 'node:fs'
import type { RandomAccessFile } from '../src/index.ts'

/** A file of the host, plainly. */
export function nodeFile(path: string, writable: boolean = true): RandomAccessFile {
  const fd = openSync(path, writable ? 'a+' : 'r')
  closeSync(fd)
  const handle = openSync(path, writable ? 'r+' : 'r')
  return {
    size: statSync(path).size,
    writable,
    read: (offset, into) => Promise.resolve(readSync(handle, into, 0, into.length, offset)),
    async write(offset, from) { writeSync(handle, from, 0, from.length, offset) },
    async flush() { fdatasyncSync(handle) },
    async truncate(size) { ftruncateSync(handle, size) },
    async close() { closeSync(handle) },
  }
}

/** A small generator: the same seed, the same numbers from 0 up to, not including, `below`. */
export function generator(seed: number): (below: number) => number {
  let state = (seed * 2654435761 + 1) >>> 0
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state = (state ^ state << 5) >>> 0
    return state % below
  }
}
