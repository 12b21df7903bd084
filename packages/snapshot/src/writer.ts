import { type MachinistError, machinistError } from '@machinist/api'
import { type ImageSource, type MachineDefinition, type MachineSnapshot, parseDefinition, withImages } from '@machinist/machine'
import { GuestMemory, PAGE_SIZE } from '@machinist/memory'
import { Appender } from './appender.ts'
import { asciiOf } from './ascii.ts'
import { tooLong } from './chain.ts'
import type { SnapshotCodec } from './codec.ts'
import type { SnapshotOutput } from './file.ts'
import { encodeHeader, type MemoryDocument, MOST_BYTES, MOST_DOCUMENT, MOST_FILES, type Piece } from './format.ts'
import { type PageStore, storeOf, type StoreRegion } from './page-store.ts'
import { PageWriter } from './page-writer.ts'
import { ParentBytes, sameBytes } from './parent-bytes.ts'
import { encodePlain } from './plain.ts'
import { IMAGE_OF_PARENT, type OpenSnapshot } from './reader.ts'

const NONE = new Uint8Array(0)

/** How {@link writeSnapshot} writes. */
export interface WriteOptions {
  /** Plain data of whoever writes it, to be read again. */
  readonly about?: unknown
  /** False leaves out the boot images: the file is smaller, and a machine that is restored from it cannot be reset. */
  readonly images?: boolean
  /**
   * The snapshot that the file is to stand on: pages and images that it has are left out, and whoever reads the file needs it, as it is now. `file` is its name,
   * relative to the folder of the new file.
   */
  readonly parent?: { readonly snapshot: OpenSnapshot; readonly file: string }
  /**
   * What the parent was written from, when it is still there and the machine is the same one: what has changed since is found by what they share, without reading the parent. It is not looked at without a parent, and
   * it must be what the parent has, or the file is wrong.
   */
  readonly since?: MachineSnapshot
}

/** The images of a definition, by the names that the definition has for them in the file. */
function imagesOf(definition: MachineDefinition, image: (file: string) => Uint8Array): { readonly definition: MachineDefinition; readonly images: ReadonlyMap<string, () => Uint8Array> } {
  const images = new Map<string, () => Uint8Array>()
  const take = (source: ImageSource, name: string): ImageSource => {
    images.set(name, () => source instanceof Uint8Array ? source : image(source.file))
    return { file: name }
  }
  return { definition: withImages(definition, take), images }
}

/**
 * Writes what `Machine.save` gave as a file. The machine may go on meanwhile; the snapshot is still to be disposed of.
 *
 * @returns bytes written
 * @throws a typed error `'snapshot-state'` for states that are not plain data, or hold more than 1 GiB (in disks, say), `'snapshot-chain'` for a parent that stands on too many others, and what the output throws
 */
export function writeSnapshot(snapshot: MachineSnapshot, output: SnapshotOutput, codec: SnapshotCodec, options: WriteOptions = {}): Promise<number> {
  return write(snapshot, snapshot.memory, snapshot.recentPages, output, codec, options)
}

/**
 * Writes the snapshot of an open file anew: with another parent, or with none, so that it needs those no more that it stood on. It has the images that the
 * other has, and what was added to that, unless told otherwise.
 *
 * @returns bytes written
 * @throws as {@link writeSnapshot}, `parseDefinition` for a definition that is none, and typed errors for a file that is damaged
 */
export function rewriteSnapshot(snapshot: OpenSnapshot, output: SnapshotOutput, codec: SnapshotCodec, options: WriteOptions = {}): Promise<number> {
  const { definition, state, about, images } = snapshot
  const all = { definition: parseDefinition(definition), state, image: (file: string) => snapshot.image(file) }
  return write(all, storeOf(snapshot), [], output, codec, { about, images: images.length > 0, ...options })
}

/** Writes a file of a machine that has not begun: it has a definition with its images, and no state. */
export function writeDefinition(
  definition: MachineDefinition, image: (file: string) => Uint8Array, output: SnapshotOutput, codec: SnapshotCodec, options: Pick<WriteOptions, 'about'>,
): Promise<number> {
  return write({ definition, state: null, image }, { regions: [], placeOf: () => 0, frame: () => null, source: null }, [], output, codec, options)
}

async function write<Region extends StoreRegion>(
  snapshot: Pick<MachineSnapshot, 'definition' | 'state' | 'image'>, memory: PageStore<Region>, first: readonly number[], output: SnapshotOutput, codec: SnapshotCodec, options: WriteOptions,
): Promise<number> {
  const { parent, since } = options
  if (parent !== undefined && parent.snapshot.parents.length + 2 > MOST_FILES) throw tooLong(parent.file)
  const appender = new Appender(output, codec)
  const shares = since !== undefined && memory instanceof GuestMemory && memory.arena === since.memory.arena
  const pages = new PageWriter(memory, appender, parent?.snapshot, shares ? since.memory : null)
  const offset = appender.position
  const indices = await pages.write(first)
  const chunks = await pages.end()
  const regions: MemoryDocument['regions'][number][] = []
  for (const [index, { name, base, size }] of memory.regions.entries()) {
    regions.push({ name, base, size, index: await appender.piece(littleEndian(indices[index] ?? new Uint32Array(size / PAGE_SIZE))) })
  }
  const about: MemoryDocument = { pages: pages.count, offset, chunks: await appender.piece(littleEndian(chunks)), regions }
  const { definition, images } = imagesOf(snapshot.definition, (file) => snapshot.image(file))
  const imagePieces: Record<string, Piece | typeof IMAGE_OF_PARENT> = {}
  if (options.images !== false) {
    for (const [name, image] of images) {
      const known = since?.definition === snapshot.definition && parent?.snapshot.images.includes(name) === true
      const bytes = known ? NONE : image()
      imagePieces[name] = known || hasImage(parent?.snapshot, name, bytes) ? IMAGE_OF_PARENT : await appender.piece(bytes)
    }
  }
  const long: Uint8Array[] = []
  const plain = (value: unknown): unknown => encodePlain(value, (bytes) => long.push(bytes) - 1)
  const text = { definition: plain(definition), state: plain(snapshot.state), about: plain(options.about ?? null) }
  const inState = long.reduce((sum, { length }) => sum + length, 0)
  if (inState > MOST_BYTES) throw tooMuch(inState)
  const bytes: (Piece | number)[] = []
  const before = parent && long.length > 0 ? new ParentBytes(parent.snapshot.strings, codec) : null
  for (const each of long) {
    bytes.push(before?.numberOf(each) ?? await appender.piece(each))
    await appender.breathe()
  }
  const parentName = parent === undefined ? {} : { parent: { file: parent.file, ...parent.snapshot.identity } }
  const json = asciiOf(JSON.stringify({ ...text, memory: about, images: imagePieces, bytes, ...parentName }))
  if (json.length > MOST_DOCUMENT) throw tooMuch(json.length)
  const document = await appender.piece(json)
  await appender.flush()
  await output.write(0, encodeHeader({ compression: codec.compression, kind: parent === undefined ? 'alone' : bytes.some((each) => typeof each === 'number') ? 'sharing' : 'child', document }, appender.position, codec))
  return appender.position
}

/** What cannot be read again is not written. */
function tooMuch(bytes: number): MachinistError {
  return machinistError({ code: 'snapshot-state', part: 'snapshot', value: bytes, remedy: 'Keep what is written to disks in files: machinist disk create NEW.qcow2 --backing DISK.' }, 'devices and disks hold more in memory than a snapshot can have')
}

/** Whether a snapshot has the same image. */
function hasImage(snapshot: OpenSnapshot | undefined, name: string, bytes: Uint8Array): boolean {
  return snapshot?.images.includes(name) === true && sameBytes(bytes, snapshot.image(name))
}

function littleEndian(numbers: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(numbers.length * 4)
  const view = new DataView(bytes.buffer)
  numbers.forEach((number, index) => { view.setUint32(index * 4, number, true) })
  return bytes
}
