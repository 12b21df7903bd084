import type { DmaSpace } from '@machinist/api'
import type { PlainData } from '@machinist/registers'
import { Bm } from './registers.ts'

/** Saved state of a bus master. */
export interface BusMasterState {
  readonly command: number
  readonly status: number
  readonly table: number
  /** Where the next descriptor is; what is left of the one before it: address, bytes; and whether that is the last. */
  readonly cursor: readonly number[]
}

/** A physical region descriptor (82371SB, 2.7): address, bytes, and the end of the table in the highest bit. */
const DESCRIPTOR = 8
const LAST = 0x8000_0000
const MOST = 0x1_0000
/** The table does not cross a boundary of 64 KiB (2.7.3): its pointer goes round. */
const TABLE = 0x1_0000

/** How much of a buffer was moved: all; not all, because the table ended; or memory was not there. */
export type Moved = 'all' | 'short' | 'error'

/** Moves bytes between guest memory, where descriptors say, and a device. */
export class BusMaster {
  command = 0
  status = 0
  table = 0
  readonly #dma: DmaSpace
  #next = 0
  #address = 0
  #left = 0
  #last = false

  constructor(dma: DmaSpace) {
    this.#dma = dma
  }

  get running(): boolean {
    return (this.status & Bm.active) !== 0
  }

  reset(): void {
    this.command = this.status = this.table = this.#next = this.#address = this.#left = 0
    this.#last = false
  }

  /** Begins at the first descriptor. */
  start(): void {
    this.status |= Bm.active
    this.#next = this.table
    this.#left = 0
    this.#last = false
  }

  stop(): void {
    this.status &= ~Bm.active
  }

  /** Moves a buffer into guest memory, or fills it from there. The work is that of the buffer: a descriptor has two bytes at least. */
  move(buffer: Uint8Array, into: boolean): Moved {
    for (let at = 0; at < buffer.length;) {
      if (this.#left === 0) {
        if (this.#last) return this.#end('short', 0)
        if (!this.#load()) return this.#end('error', Bm.error)
      }
      const count = Math.min(this.#left, buffer.length - at)
      const piece = buffer.subarray(at, at + count)
      if (!(into ? this.#dma.write(this.#address, piece) : this.#dma.read(this.#address, piece))) return this.#end('error', Bm.error)
      at += count
      this.#address += count
      this.#left -= count
    }
    return 'all'
  }

  /** The device has told that it is done: only a table that has room left is still active (2.7.2). */
  finish(): void {
    if (this.#left === 0 && this.#last) this.stop()
  }

  save(): BusMasterState {
    return { command: this.command, status: this.status, table: this.table, cursor: [this.#next, this.#address, this.#left, this.#last ? 1 : 0] }
  }

  restore({ command, status, table, cursor: [next = 0, address = 0, left = 0, last = 0] }: BusMasterState): void {
    this.command = command
    this.status = status
    this.table = table
    this.#next = next
    this.#address = address
    this.#left = left
    this.#last = last !== 0
  }

  #load(): boolean {
    const address = this.#dma.read32(this.#next)
    const word = this.#dma.read32(this.#next + 4)
    if (address < 0 || word < 0) return false
    this.#next = Math.floor(this.#next / TABLE) * TABLE + (this.#next + DESCRIPTOR) % TABLE
    this.#address = address - address % 2
    this.#left = (word & 0xfffe) === 0 ? MOST : word & 0xfffe
    this.#last = word >= LAST
    return true
  }

  #end(how: Moved, bits: number): Moved {
    this.stop()
    this.status |= bits
    return how
  }
}

/** Checks what {@link BusMaster.save} gave. */
export function busMasterState(data: PlainData): BusMasterState {
  const command = data.integer('command', 0, 255) & (Bm.start | Bm.read)
  const status = data.integer('status', 0, 255) & (Bm.active | Bm.error | Bm.interrupt | Bm.drives)
  const table = data.integer('table', 0, 0xffff_ffff)
  const cursor = data.integers('cursor', 4, 0, 2 ** 32 + MOST)
  return { command, status, table: table - table % 4, cursor }
}
