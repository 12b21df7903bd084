import type { SnapshotCodec } from './codec.ts'
import type { SnapshotOutput } from './file.ts'
import { HEADER_SIZE, type Piece } from './format.ts'

/** Bytes that are gathered before they are written. */
const GATHERED = 2 ** 20

/** Writes one thing behind the other. */
export class Appender {
  readonly codec: SnapshotCodec
  readonly #output: SnapshotOutput
  #written: number = HEADER_SIZE
  #gathered: Uint8Array[] = []
  #waiting = 0

  constructor(output: SnapshotOutput, codec: SnapshotCodec) {
    this.#output = output
    this.codec = codec
  }

  /** Where the next bytes will be. */
  get position(): number {
    return this.#written + this.#waiting
  }

  /** What is to be stored of bytes: compressed, if that makes them fewer. */
  pack(bytes: Uint8Array): Uint8Array {
    const packed = this.codec.compress(bytes)
    return packed.length < bytes.length ? packed : bytes
  }

  async append(bytes: Uint8Array): Promise<void> {
    this.#gathered.push(bytes)
    this.#waiting += bytes.length
    if (this.#waiting >= GATHERED) await this.flush()
  }

  async piece(bytes: Uint8Array): Promise<Piece> {
    const packed = this.pack(bytes)
    const piece: Piece = [this.position, packed.length, bytes.length, this.codec.crc32(packed)]
    await this.append(packed)
    return piece
  }

  async flush(): Promise<void> {
    const all = new Uint8Array(this.#waiting)
    let at = 0
    for (const bytes of this.#gathered) {
      all.set(bytes, at)
      at += bytes.length
    }
    this.#gathered = []
    this.#waiting = 0
    if (at > 0) await this.#output.write(this.#written, all)
    this.#written += at
  }
}
