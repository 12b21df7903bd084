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
  readonly #gathered: Uint8Array = new Uint8Array(GATHERED)
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
  async pack(bytes: Uint8Array): Promise<Uint8Array> {
    const packed = await (this.codec.compressLater?.(bytes) ?? this.codec.compress(bytes))
    return packed.length < bytes.length ? packed : bytes
  }

  async append(bytes: Uint8Array): Promise<void> {
    if (this.#waiting + bytes.length > GATHERED) await this.flush()
    if (bytes.length > GATHERED) {
      await this.#output.write(this.#written, bytes)
      this.#written += bytes.length
      return
    }
    this.#gathered.set(bytes, this.#waiting)
    this.#waiting += bytes.length
  }

  async piece(bytes: Uint8Array): Promise<Piece> {
    const packed = await this.pack(bytes)
    const piece: Piece = [this.position, packed.length, bytes.length, this.codec.crc32(packed)]
    await this.append(packed)
    return piece
  }

  /** Lets others do something, where the output has a way. */
  async breathe(): Promise<void> {
    await this.#output.breathe?.()
  }

  async flush(): Promise<void> {
    if (this.#waiting > 0) await this.#output.write(this.#written, this.#gathered.subarray(0, this.#waiting))
    this.#written += this.#waiting
    this.#waiting = 0
  }
}
