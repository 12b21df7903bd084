import { textOf } from './ascii.ts'
import type { SnapshotCodec } from './codec.ts'
import type { SnapshotInput } from './file.ts'
import { damaged, decodeHeader, type Header, MOST_DOCUMENT, readPiece, type SnapshotIdentity } from './format.ts'

/** What a document says of a parent. */
export interface ParentName extends SnapshotIdentity {
  /** Its name, relative to the folder of the file that names it. */
  readonly file: string
}

/** Most characters of a parent's name. */
const MOST_NAME = 4096

/** Whether something is an object with keys. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A file whose header and document have been read and checked, as far as all parts of it need them. */
export class OpenedFile {
  readonly input: SnapshotInput
  readonly codec: SnapshotCodec
  readonly header: Header & { readonly identity: SnapshotIdentity }
  readonly json: Readonly<Record<string, unknown>>
  readonly memory: Readonly<Record<string, unknown>>
  readonly images: Readonly<Record<string, unknown>>
  readonly bytes: readonly unknown[]
  /** The file that it was written for. */
  readonly parent: ParentName | null

  /** @throws typed errors `'snapshot-format'`, `'snapshot-version'`, `'snapshot-damaged'` */
  constructor(input: SnapshotInput, codec: SnapshotCodec) {
    this.input = input
    this.codec = codec
    this.header = decodeHeader(input, codec)
    const text = textOf(this.piece(this.header.document, MOST_DOCUMENT, 'its document'))
    let json: unknown
    try {
      json = JSON.parse(text ?? '')
    } catch {
      throw damaged(input.name, 'its document is not JSON')
    }
    if (!isObject(json)) throw damaged(input.name, 'its document lacks parts')
    const { memory, images, bytes, parent } = json
    if (!isObject(memory) || !isObject(images) || !Array.isArray(bytes)) throw damaged(input.name, 'its document lacks parts')
    this.json = json
    this.memory = memory
    this.images = images
    this.bytes = bytes
    this.parent = this.header.kind !== 'alone' ? this.#parentName(parent) : null
  }

  /** The bytes of a piece. @throws a typed error `'snapshot-damaged'` */
  piece(place: unknown, most: number, what: string): Uint8Array {
    return readPiece(this.input, this.codec, this.header.compression, place, most, what)
  }

  #parentName(parent: unknown): ParentName {
    const { file, size, crc } = isObject(parent) ? parent : {}
    if (typeof file !== 'string' || file === '' || file.length > MOST_NAME || typeof size !== 'number' || typeof crc !== 'number') throw damaged(this.input.name, 'it does not say whose child it is')
    return { file, size, crc }
  }
}
