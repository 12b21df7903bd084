import { closeSync, ftruncateSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { machinistError } from '@machinist/api'
import { PAGE_SIZE, type SwapFile } from '@machinist/memory'
import { fileError } from '../system/errors.ts'

/** What {@link swapFile} may be told. */
export interface SwapFileOptions {
  /** Where it is; the folder for temporary files unless given. That of some systems is memory itself: choose one on a disk. */
  readonly folder?: string
  /** Bytes that it may take, 4 GiB unless given. It takes them as they are needed. */
  readonly size?: number
}

/**
 * A file for pages of machines, which nobody else can open: it has no name any more when this returns, and is gone when the process is. Reading and writing happen at once, as a guest waits for its memory.
 *
 * @throws typed errors when it cannot be made
 */
export function swapFile({ folder = tmpdir(), size = 4 * 2 ** 30 }: SwapFileOptions = {}): SwapFile {
  if (!Number.isSafeInteger(size) || size < PAGE_SIZE) throw machinistError({ code: 'parameter', part: 'swap', value: size, remedy: 'Give a number of bytes, 4096 or more.' }, 'a swap file cannot have this size')
  const path = join(folder, `.machinist-swap-${randomBytes(12).toString('hex')}`)
  let file: number
  try {
    file = openSync(path, 'wx+', 0o600)
    unlinkSync(path)
  } catch (error) {
    throw fileError(error, 'swap', path)
  }
  return {
    pages: Math.floor(size / PAGE_SIZE),
    read(page, into) {
      for (let done = 0; done < PAGE_SIZE;) {
        const count = readSync(file, into, done, PAGE_SIZE - done, page * PAGE_SIZE + done)
        if (count === 0) throw machinistError({ code: 'swap-damaged', part: 'swap', value: page, remedy: 'Check the disk of the host; the machine cannot go on.' }, 'a page is missing in the swap file')
        done += count
      }
    },
    write(page, from) {
      try {
        for (let done = 0; done < PAGE_SIZE;) done += writeSync(file, from, done, PAGE_SIZE - done, page * PAGE_SIZE + done)
        return true
      } catch {
        // Full, or failing: the page stays where it is.
        return false
      }
    },
    close() {
      ftruncateSync(file, 0)
      closeSync(file)
    },
  }
}
