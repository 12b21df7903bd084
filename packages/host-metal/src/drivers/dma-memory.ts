import { machinistError } from '@machinist/api'
import type { AddressRange, Hardware } from './hardware.ts'

/** A piece of physical memory that drivers and devices share. */
export interface DmaPiece {
  readonly address: number
  readonly bytes: Uint8Array
  readonly view: DataView
}

/** The alignment that every piece has, in bytes. */
const LEAST_ALIGN = 64

/**
 * Physical memory that drivers share with devices. It is handed out once and not taken back: a device that does not answer any more may still write what it was given,
 * so nobody else ever gets that.
 */
export class DmaMemory {
  readonly #window: ArrayBuffer
  readonly #base: number
  readonly #length: number
  #used = 0

  /** @param range - memory that nobody else uses, below 2^31 bytes */
  constructor(hardware: Pick<Hardware, 'window'>, { address, length }: AddressRange) {
    this.#window = hardware.window(address, length)
    this.#base = address
    this.#length = length
  }

  /** Bytes that are left. */
  get room(): number {
    return this.#length - this.#used
  }

  /**
   * Takes a piece, all zeros.
   *
   * @param align - of its address, a power of two
   * @throws a typed error `'dma-memory'` when there is not so much
   */
  take(length: number, align: number = LEAST_ALIGN): DmaPiece {
    const step = Math.max(align, LEAST_ALIGN)
    const address = Math.ceil((this.#base + this.#used) / step) * step
    const offset = address - this.#base
    if (!(length > 0 && offset + length <= this.#length)) {
      throw machinistError({ code: 'dma-memory', part: 'drivers', value: length, remedy: 'Leave more memory to drivers, or use fewer devices.' }, 'there is no memory left for a device')
    }
    this.#used = offset + length
    const bytes = new Uint8Array(this.#window, offset, length)
    bytes.fill(0)
    return { address, bytes, view: new DataView(this.#window, offset, length) }
  }
}
