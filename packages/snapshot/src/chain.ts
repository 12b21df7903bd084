import { isMachinistError, machinistError } from '@machinist/api'
import type { SnapshotCodec } from './codec.ts'
import type { OpenParent, SnapshotInput } from './file.ts'
import { MOST_FILES } from './format.ts'
import { OpenedFile, type ParentName } from './opened-file.ts'

/**
 * Opens a file, its parent, and so on.
 *
 * @param openParent - opens the file of a name that stands in another; absent where no names are followed
 * @returns the file first, the oldest last; `close` of each input is still to be called, when it did not throw
 * @throws typed errors: `'snapshot-parent'` for one that is missing, may not be opened, or is another than the one that it was written for; `'snapshot-chain'` for
 * too many; and as {@link OpenedFile}
 */
export function openChain(input: SnapshotInput, codec: SnapshotCodec, openParent: OpenParent | undefined): readonly OpenedFile[] {
  const files = [new OpenedFile(input, codec)]
  try {
    for (let child = files[0]; child !== undefined && child.parent !== null; child = files.at(-1)) {
      if (files.length === MOST_FILES) throw tooLong(input.name)
      files.push(openNamed(child, child.parent, openParent))
    }
    return files
  } catch (error) {
    for (const file of files.slice(1)) file.input.close?.()
    throw error
  }
}

/** An error for a chain of more than {@link MOST_FILES} files, as one that leads back to itself is. */
export function tooLong(name: string): Error {
  return machinistError({ code: 'snapshot-chain', part: name, value: MOST_FILES, remedy: 'Save the machine without a parent.' }, 'it stands on a chain of too many files')
}

function openNamed({ input: { name }, codec }: OpenedFile, wanted: ParentName, openParent: OpenParent | undefined): OpenedFile {
  const refuse = (problem: string, remedy: string): never => { throw machinistError({ code: 'snapshot-parent', part: name, value: wanted.file, remedy }, problem) }
  if (openParent === undefined) return refuse('it has a parent, and nobody opens that', 'Give a way to open parents.')
  let input: SnapshotInput
  try {
    input = openParent(name, wanted.file)
  } catch (error) {
    if (!isMachinistError(error)) throw error
    return refuse(`the parent that it was written for cannot be opened (${error.message})`, 'Put the parent back to where it was.')
  }
  try {
    const parent = new OpenedFile(input, codec)
    const { size, crc } = parent.header.identity
    if (size !== wanted.size || crc !== wanted.crc) refuse('the file of its parent is another than the one that it was written for', 'Put the parent back that was there when it was saved.')
    return parent
  } catch (error) {
    input.close?.()
    throw error
  }
}
