import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type MachinistError, machinistError, type MachinistErrorFields } from '@machinist/api'
import { fileError } from '../system/errors.ts'
import { replaceFile } from './replace-file.ts'

/** Most bytes of an index. */
const MOST_INDEX: number = 16 * 2 ** 20

/** How a folder's index is called, and what is said of one that is not there, or not what it should be. */
export interface IndexKind {
  /** The file that says what there is; all else in the folder is what it names, or left over. */
  readonly file: string
  /** What the file says of itself. */
  readonly format: string
  readonly version: number
  /** The code of all errors. */
  readonly code: string
  readonly missing: { readonly problem: string; readonly remedy: string }
}

/** Whether a value is an object with keys. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** An error for a folder that is not what it should be. */
export function folderDamaged({ code }: Pick<IndexKind, 'code'>, folder: string, problem: string, value?: MachinistErrorFields['value']): MachinistError {
  return machinistError({ code, part: folder, value, remedy: 'Use a copy of the folder, or another one.' }, problem)
}

/**
 * Reads the index of a folder: an object of its kind and version, with all else in it yet to be checked.
 *
 * @param lists - what it is the list of, for errors: `'its disks'`
 * @throws typed errors of its code for a folder that has none, or whose index is damaged; `'file-…'`
 */
export function readFolderIndex(kind: IndexKind, folder: string, lists: string): Readonly<Record<string, unknown>> {
  const { file, format, version, code, missing } = kind
  let bytes: Buffer
  try {
    bytes = readFileSync(join(folder, file))
  } catch (error) {
    const typed = fileError(error, folder, join(folder, file))
    throw 'code' in typed && typed.code === 'file-enoent' ? machinistError({ code, part: folder, remedy: missing.remedy }, missing.problem) : typed
  }
  if (bytes.length > MOST_INDEX) throw folderDamaged(kind, folder, `${file} is too long`, bytes.length)
  let input: unknown
  try {
    input = JSON.parse(bytes.toString('utf8'))
  } catch {
    throw folderDamaged(kind, folder, `${file} is not JSON`)
  }
  if (!isObject(input) || input['format'] !== format) throw folderDamaged(kind, folder, `${file} is not the list of ${lists}`)
  if (input['version'] !== version) throw folderDamaged(kind, folder, `the list of ${lists} has a version that this one cannot read; it reads ${version}`, String(input['version']))
  return input
}

/**
 * Replaces the index of a folder, stably: afterwards, and whenever the power goes, there is the old one or the new one.
 *
 * @throws typed errors `'file-…'`
 */
export function writeFolderIndex({ file, format, version }: IndexKind, folder: string, index: object): Promise<void> {
  return replaceFile(join(folder, file), `${JSON.stringify({ format, version, ...index }, null, 2)}\n`, folder)
}
