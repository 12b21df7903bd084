import type { RandomAccessFile } from '@machinist/storage'
import { openPrivate, type SyncHandle } from './private-files.ts'

/** What a full disk is called elsewhere: browsers throw a QuotaExceededError. */
function asPosix(error: unknown): Error {
  return Object.assign(new Error(error instanceof Error ? error.message : String(error)), { code: error instanceof Error && error.name === 'QuotaExceededError' ? 'ENOSPC' : 'EIO' })
}

function guarded<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw asPosix(error)
  }
}

/** A file of the private file system, which answers at once. For workers. @throws typed errors `'disk-name'`, `'file-…'` */
export async function privateFile(name: string): Promise<RandomAccessFile> {
  return fileOf(await openPrivate(name))
}

function fileOf(handle: SyncHandle): RandomAccessFile {
  return {
    get size() { return guarded(() => handle.getSize()) },
    writable: true,
    read: (offset, into) => guarded(() => handle.read(into, { at: offset })),
    write(offset, from) {
      guarded(() => {
        for (let done = 0; done < from.length;) {
          const count = handle.write(from.subarray(done), { at: offset + done })
          if (count === 0) throw new Error('nothing was written')
          done += count
        }
      })
    },
    flush: () => new Promise((resolve, reject) => {
      try {
        handle.flush()
        resolve()
      } catch (error) {
        reject(asPosix(error))
      }
    }),
    async truncate(size) { await Promise.resolve(guarded(() => { handle.truncate(size) })) },
    close() {
      handle.close()
      return Promise.resolve()
    },
  }
}
