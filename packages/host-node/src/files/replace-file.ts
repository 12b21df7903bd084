import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncFolder } from '../snapshot/snapshot-file.ts'
import { fileError } from '../system/errors.ts'

/** The end of the names of files that are not whole. */
export const UNFINISHED = '.part'
let last = 0

/**
 * Replaces a file, or makes it: afterwards, and whenever the power goes, there is the old one or the new one.
 *
 * @param part - names it in errors
 * @param stable - false for what nobody needs when the power has gone
 * @throws typed errors `'file-…'`
 */
export async function replaceFile(path: string, content: string | Uint8Array, part: string, stable: boolean = true): Promise<void> {
  const unfinished = `${path}.${process.pid}.${++last}${UNFINISHED}`
  try {
    const file = await open(unfinished, 'w', 0o600)
    try {
      await file.writeFile(content)
      if (stable) await file.sync()
    } finally {
      await file.close()
    }
    await rename(unfinished, path)
  } catch (error) {
    await rm(unfinished, { force: true }).catch(() => undefined)
    throw fileError(error, part, path)
  }
  if (stable) await syncFolder(dirname(path))
}

/**
 * Removes a file stably.
 *
 * @param part - names it in errors
 * @throws typed errors `'file-…'`
 */
export async function removeFile(path: string, part: string): Promise<void> {
  try {
    await rm(path, { force: true })
  } catch (error) {
    throw fileError(error, part, path)
  }
  await syncFolder(dirname(path))
}
