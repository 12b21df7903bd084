import { closeSync, openSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { isMachinistError, machinistError } from '@machinist/api'
import { openFile } from '../files/file.ts'
import { fileError } from '../system/errors.ts'

const LOCK_FILE = 'lock'
/** Milliseconds between two attempts, and in all. */
const AGAIN = 2
const PATIENCE = 10_000

/** What works on a folder in this thread, one after the other. */
const queues = new Map<string, Promise<unknown>>()

/**
 * Works on a datastore while nobody else does: in no other thread or process either, where files can be locked.
 *
 * @throws typed errors: `'datastore-busy'`; `'file-…'`; and what `work` throws
 */
export function exclusively<T>(folder: string, work: () => Promise<T>): Promise<T> {
  let key: string
  try {
    key = realpathSync(folder)
  } catch (error) {
    return Promise.reject(fileError(error, folder, folder))
  }
  const result = (queues.get(key) ?? Promise.resolve()).then(async () => {
    const unlock = await lock(folder)
    try {
      return await work()
    } finally {
      await unlock()
    }
  })
  const end = result.then(() => undefined, () => undefined).then(() => { if (queues.get(key) === end) queues.delete(key) })
  queues.set(key, end)
  return result
}

async function lock(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, LOCK_FILE)
  try {
    closeSync(openSync(path, 'a', 0o600))
  } catch (error) {
    throw fileError(error, folder, path)
  }
  for (const until = performance.now() + PATIENCE; ;) {
    try {
      const file = openFile(path, true, { name: folder })
      return () => file.close()
    } catch (error) {
      if (!isMachinistError(error) || error.code !== 'file-locked') throw error
      if (performance.now() > until) throw machinistError({ code: 'datastore-busy', part: folder, remedy: 'Wait, or end the program that works on it.' }, 'another program works on it')
    }
    await new Promise((resolve) => { setTimeout(resolve, AGAIN) })
  }
}
