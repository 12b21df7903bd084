import { machinistError } from '@machinist/api'
import { openSnapshotFile } from '@machinist/host-node'
import { restoreOptions } from '../arguments.ts'
import { run } from '../run.ts'

function isLines(value: unknown): value is readonly (readonly string[])[] {
  return Array.isArray(value) && value.every((line) => Array.isArray(line) && line.every((word) => typeof word === 'string'))
}

/**
 * Goes on with a machine that was saved, to its end.
 *
 * @param words - options of this command line
 * @returns the exit status
 * @throws typed errors, before the machine goes on
 */
export async function restore(file: string, words: readonly string[]): Promise<number> {
  const stored = openSnapshotFile(file)
  try {
    const { about } = stored
    const lines = typeof about === 'object' && about !== null && 'lines' in about ? about.lines : undefined
    if (!isLines(lines)) throw machinistError({ code: 'snapshot-program', part: file, remedy: 'Restore it with the program that saved it.' }, 'it was not saved by machinist run')
    return await run({ ...restoreOptions([...lines, words], file), restore: stored })
  } finally {
    stored.close()
  }
}
