import { machinistError, type MachinistError } from '@machinist/api'
import { Later, type RandomAccessFile } from '@machinist/storage'
import type { DmaMemory, DmaPiece } from '../dma-memory.ts'
import { type AddressRange, type Hardware, hardwareError } from '../hardware.ts'
import type { Ring } from './ring.ts'
import { VirtioTransport } from './transport.ts'

/** 5.2.3 */
const FEATURE = { sizeMax: 1, readOnly: 5, blockSize: 6, flush: 9, writeZeroes: 14 } as const
/** 5.2.4: byte offsets in the configuration space. */
const CONFIG = { capacity: 0, sizeMax: 8, blockSize: 20, maxWriteZeroesSectors: 48, maxWriteZeroesSegments: 52, writeZeroesMayUnmap: 56 } as const
/** 5.2.6 */
const TYPE = { in: 0, out: 1, flush: 4, writeZeroes: 13 } as const
const STATUS = { ok: 0, ioError: 1, unsupported: 2, none: 0xff } as const
const HEADER = 16
/** `struct virtio_blk_discard_write_zeroes`: sector, sectors, flags. */
const RANGE = { size: 16, sectors: 8, flags: 12, unmap: 1 } as const

/** Bytes of a sector, whatever the block size (5.2.4). */
export const SECTOR = 512
const QUEUE = 0
const QUEUE_SIZE = 64
/** Descriptors of a request at most: header, data, status. */
const DESCRIPTORS = 3
/** How long the device may take for a request, in nanoseconds. */
const ANSWER_WITHIN = 30e9
const MOST_SECTORS = 2 ** 32 - 1

/** How a {@link VirtioBlock} is driven. */
export interface VirtioBlockOptions {
  /** Requests that the device has at once, 1 to 21. Default: 16. */
  readonly depth?: number
  /** Bytes of one request at most, a multiple of 512. Default: 65536. `depth` times as much of the drivers' memory is taken. */
  readonly transfer?: number
}

/** What a request hands over. */
interface Piece {
  readonly type: number
  readonly sector: number
  /** Bytes of the disk that it is about. */
  readonly length: number
  /** Takes what was read. */
  readonly into?: Uint8Array | undefined
  readonly from?: Uint8Array | undefined
  /** Told the bytes that it was about. */
  readonly answer: Later<number>
}

/** Memory and descriptors that one request at a time uses: header, data and status, in this order. */
interface Slot {
  /** Of its three descriptors, the first; the others follow. */
  readonly head: number
  readonly dataDescriptor: number
  readonly statusDescriptor: number
  readonly header: Uint32Array
  readonly data: DmaPiece
  readonly status: Uint8Array
  /** The data of the last request. */
  bytes: Uint8Array
  /** The type and the bytes for the device that its descriptors say. */
  type: number
  count: number
  piece: Piece | null
  /** When its request was given to the device; `Infinity` for none. */
  since: number
}

function fileError(code: 'file-eio' | 'file-enospc' | 'file-erofs' | 'file-enotsup', part: string, problem: string, value?: string | number): MachinistError {
  return machinistError({ code, part, value, remedy: 'Look at the disk.' }, problem)
}

/**
 * A virtio block device (5.2) as a file of bytes, on which disks and their formats stand. Requests are copied through memory of the drivers, {@link VirtioBlockOptions.depth} of them at once; more wait in
 * their order. Writes that are no whole blocks are read, changed and written, one after another.
 */
export class VirtioBlock implements RandomAccessFile {
  readonly name: string
  readonly size: number
  readonly writable: boolean
  /** Bytes that requests consist of, a power of two from 512. */
  readonly blockSize: number
  /** Gives the storage of a range back, which then reads as zeroes. Absent when the device does not have VIRTIO_BLK_F_WRITE_ZEROES: what VIRTIO_BLK_F_DISCARD leaves behind is undefined. */
  readonly discard?: (offset: number, length: number) => Promise<void>
  readonly #hardware: Hardware
  readonly #transport: VirtioTransport
  readonly #ring: Ring<Slot>
  readonly #slots: readonly Slot[]
  readonly #free: Slot[]
  readonly #transfer: number
  readonly #zeroSectors: number
  readonly #unmaps: boolean
  #waiting: Piece[] = []
  #waitingAt = 0
  #finishing = false
  /** The last write that was no whole blocks. */
  #partial: Promise<void> = Promise.resolve()

  /** @throws typed errors of the transport, and `'dma-memory'` */
  constructor(hardware: Hardware, memory: DmaMemory, range: AddressRange, name: string, { depth = 16, transfer = 65536 }: VirtioBlockOptions = {}) {
    if (!(Number.isInteger(depth) && depth >= 1 && depth <= QUEUE_SIZE / DESCRIPTORS && transfer >= SECTOR && transfer % SECTOR === 0)) throw new RangeError('depth or transfer')
    this.name = name
    this.#hardware = hardware
    const transport = new VirtioTransport(hardware, memory, range, name, Object.values(FEATURE), { used: () => { this.#finish() }, failed: (error) => { this.#abandon(error) } })
    this.#transport = transport
    const config = transport.config((at) => ({
      capacity: at(CONFIG.capacity, 4) + at(CONFIG.capacity + 4, 4) * 2 ** 32,
      sizeMax: transport.has(FEATURE.sizeMax) ? at(CONFIG.sizeMax, 4) : Infinity,
      blockSize: transport.has(FEATURE.blockSize) ? at(CONFIG.blockSize, 4) : SECTOR,
      zeroSectors: transport.has(FEATURE.writeZeroes) && at(CONFIG.maxWriteZeroesSegments, 4) > 0 ? at(CONFIG.maxWriteZeroesSectors, 4) : 0,
      unmaps: at(CONFIG.writeZeroesMayUnmap, 1) === 1,
    }))
    const { blockSize } = config
    if (!Number.isSafeInteger(config.capacity * SECTOR)) throw hardwareError('hardware-broken', name, 'has more sectors than there are', config.capacity)
    if (!(blockSize >= SECTOR && blockSize <= 2 ** 20 && (blockSize & (blockSize - 1)) === 0)) throw hardwareError('hardware-broken', name, 'has blocks of an impossible size', blockSize)
    this.blockSize = blockSize
    this.size = Math.floor(config.capacity * SECTOR / blockSize) * blockSize
    this.writable = !transport.has(FEATURE.readOnly)
    const most = Math.min(transfer, config.sizeMax)
    this.#transfer = most - most % blockSize
    if (this.#transfer === 0) throw hardwareError('hardware-unsupported', name, `has blocks of more than the ${most} bytes of a request`, blockSize)
    this.#zeroSectors = config.zeroSectors
    this.#unmaps = config.unmaps
    if (this.writable && config.zeroSectors > 0) this.discard = (offset, length) => this.#zero(offset, length)
    this.#ring = transport.queue<Slot>(QUEUE, QUEUE_SIZE, DESCRIPTORS)
    const count = Math.min(depth, Math.floor(this.#ring.size / DESCRIPTORS))
    this.#slots = Array.from({ length: count }, () => {
      const [header, status, data] = [memory.take(HEADER), memory.take(1), memory.take(this.#transfer, 4096)]
      const head = this.#ring.keep([{ address: header.address, length: HEADER, write: false }, { address: data.address, length: 0, write: true }, { address: status.address, length: 1, write: true }])
      const dataDescriptor = this.#ring.following(head)
      const words = new Uint32Array(header.bytes.buffer, header.bytes.byteOffset, HEADER / 4)
      return { head, dataDescriptor, statusDescriptor: this.#ring.following(dataDescriptor), header: words, data, status: status.bytes, bytes: data.bytes, type: -1, count: -1, piece: null, since: Infinity }
    })
    this.#free = [...this.#slots]
    transport.start()
  }

  /** Why it is not used any more: all requests fail then. */
  get error(): MachinistError | null {
    return this.#transport.error
  }

  /** When {@link VirtioBlock.poll} is to be called at the latest; `Infinity` when nothing is under way. */
  get deadline(): number {
    let oldest = Infinity
    for (const { since } of this.#slots) oldest = Math.min(oldest, since)
    return oldest + ANSWER_WITHIN
  }

  /** Serves its interrupt. @returns whether it had one */
  interrupt(): boolean {
    return this.#transport.interrupt()
  }

  /** Takes what is finished without an interrupt, and gives a device up that does not answer. */
  poll(): void {
    if (this.error !== null) return
    this.#transport.attempt(() => { this.#finish() })
    if (this.deadline <= this.#hardware.now()) this.#transport.fail('does not answer')
  }

  read(offset: number, into: Uint8Array): PromiseLike<number> {
    const { length } = into
    // The usual request costs no promise.
    if (length > 0 && length <= this.#transfer && offset + length <= this.size && offset % this.blockSize === 0 && length % this.blockSize === 0) {
      return this.#request({ type: TYPE.in, sector: offset / SECTOR, length, into })
    }
    return this.#readAny(offset, into)
  }

  async #readAny(offset: number, into: Uint8Array): Promise<number> {
    const unit = this.blockSize
    const length = Math.max(0, Math.min(into.length, this.size - offset))
    if (length === 0) return 0
    await Promise.all(this.#cut(offset, length).map(async ({ at, length: count }) => {
      const target = into.subarray(at - offset, at - offset + count)
      const before = at % unit
      const whole = Math.ceil((before + count) / unit) * unit
      if (whole === count) {
        await this.#request({ type: TYPE.in, sector: at / SECTOR, length: count, into: target })
        return
      }
      const blocks = new Uint8Array(whole)
      await this.#request({ type: TYPE.in, sector: (at - before) / SECTOR, length: whole, into: blocks })
      target.set(blocks.subarray(before, before + count))
    }))
    return length
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    this.#check(offset, from.length)
    if (from.length > 0 && from.length <= this.#transfer && offset % this.blockSize === 0 && from.length % this.blockSize === 0) {
      await this.#request({ type: TYPE.out, sector: offset / SECTOR, length: from.length, from })
      return
    }
    if (from.length === 0) return
    if (offset % this.blockSize === 0 && from.length % this.blockSize === 0) return this.#writeWhole(offset, from)
    // Two such writes may be about one block.
    const mine = this.#partial.then(() => this.#writePartial(offset, from))
    this.#partial = mine.catch(() => undefined)
    return mine
  }

  async flush(): Promise<void> {
    if (this.error !== null) throw this.error
    // Without the feature, what was written is stable (5.2.5).
    if (this.#transport.has(FEATURE.flush)) await this.#request({ type: TYPE.flush, sector: 0, length: 0 })
  }

  /** Others may use the device still. */
  close(): Promise<void> {
    return Promise.resolve()
  }

  async #zero(offset: number, length: number): Promise<void> {
    this.#check(offset, length)
    const unit = this.blockSize
    const first = Math.ceil(offset / unit) * unit
    const end = Math.floor((offset + length) / unit) * unit
    if (first >= end) return this.write(offset, new Uint8Array(length))
    const most = Math.max(unit, Math.floor(Math.min(this.#zeroSectors, MOST_SECTORS) * SECTOR / unit) * unit)
    const work: PromiseLike<unknown>[] = []
    if (offset < first) work.push(this.write(offset, new Uint8Array(first - offset)))
    if (end < offset + length) work.push(this.write(end, new Uint8Array(offset + length - end)))
    for (let at = first; at < end; at += most) work.push(this.#request({ type: TYPE.writeZeroes, sector: at / SECTOR, length: Math.min(most, end - at) }))
    await Promise.all(work)
  }

  #check(offset: number, length: number): void {
    if (!this.writable) throw fileError('file-erofs', this.name, 'cannot be written')
    if (!(offset >= 0 && offset + length <= this.size)) throw fileError('file-enospc', this.name, 'ends before', offset + length)
  }

  async #writeWhole(offset: number, from: Uint8Array): Promise<void> {
    await Promise.all(this.#cut(offset, from.length).map(({ at, length }) => this.#request({ type: TYPE.out, sector: at / SECTOR, length, from: from.subarray(at - offset, at - offset + length) })))
  }

  async #writePartial(offset: number, from: Uint8Array): Promise<void> {
    const unit = this.blockSize
    const start = offset - offset % unit
    const end = Math.ceil((offset + from.length) / unit) * unit
    const blocks = new Uint8Array(end - start)
    if (start < offset) await this.read(start, blocks.subarray(0, unit))
    if (end > offset + from.length && (end - unit > start || start === offset)) await this.read(end - unit, blocks.subarray(blocks.length - unit))
    blocks.set(from, offset - start)
    await this.#writeWhole(start, blocks)
  }

  /** A range as pieces of which each, with the rest of its blocks, is one request. */
  #cut(offset: number, length: number): readonly { readonly at: number; readonly length: number }[] {
    const pieces: { at: number; length: number }[] = []
    for (let at = offset; at < offset + length;) {
      const end = Math.min(offset + length, at - at % this.blockSize + this.#transfer)
      pieces.push({ at, length: end - at })
      at = end
    }
    return pieces
  }

  /** @returns the bytes of the disk that it was about */
  #request({ type, sector, length, into, from }: Omit<Piece, 'answer'>): Later<number> {
    const answer = new Later<number>()
    if (this.error !== null) answer.reject(this.error)
    else {
      this.#waiting.push({ type, sector, length, into, from, answer })
      // Whoever hears of a request that is finished may ask for the next: all of them are given to the device together.
      if (!this.#finishing) this.#submit()
    }
    return answer
  }

  /** Gives the device what waits, as far as it has room. */
  #submit(): void {
    let any = false
    for (let piece = this.#waiting[this.#waitingAt]; piece !== undefined; piece = this.#waiting[this.#waitingAt]) {
      const slot = this.#free.pop()
      if (slot === undefined) break
      this.#waitingAt++
      this.#begin(piece, slot)
      any = true
    }
    if (this.#waitingAt === this.#waiting.length) {
      this.#waiting.length = 0
      this.#waitingAt = 0
    }
    if (any) this.#transport.notify(QUEUE)
  }

  #begin(piece: Piece, slot: Slot): void {
    const { type, sector, length, from } = piece
    const { header, data, status, dataDescriptor } = slot
    const zeroes = type === TYPE.writeZeroes
    header[0] = type
    header[2] = zeroes ? 0 : sector
    header[3] = zeroes ? 0 : sector / 2 ** 32
    status[0] = STATUS.none
    const count = zeroes ? RANGE.size : length
    if (slot.type !== type || slot.count !== count) {
      slot.type = type
      slot.count = count
      slot.bytes = data.bytes.subarray(0, count)
      if (count > 0) this.#ring.change(dataDescriptor, count, type === TYPE.in, slot.statusDescriptor)
      this.#ring.change(slot.head, HEADER, false, count > 0 ? dataDescriptor : slot.statusDescriptor)
    }
    if (zeroes) {
      data.view.setUint32(0, sector % 2 ** 32, true)
      data.view.setUint32(4, Math.floor(sector / 2 ** 32), true)
      data.view.setUint32(RANGE.sectors, length / SECTOR, true)
      data.view.setUint32(RANGE.flags, this.#unmaps ? RANGE.unmap : 0, true)
    } else if (from !== undefined) slot.bytes.set(from)
    slot.piece = piece
    slot.since = this.#hardware.now()
    this.#ring.offer(slot, slot.head, type === TYPE.in ? count + 1 : 1)
  }

  #finish(): void {
    this.#finishing = true
    try {
      for (let finished = this.#ring.take(); finished !== null; finished = this.#ring.take()) this.#end(finished.request, finished.written)
    } finally {
      this.#finishing = false
    }
    this.#submit()
  }

  #end(slot: Slot, written: number): void {
    const { piece } = slot
    slot.piece = null
    slot.since = Infinity
    if (piece === null) return
    const { answer, into, length } = piece
    const status = slot.status[0] ?? STATUS.none
    if (status > STATUS.unsupported) {
      answer.reject(fileError('file-eio', this.name, 'the request has no answer'))
      throw hardwareError('hardware-broken', this.name, 'answers with a status that does not exist', status)
    }
    let error: MachinistError | null = null
    if (status === STATUS.ioError) error = fileError('file-eio', this.name, 'the device failed to do it')
    else if (status === STATUS.unsupported) error = fileError('file-enotsup', this.name, 'the device cannot do it')
    // What it did not write is of another request.
    else if (piece.type === TYPE.in && written < length + 1) error = fileError('file-eio', this.name, `the device gave less than ${length} bytes`, written)
    else into?.set(slot.bytes)
    this.#free.push(slot)
    if (error === null) answer.resolve(length)
    else answer.reject(error)
  }

  #abandon(error: MachinistError): void {
    this.#ring.abandon()
    const lost = this.#slots.flatMap(({ piece }) => piece === null ? [] : [piece])
    lost.push(...this.#waiting.slice(this.#waitingAt))
    for (const slot of this.#slots) {
      slot.piece = null
      slot.since = Infinity
    }
    this.#waiting = []
    this.#waitingAt = 0
    for (const { answer } of lost) answer.reject(error)
  }
}
