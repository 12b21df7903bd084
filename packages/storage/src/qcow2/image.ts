import type { BlockStatus } from '@machinist/api'
import { machinistError } from '@machinist/api'
import { lengthOf } from '../buffers.ts'
import { type Outcome, sectorSize } from '../disk.ts'
import { type Eager, eagerly, wait } from '../eager.ts'
import { guarded, type RandomAccessFile, statusOfError } from '../file.ts'
import { imageUnsupported } from '../format.ts'
import type { CheckOptions, CheckReport, Codec, DiskImage, ImageInfo, ImageRange, ImageSnapshot, ResizeOptions } from '../format.ts'
import { checkImage } from './check.ts'
import { l1EntriesFor } from './header.ts'
import type { Header } from './header.ts'
import { field, incompatible, limit, setU64 } from './layout.ts'
import type { Mapping } from './layout.ts'
import { systemError } from './refcounts.ts'
import type { Tables } from './tables.ts'

/** Most bytes that are put together for one write of new clusters. */
const maxWrite = 4 << 20
/** Most bytes of decompressed clusters that are kept. */
const inflatedBytes = 4 << 20

/** What an open image consists of. */
export interface Parts {
  readonly file: RandomAccessFile
  readonly name: string
  readonly header: Header
  readonly tables: Tables
  readonly below: DiskImage | null
  readonly codec: Codec | undefined
  readonly readOnly: boolean
  readonly snapshots: readonly ImageSnapshot[]
  /** Reads a snapshot when given. */
  readonly size: number
}

/** An open qcow2 image. */
export class Qcow2Image implements DiskImage {
  readonly format = 'qcow2'
  readonly readOnly: boolean
  readonly blockSize: number
  readonly unit: number
  readonly below?: DiskImage
  readonly #parts: Parts
  readonly #clusterSize: number
  readonly #inflated = new Map<number, Uint8Array>()
  #size: number
  #closed = false
  /** A repair has written what we hold copies of. */
  #repaired = false

  constructor(parts: Parts) {
    this.#parts = parts
    this.#clusterSize = 2 ** parts.header.clusterBits
    this.#size = Math.ceil(parts.size / sectorSize) * sectorSize
    this.readOnly = parts.readOnly
    this.blockSize = Math.max(4096, Math.min(this.#clusterSize, 65536))
    this.unit = this.#clusterSize
    if (parts.below !== null) this.below = parts.below
  }

  get size(): number {
    return this.#size
  }

  read(offset: number, into: readonly Uint8Array[]): Outcome {
    return guarded(() => this.#readAll(offset, into))
  }

  *#readAll(offset: number, into: readonly Uint8Array[]): Eager<BlockStatus> {
    for (const buffer of into) {
      const status = yield* this.#readInto(offset, buffer)
      if (status !== 'ok') return status
      offset += buffer.length
    }
    return 'ok'
  }

  *#readInto(offset: number, into: Uint8Array): Eager<BlockStatus> {
    const clusterSize = this.#clusterSize
    for (let done = 0; done < into.length;) {
      const at = offset + done
      const inside = at % clusterSize
      const { mapping, count } = yield* this.#parts.tables.lookup(Math.floor(at / clusterSize), Math.ceil((inside + into.length - done) / clusterSize))
      const piece = into.subarray(done, Math.min(into.length, done + count * clusterSize - inside))
      const status = yield* this.#readPiece(mapping, at, inside, piece)
      if (status !== 'ok') return status
      done += piece.length
    }
    return 'ok'
  }

  *#readPiece(mapping: Mapping, at: number, inside: number, piece: Uint8Array): Eager<BlockStatus> {
    switch (mapping.kind) {
      case 'bad':
        return 'io-error'
      case 'zero':
        piece.fill(0)
        return 'ok'
      case 'absent': {
        const { below } = this.#parts
        const count = below === null ? 0 : Math.max(0, Math.min(below.size - at, piece.length))
        piece.fill(0, count)
        return below === null || count === 0 ? 'ok' : yield* wait(below.read(at, [piece.subarray(0, count)]))
      }
      case 'data': {
        const count = yield* wait(this.#parts.file.read(mapping.offset + inside, piece))
        // The file may end inside its last cluster.
        piece.fill(0, count)
        return 'ok'
      }
      case 'compressed':
        piece.set((this.#inflated.get(mapping.offset) ?? (yield* wait(this.#inflate(mapping)))).subarray(inside, inside + piece.length))
        return 'ok'
    }
  }

  async #inflate({ offset, length }: { readonly offset: number, readonly length: number }): Promise<Uint8Array> {
    const kept = this.#inflated.get(offset)
    if (kept !== undefined) return kept
    const { codec, file, header } = this.#parts
    if (codec === undefined) throw systemError('EIO', 'the host cannot decompress')
    const packed = new Uint8Array(length)
    const count = await file.read(offset, packed)
    const bytes = await codec.inflate(header.compression, packed.subarray(0, count), this.#clusterSize)
    if (bytes.length !== this.#clusterSize) throw systemError('EIO', 'a compressed cluster is too short')
    const oldest = this.#inflated.keys().next()
    if (oldest.done !== true && (this.#inflated.size + 1) * this.#clusterSize > inflatedBytes) this.#inflated.delete(oldest.value)
    this.#inflated.set(offset, bytes)
    return bytes
  }

  write(offset: number, from: readonly Uint8Array[]): Outcome {
    const [only] = from
    return guarded(() => this.#writeFrom(offset, from.length === 1 && only !== undefined ? only : joined(from)))
  }

  *#writeFrom(offset: number, from: Uint8Array): Eager<BlockStatus> {
    if (this.#repaired) return 'read-only'
    const { file, tables } = this.#parts
    const clusterSize = this.#clusterSize
    for (let done = 0; done < from.length;) {
      const at = offset + done
      const inside = at % clusterSize
      const cluster = Math.floor(at / clusterSize)
      yield* wait(tables.relieve())
      const { mapping, count } = yield* tables.lookup(cluster, Math.ceil((inside + from.length - done) / clusterSize))
      if (mapping.kind === 'bad') return 'io-error'
      if (mapping.kind === 'data' && mapping.copied) {
        const piece = from.subarray(done, Math.min(from.length, done + count * clusterSize - inside))
        tables.guard(mapping.offset, Math.ceil((inside + piece.length) / clusterSize))
        yield* wait(file.write(mapping.offset + inside, piece))
        done += piece.length
        continue
      }
      const length = Math.min(from.length - done, Math.min(count, Math.max(1, Math.floor(maxWrite / clusterSize))) * clusterSize - inside)
      const written = yield* wait(this.#writeSomewhere(mapping, at, from.subarray(done, done + length)))
      if (typeof written === 'string') return written
      done += written
    }
    return 'ok'
  }

  /** As {@link #writeNew}; when there is no room, what was discarded and not flushed is given back first. */
  async #writeSomewhere(mapping: Mapping, at: number, from: Uint8Array): Promise<number | BlockStatus> {
    const { tables } = this.#parts
    try {
      return await this.#writeNew(mapping, at, from)
    } catch (error) {
      if (!tables.owes || statusOfError(error) !== 'no-space') throw error
      await tables.sync()
      return this.#writeNew(mapping, at, from)
    }
  }

  /** Writes to clusters that have no place of their own yet: the whole of each, then what says where they are. */
  async #writeNew(mapping: Mapping, at: number, from: Uint8Array): Promise<number | BlockStatus> {
    const { file, tables } = this.#parts
    const clusterSize = this.#clusterSize
    const inside = at % clusterSize
    const wanted = Math.ceil((inside + from.length) / clusterSize)
    const kept = mapping.kind === 'zero' && mapping.copied && mapping.offset !== 0
    const place = kept ? { offset: mapping.offset, count: wanted } : await tables.allocate(wanted)
    try {
      tables.guard(place.offset, place.count)
      const length = Math.min(from.length, place.count * clusterSize - inside)
      const whole = place.count * clusterSize
      let bytes = from.subarray(0, length)
      if (length !== whole) {
        bytes = new Uint8Array(whole)
        bytes.set(from.subarray(0, length), inside)
        const end = at - inside + whole
        const status = await this.#edge(at - inside, bytes.subarray(0, inside))
        const after = status === 'ok' ? await this.#edge(at + length, bytes.subarray(inside + length, whole - Math.max(0, end - this.#size))) : status
        if (after !== 'ok') {
          if (!kept) await tables.abandon(place.offset, place.count)
          return after
        }
      }
      await file.write(place.offset, bytes)
      await tables.update(Math.floor(at / clusterSize), place.count, (_old, index) => ({ offset: place.offset + index * clusterSize, zero: false }))
      if (mapping.kind === 'compressed') this.#inflated.clear()
      return length
    } catch (error) {
      if (!kept) await tables.abandon(place.offset, place.count)
      throw error
    }
  }

  #edge(at: number, into: Uint8Array): Outcome {
    return into.length === 0 ? 'ok' : eagerly(this.#readInto(at, into))
  }

  flush(): Outcome {
    const { tables } = this.#parts
    return this.readOnly ? 'ok' : guarded(function* () {
      yield* wait(tables.sync())
      return 'ok'
    })
  }

  discard(offset: number, length: number): Outcome {
    return guarded(() => wait(this.#clear(offset, length, true)))
  }

  writeZeroes(offset: number, length: number): Outcome {
    return guarded(() => wait(this.#clear(offset, length, false)))
  }

  /** Makes a range read as zeroes. `optional`: only what needs no writing of data. */
  async #clear(offset: number, length: number, optional: boolean): Promise<BlockStatus> {
    if (this.#repaired) return 'read-only'
    const clusterSize = this.#clusterSize
    const { tables, header } = this.#parts
    const end = offset + length
    const first = Math.ceil(offset / clusterSize)
    const past = end >= this.#size ? Math.ceil(end / clusterSize) : Math.floor(end / clusterSize)
    const zeroes = (from: number, to: number): Promise<BlockStatus> | BlockStatus => optional || to <= from ? 'ok' : this.#writeZeroBytes(from, to)
    if (first >= past) return zeroes(offset, end)
    let status = await zeroes(offset, first * clusterSize)
    const belowSize = this.#parts.below?.size ?? 0
    for (let cluster = first; cluster < past && status === 'ok';) {
      await tables.relieve()
      const { present, left } = tables.tableOf(cluster)
      const count = Math.min(left, past - cluster)
      const hidden = cluster * clusterSize >= belowSize
      if (!present && hidden) {
        cluster += count
        continue
      }
      if (header.version === 2 && !hidden) {
        // There is no mark for zeroes that hides what is below.
        status = await zeroes(cluster * clusterSize, Math.min((cluster + count) * clusterSize, this.#size))
      } else {
        const start = cluster
        let compressed = false
        await tables.update(cluster, count, (old, index) => {
          const zero = (start + index) * clusterSize < belowSize
          if (old.kind === 'compressed') compressed = true
          return old.kind === 'bad' || (old.kind === 'zero' && old.offset === 0) || (old.kind === 'absent' && !zero) ? null : { offset: 0, zero }
        })
        if (compressed) this.#inflated.clear()
      }
      cluster += count
    }
    return status === 'ok' ? zeroes(past * clusterSize, end) : status
  }

  async #writeZeroBytes(from: number, to: number): Promise<BlockStatus> {
    const zeroes = new Uint8Array(Math.min(to - from, 1 << 20))
    for (let at = from; at < to; at += zeroes.length) {
      const status = await eagerly(this.#writeFrom(at, zeroes.subarray(0, Math.min(zeroes.length, to - at))))
      if (status !== 'ok') return status
    }
    return 'ok'
  }

  async *ranges(): AsyncGenerator<ImageRange, void, undefined> {
    const clusterSize = this.#clusterSize
    const belowSize = this.#parts.below?.size ?? 0
    for (let at = 0; at < this.#size;) {
      const { mapping, count } = await eagerly(this.#parts.tables.lookup(at / clusterSize, Math.ceil((this.#size - at) / clusterSize)))
      const end = Math.min(at + count * clusterSize, this.#size)
      if (mapping.kind === 'absent' && at < belowSize) {
        const length = Math.min(end, belowSize) - at
        yield { offset: at, length, state: 'backing' }
        if (at + length < end) yield { offset: at + length, length: end - at - length, state: 'zero' }
      } else {
        yield { offset: at, length: end - at, state: mapping.kind === 'zero' || mapping.kind === 'absent' ? 'zero' : 'data' }
      }
      at = end
    }
  }

  info(): Promise<ImageInfo> {
    const { header, snapshots } = this.#parts
    return Promise.resolve({
      format: this.format,
      size: this.#size,
      clusterSize: this.#clusterSize,
      ...(header.backing !== null && { backing: header.backing }),
      snapshots,
      dirty: (header.incompatible & incompatible.dirty) !== 0,
      corrupt: (header.incompatible & incompatible.corrupt) !== 0,
      details: { version: header.version, refcountBits: 2 ** header.refcountOrder, compression: header.compression, lazyRefcounts: (header.compatible & 1) !== 0 },
    })
  }

  async check(options: CheckOptions = {}): Promise<CheckReport> {
    if ((options.repair ?? false) !== false && this.readOnly) throw machinistError({ code: 'file-read-only', part: this.#parts.name, remedy: 'Open it for writing to repair it' }, 'cannot be written')
    if (!this.readOnly) await this.#parts.tables.sync()
    if ((options.repair ?? false) !== false) this.#repaired = true
    return checkImage(this.#parts.file, this.#parts.name, options)
  }

  async resize(size: number, options: ResizeOptions = {}): Promise<void> {
    const { name, header, tables, file, below, snapshots } = this.#parts
    const fail = (problem: string, remedy: string): never => { throw machinistError({ code: 'disk-size', part: name, value: size, remedy }, problem) }
    if (this.readOnly) throw machinistError({ code: 'file-read-only', part: name, remedy: 'Open it for writing' }, 'cannot be written')
    if (!Number.isSafeInteger(size) || size <= 0 || size % sectorSize !== 0) fail('is not a size for a disk', 'Use a positive multiple of 512 bytes')
    if (size < this.#size && options.shrink !== true) fail('would lose what is beyond', 'Allow it to shrink')
    if (header.version === 2 && snapshots.length > 0) throw imageUnsupported(name, this.format, 'resizing version 2 with snapshots', 'Delete its snapshots with qemu-img snapshot -d')
    const entries = l1EntriesFor(size, header.clusterBits)
    if (entries * 8 > limit.l1) fail('is too large for clusters of this size', 'Convert it to an image with larger clusters')
    const old = this.#size
    const must = (status: BlockStatus): void => {
      if (status !== 'ok') throw machinistError({ code: 'image-write', part: name, value: status, remedy: 'Look at the space and health of the file system' }, 'could not be resized')
    }
    if (size < old) {
      must(await this.#clear(size, old - size, false))
    } else if (size > old) {
      if (entries > tables.l1Entries) {
        await tables.growL1(entries, async (offset) => {
          const bytes = new Uint8Array(12)
          const view = new DataView(bytes.buffer)
          view.setUint32(0, entries)
          setU64(view, 4, offset)
          await file.write(field.l1Size, bytes)
        })
      }
      this.#size = size
      // The last cluster may hold remains, and the backing file may be longer.
      const rest = Math.ceil(old / this.#clusterSize) * this.#clusterSize
      const hide = Math.min(size, Math.max(rest, below?.size ?? 0))
      if (hide > old) must(await this.#clear(old, hide - old, false))
    }
    await tables.sync()
    const bytes = new Uint8Array(8)
    setU64(new DataView(bytes.buffer), 0, size)
    await file.write(field.size, bytes)
    await file.flush()
    this.#size = size
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const { file, tables, below } = this.#parts
    try {
      // So that what the guest never flushed survives a closing in good order.
      if (!this.readOnly) {
        // What became free by one is counted by the next.
        do await tables.sync()
        while (!tables.clean)
      }
    } finally {
      try {
        await file.close()
      } finally {
        await below?.close()
      }
    }
  }
}

function joined(buffers: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(lengthOf(buffers))
  let at = 0
  for (const buffer of buffers) {
    bytes.set(buffer, at)
    at += buffer.length
  }
  return bytes
}
