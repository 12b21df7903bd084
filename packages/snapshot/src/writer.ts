import type { BootDefinition, ImageSource, MachineDefinition, MachineSnapshot } from '@machinist/machine'
import { PAGE_SIZE } from '@machinist/memory'
import { Appender } from './appender.ts'
import { asciiOf } from './ascii.ts'
import type { SnapshotCodec } from './codec.ts'
import type { SnapshotOutput } from './file.ts'
import { encodeHeader, type MemoryDocument, type Piece } from './format.ts'
import { PageWriter } from './page-writer.ts'
import { encodePlain } from './plain.ts'

/** How {@link writeSnapshot} writes. */
export interface WriteOptions {
  /** Plain data of whoever writes it, to be read again. */
  readonly about?: unknown
  /** False leaves out the boot images: the file is smaller, and a machine that is restored from it cannot be reset. */
  readonly images?: boolean
}

/** The images of a definition, by the names that the definition has for them in the file. */
function imagesOf(definition: MachineDefinition, image: (file: string) => Uint8Array): { readonly definition: MachineDefinition; readonly images: ReadonlyMap<string, () => Uint8Array> } {
  const images = new Map<string, () => Uint8Array>()
  const take = (source: ImageSource, name: string): ImageSource => {
    images.set(name, () => source instanceof Uint8Array ? source : image(source.file))
    return { file: name }
  }
  const { boot } = definition
  if (boot === undefined) return { definition, images }
  const named: BootDefinition = boot.protocol === 'raw'
    ? { ...boot, images: boot.images.map((each, index) => ({ ...each, bytes: take(each.bytes, `image${index}`) })) }
    : {
        ...boot,
        ...(boot.kernel && { kernel: take(boot.kernel, 'kernel') }),
        ...(boot.initrd && { initrd: take(boot.initrd, 'initrd') }),
        ...(boot.firmware && { firmware: take(boot.firmware, 'firmware') }),
      }
  return { definition: { ...definition, boot: named }, images }
}

/**
 * Writes what `Machine.save` gave as a file. The machine may go on meanwhile; the snapshot is still to be disposed of.
 *
 * @returns bytes written
 * @throws a typed error `'snapshot-state'` for states that are not plain data, and what the output throws
 */
export async function writeSnapshot(snapshot: MachineSnapshot, output: SnapshotOutput, codec: SnapshotCodec, options: WriteOptions = {}): Promise<number> {
  const appender = new Appender(output, codec)
  const { memory } = snapshot
  const pages = new PageWriter(memory, appender)
  const offset = appender.position
  const indices: Uint32Array[] = []
  for (const region of memory.regions) indices.push(await pages.write(region))
  const chunks = await pages.end()
  const regions: MemoryDocument['regions'][number][] = []
  for (const [index, { name, base, size }] of memory.regions.entries()) {
    regions.push({ name, base, size, index: await appender.piece(littleEndian(indices[index] ?? new Uint32Array(size / PAGE_SIZE))) })
  }
  const about: MemoryDocument = { pages: pages.count, offset, chunks: await appender.piece(littleEndian(chunks)), regions }
  const { definition, images } = imagesOf(snapshot.definition, (file) => snapshot.image(file))
  const imagePieces: Record<string, Piece> = {}
  if (options.images !== false) for (const [name, bytes] of images) imagePieces[name] = await appender.piece(bytes())
  const long: Uint8Array[] = []
  const plain = (value: unknown): unknown => encodePlain(value, (bytes) => long.push(bytes) - 1)
  const text = { definition: plain(definition), state: plain(snapshot.state), about: plain(options.about ?? null) }
  const bytes: Piece[] = []
  for (const each of long) bytes.push(await appender.piece(each))
  const document = await appender.piece(asciiOf(JSON.stringify({ ...text, memory: about, images: imagePieces, bytes })))
  await appender.flush()
  await output.write(0, encodeHeader({ compression: codec.compression, document }, appender.position, codec))
  return appender.position
}

function littleEndian(numbers: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(numbers.length * 4)
  const view = new DataView(bytes.buffer)
  numbers.forEach((number, index) => { view.setUint32(index * 4, number, true) })
  return bytes
}
