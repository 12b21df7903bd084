import { descriptorFlag } from '../queue/ring.ts'
import type { Ram } from './ram.ts'

/** One buffer of a request. */
export interface DriverBuffer {
  readonly address: number
  readonly length: number
  /** Whether the device writes it. */
  readonly write: boolean
}

/** What the device has used. */
export interface UsedBuffer {
  readonly id: number
  readonly written: number
}

/** A ring as the driver sees it. Addresses are guest-physical; a test may write there what it likes. */
export interface DriverRing {
  readonly size: number
  /** Descriptor Area. */
  readonly desc: number
  /** Driver Area: available ring, or driver event suppression. */
  readonly avail: number
  /** Device Area: used ring, or device event suppression. */
  readonly used: number
  /** Past the last byte of all three. */
  readonly end: number
  /** Descriptors that are free. */
  readonly room: number
  /** Makes a request available and returns its name. `table` is where an indirect table may go, or null. */
  add(ram: Ram, buffers: readonly DriverBuffer[], table: number | null): number
  /** What the device used next, or null. */
  take(ram: Ram): UsedBuffer | null
  /** Asks for a notification of the next used buffer. */
  arm(ram: Ram, eventIdx: boolean): void
  /** Whether the device wants a notification of what was added since this was asked last. */
  wanted(ram: Ram, eventIdx: boolean): boolean
}

/** Split: 2.7. */
export class SplitDriverRing implements DriverRing {
  readonly size: number
  readonly desc: number
  readonly avail: number
  readonly used: number
  readonly end: number
  /** Entries made available, modulo 2^16. */
  available = 0
  /** Entries of the used ring seen, modulo 2^16. */
  seen = 0
  #asked = 0
  readonly #free: number[]
  readonly #chains = new Map<number, readonly number[]>()

  /** @param align - of the used ring, in bytes */
  constructor(size: number, base: number, align = 4) {
    this.size = size
    this.desc = base
    this.avail = base + 16 * size
    this.used = Math.ceil((this.avail + 6 + 2 * size) / align) * align
    this.end = Math.ceil((this.used + 6 + 8 * size) / 16) * 16
    this.#free = Array.from({ length: size }, (_, index) => size - 1 - index)
  }

  get room(): number {
    return this.#free.length
  }

  add(ram: Ram, buffers: readonly DriverBuffer[], table: number | null): number {
    const chain = Array.from({ length: table === null ? buffers.length : 1 }, () => this.#free.pop() ?? 0)
    const head = chain[0] ?? 0
    for (const [position, { address, length, write }] of buffers.entries()) {
      const last = position === buffers.length - 1
      const flags = (last ? 0 : descriptorFlag.next) | (write ? descriptorFlag.write : 0)
      if (table === null) ram.setDescriptor(this.desc, chain[position] ?? 0, address, length, flags, last ? 0 : chain[position + 1] ?? 0)
      else ram.setDescriptor(table, position, address, length, flags, last ? 0 : position + 1)
    }
    if (table !== null) ram.setDescriptor(this.desc, head, table, 16 * buffers.length, descriptorFlag.indirect, 0)
    this.#chains.set(head, chain)
    this.makeAvailable(ram, head)
    return head
  }

  makeAvailable(ram: Ram, head: number): void {
    ram.set16(this.avail + 4 + 2 * (this.available % this.size), head)
    this.available = (this.available + 1) & 0xffff
    ram.set16(this.avail + 2, this.available)
  }

  take(ram: Ram): UsedBuffer | null {
    if (this.seen === ram.get16(this.used + 2)) return null
    const at = this.used + 4 + 8 * (this.seen % this.size)
    this.seen = (this.seen + 1) & 0xffff
    const id = ram.get32(at)
    this.#free.push(...this.#chains.get(id) ?? [])
    this.#chains.delete(id)
    return { id, written: ram.get32(at + 4) }
  }

  arm(ram: Ram): void {
    ram.set16(this.avail + 4 + 2 * this.size, this.seen)
  }

  wanted(ram: Ram, eventIdx: boolean): boolean {
    const before = this.#asked
    this.#asked = this.available
    if (!eventIdx) return (ram.get16(this.used) & 1) === 0
    const event = ram.get16(this.used + 4 + 8 * this.size)
    return ((this.available - event - 1) & 0xffff) < ((this.available - before) & 0xffff)
  }
}

/** Packed: 2.8. The places of two laps are numbered through, as the device's side does. */
export class PackedDriverRing implements DriverRing {
  readonly size: number
  readonly desc: number
  readonly avail: number
  readonly used: number
  readonly end: number
  /** Where the next descriptor goes. */
  place = 0
  #seen = 0
  #asked = 0
  #room: number
  readonly #ids: number[]
  readonly #slots = new Map<number, number>()

  constructor(size: number, base: number) {
    this.size = this.#room = size
    this.desc = base
    this.avail = base + 16 * size
    this.used = this.avail + 4
    this.end = this.avail + 16
    this.#ids = Array.from({ length: size }, (_, index) => index)
  }

  get room(): number {
    return this.#room
  }

  add(ram: Ram, buffers: readonly DriverBuffer[], table: number | null): number {
    const id = this.#ids.shift() ?? 0
    for (const [position, { address, length, write }] of buffers.entries()) {
      const flags = write ? descriptorFlag.write : 0
      if (table !== null) ram.setDescriptor(table, position, address, length, 0xdead, flags)
      else this.put(ram, address, length, id, flags | (position === buffers.length - 1 ? 0 : descriptorFlag.next))
    }
    if (table !== null) this.put(ram, table, 16 * buffers.length, id, descriptorFlag.indirect)
    const slots = table === null ? buffers.length : 1
    this.#slots.set(id, slots)
    this.#room -= slots
    return id
  }

  /** Writes the next descriptor and makes it available. */
  put(ram: Ram, address: number, length: number, id: number, flags: number): void {
    ram.setDescriptor(this.desc, this.place % this.size, address, length, id, flags | (this.place < this.size ? 0x80 : 0x8000))
    this.place = (this.place + 1) % (2 * this.size)
  }

  take(ram: Ram): UsedBuffer | null {
    const at = this.desc + 16 * (this.#seen % this.size)
    const flags = ram.get16(at + 14)
    if ((flags & 0x8080) !== (this.#seen < this.size ? 0x8080 : 0)) return null
    const id = ram.get16(at + 12)
    const slots = this.#slots.get(id)
    if (slots === undefined) return { id, written: 0 }
    this.#slots.delete(id)
    this.#seen = (this.#seen + slots) % (2 * this.size)
    this.#room += slots
    this.#ids.push(id)
    return { id, written: (flags & descriptorFlag.write) === 0 ? 0 : ram.get32(at + 8) }
  }

  arm(ram: Ram, eventIdx: boolean): void {
    ram.set16(this.avail, this.#seen % this.size | (this.#seen < this.size ? 0x8000 : 0))
    ram.set16(this.avail + 2, eventIdx ? 2 : 0)
  }

  wanted(ram: Ram, eventIdx: boolean): boolean {
    const before = this.#asked
    this.#asked = this.place
    const [event, flags] = [ram.get16(this.used), ram.get16(this.used + 2)]
    if (flags !== 2 || !eventIdx) return flags === 0
    const lap = 2 * this.size
    const wanted = (event & 0x7fff) + ((event & 0x8000) === 0 ? this.size : 0)
    return (wanted - before + lap) % lap < (this.place - before + lap) % lap
  }
}
