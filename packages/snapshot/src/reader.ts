import { machinistError } from '@machinist/api'
import type { StoredMachine } from '@machinist/machine'
import { openChain } from './chain.ts'
import type { SnapshotCodec } from './codec.ts'
import type { OpenParent, SnapshotInput } from './file.ts'
import { damaged, MOST_BYTES, type SnapshotIdentity } from './format.ts'
import { openMemory } from './memory-reader.ts'
import type { OpenedFile } from './opened-file.ts'
import { decodePlain } from './plain.ts'
import { Holders } from './stored-pages.ts'

/** A snapshot's file, open. It and those that it stands on stay open until {@link OpenSnapshot.close} was called and no memory has pages in them any more. */
export interface OpenSnapshot extends StoredMachine {
  /** What whoever wrote it added: plain data. */
  readonly about: unknown
  /** What a child of it will know it by. */
  readonly identity: SnapshotIdentity
  /** The long byte strings of its definition, of its state and of {@link about}, by numbers: a child may have some of them by these. */
  readonly strings: ReadonlyMap<number, Uint8Array>
  /** The names of the files that it stands on, its parent first, each relative to the folder of the one that names it. */
  readonly parents: readonly string[]
  /** Names of the boot images that can be read. */
  readonly images: readonly string[]
  /** It is not to be used any more; machines that were restored from it go on. */
  close(): void
}

/** What {@link openSnapshot} may be given besides what it needs. */
export interface OpenSnapshotOptions {
  /** Opens the parents of a file that has such. Absent: it is refused. */
  readonly openParent?: OpenParent
}

/** What stands in the place of a boot image that the parent has. */
export const IMAGE_OF_PARENT = 'parent'

/**
 * Opens a snapshot's file, and those that it stands on: headers, tables and state are read and checked now, pages when they are touched, each chunk with its
 * checksum.
 *
 * @throws typed errors: `'snapshot-format'` for a file of another kind, `'snapshot-version'`, `'snapshot-damaged'`, `'snapshot-state'`, `'snapshot-parent'` for a parent
 * that is missing or another one, `'snapshot-chain'` for too many of them, and what the input throws; `input` is then still to be closed
 */
export function openSnapshot(input: SnapshotInput, codec: SnapshotCodec, options: OpenSnapshotOptions = {}): OpenSnapshot {
  const chain = openChain(input, codec, options.openParent)
  const [file] = chain
  if (file === undefined) throw new RangeError('a chain without files')
  const end = (): void => { for (const each of chain) each.input.close?.() }
  const holders = new Holders(end)
  try {
    const strings = new Map<number, Uint8Array>()
    const plain = plainReader(chain, strings)
    const { regions, source } = openMemory(chain, holders)
    return {
      definition: plain(file.json['definition']),
      state: plain(file.json['state']),
      about: plain(file.json['about']),
      memory: regions,
      source,
      strings,
      identity: file.header.identity,
      parents: chain.flatMap(({ parent }) => parent === null ? [] : [parent.file]),
      images: Object.keys(file.images).filter((name) => imageIn(chain, name) !== null),
      image(name) {
        const found = imageIn(chain, name)
        if (found === null) throw imageMissing(input.name, name)
        return found.file.piece(found.piece, MOST_BYTES, `the image ${name}`)
      },
      close: () => { holders.close() },
    }
  } catch (error) {
    for (const each of chain.slice(1)) each.input.close?.()
    throw error
  }
}

/** Where a boot image is: in the first file, or where that says in its parent, and so on. */
function imageIn(chain: readonly OpenedFile[], name: string): { readonly file: OpenedFile; readonly piece: unknown } | null {
  for (const file of chain) {
    const piece = Object.hasOwn(file.images, name) ? file.images[name] : undefined
    if (piece !== IMAGE_OF_PARENT) return piece === undefined ? null : { file, piece }
  }
  return null
}

function imageMissing(name: string, file: string): Error {
  return machinistError({ code: 'snapshot-image', part: name, value: file, remedy: 'Save the machine with its images.' }, 'it was written without the image that the machine starts from')
}

/**
 * Reads plain data whose long byte strings are pieces; all of them together are bounded.
 *
 * @param known - gets them
 */
function plainReader(chain: readonly OpenedFile[], known: Map<number, Uint8Array>): (json: unknown) => unknown {
  let left = MOST_BYTES
  return (json) => decodePlain(json, (number) => {
    const before = known.get(number)
    if (before !== undefined) return before
    const { file, piece } = stringIn(chain, number)
    const { buffer, byteOffset, length } = file.piece(piece, left, 'a part of its state')
    // Whatever the host's own kind of bytes is.
    const bytes = new Uint8Array(buffer, byteOffset, length)
    left -= length
    known.set(number, bytes)
    return bytes
  })
}

/** Where a byte string is: in the first file, or under the number that stands there in its parent, and so on. */
function stringIn(chain: readonly OpenedFile[], number: number): { readonly file: OpenedFile; readonly piece: unknown } {
  let wanted = number
  for (const file of chain) {
    const piece = Number.isInteger(wanted) ? file.bytes[wanted] : undefined
    if (piece === undefined) throw damaged(file.input.name, 'a part of its state has no place in it', wanted)
    if (typeof piece !== 'number') return { file, piece }
    wanted = piece
  }
  throw damaged(chain.at(-1)?.input.name ?? '', 'a part of its state is that of a parent, and it has none', wanted)
}
