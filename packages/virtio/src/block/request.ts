import type { BlockPort, BlockStatus } from '@machinist/api'
import { blockLimits, headerSize, idSize, rangeSize, rangeUnmap, requestStatus, requestType, sectorSize } from './layout.ts'
import type { BufferPool } from '../device/buffer-pool.ts'
import type { Chain, Virtqueue } from '../queue/queue.ts'

/** What a request needs of its device. */
export interface RequestHost {
  readonly port: BlockPort
  readonly readOnly: boolean
  readonly pool: BufferPool
  /** The device ID string, padded with zeroes to 20 bytes. */
  readonly id: Uint8Array
  /** Whether a write must be stable before it completes (5.2.6.2). */
  writeThrough(): boolean
  /** A request ended: its status byte, and how much was written before it. */
  finish(queue: Virtqueue, chain: Chain, status: number, written: number): void
}

/** Bytes from which on reading straight into guest memory costs less than a buffer between: a view costs as much as copying some hundred bytes. */
const direct = 32768
/** Most views of guest memory to be filled in one go. */
const mostViews = 1024

/** Of the request that begins: its type, a reserved word, and the sector in two (5.2.6). */
const header = new Uint32Array(headerSize / 4)

type RequestDone = (status: number, written: number) => void

/**
 * Carries out one request of a queue, whose chain has room for a header and a status. `host.finish` is called once, perhaps before this
 * returns. What the guest wrote is copied before it is looked at; data moves through a buffer of at most 1 MiB,
 * whatever the length of the request, because guest memory may only be touched while the device is being called.
 */
export function runRequest(host: RequestHost, queue: Virtqueue, chain: Chain): void {
  if (!chain.readWords(0, header)) return host.finish(queue, chain, requestStatus.ioError, 0)
  // Beyond 2^53 it is not exact, and far beyond any capacity.
  const high = header[3] ?? 0
  const sector = high === 0 ? header[2] ?? 0 : (header[2] ?? 0) + high * 2 ** 32
  switch (header[0]) {
    case requestType.in: {
      const length = chain.writableLength - 1
      // Nearly all requests are one piece, with a buffer between.
      if (length > 0 && length < direct && reaches(host.port, sector, length)) return readWhole(host, queue, chain, sector * sectorSize, length)
      return transfer(host, chain, sector, length, 'in', doneOf(host, queue, chain))
    }
    case requestType.out: {
      const length = chain.readableLength - headerSize
      if (host.readOnly) return host.finish(queue, chain, requestStatus.ioError, 0)
      if (length > 0 && length <= blockLimits.transfer && reaches(host.port, sector, length)) return writeWhole(host, queue, chain, sector * sectorSize, length)
      return transfer(host, chain, sector, length, 'out', doneOf(host, queue, chain))
    }
    default:
      return runOther(host, chain, header[0] ?? 0, doneOf(host, queue, chain))
  }
}

/** In a function of its own: what a closure refers to is looked for longer. */
function doneOf(host: RequestHost, queue: Virtqueue, chain: Chain): RequestDone {
  return (status, written) => { host.finish(queue, chain, status, written) }
}

function runOther(host: RequestHost, chain: Chain, type: number, done: RequestDone): void {
  switch (type) {
    case requestType.flush:
      return host.port.flush((status) => { done(statusByte(status), 0) })
    case requestType.getId: {
      const bytes = host.id.subarray(0, Math.min(idSize, chain.writableLength - 1))
      return chain.write(0, bytes) ? done(requestStatus.ok, bytes.length) : done(requestStatus.ioError, 0)
    }
    case requestType.discard:
      return ranges(host, chain, 'discard', done)
    case requestType.writeZeroes:
      return ranges(host, chain, 'writeZeroes', done)
    default:
      return done(requestStatus.unsupported, 0)
  }
}

function statusByte(status: BlockStatus): number {
  switch (status) {
    case 'ok':
      return requestStatus.ok
    case 'unsupported':
      return requestStatus.unsupported
    case 'io-error':
    case 'read-only':
    case 'out-of-range':
    case 'no-space':
      return requestStatus.ioError
  }
}

/** Whether `count` sectors from `sector` on are on the disk; neither sum nor product can overflow. */
function onDisk(port: BlockPort, sector: number, count: number): boolean {
  const capacity = Math.floor(port.size / sectorSize)
  return sector <= capacity && count <= capacity - sector
}

/** Whether whole sectors from `sector` on are on the disk. */
function reaches(port: BlockPort, sector: number, length: number): boolean {
  return length % sectorSize === 0 && onDisk(port, sector, length / sectorSize)
}

function transfer(host: RequestHost, chain: Chain, sector: number, length: number, direction: 'in' | 'out', done: RequestDone): void {
  const { port, pool } = host
  if (!reaches(port, sector, length)) return done(requestStatus.ioError, 0)
  if (length === 0) return done(requestStatus.ok, 0)
  const start = sector * sectorSize
  let buffer: Uint8Array | null = null
  let position = 0
  const finish = (status: number): void => {
    if (buffer !== null) pool.give(buffer)
    done(status, direction === 'in' ? position : 0)
  }
  const step = (): void => {
    // After a reset nobody waits for the rest, and memory is not ours to touch.
    if (!chain.live) return finish(requestStatus.ioError)
    if (position === length) {
      if (direction === 'out' && host.writeThrough()) return port.flush((status) => { finish(statusByte(status)) })
      return finish(requestStatus.ok)
    }
    const count = Math.min(length - position, blockLimits.transfer)
    if (direction === 'in' && count >= direct && readStraight(port, start + position, chain, position, count, (status) => {
      if (status !== 'ok') return finish(statusByte(status))
      position += count
      step()
    })) return
    buffer ??= pool.take(Math.min(length, blockLimits.transfer))
    const piece = buffer.length === count ? buffer : buffer.subarray(0, count)
    const next = (status: BlockStatus): void => {
      if (status !== 'ok') return finish(statusByte(status))
      if (direction === 'in' && !chain.write(position, piece)) return finish(requestStatus.ioError)
      position += piece.length
      step()
    }
    if (direction === 'in') port.read(start + position, [piece], next)
    else if (chain.read(headerSize + position, piece)) port.write(start + position, [piece], next)
    else finish(requestStatus.ioError)
  }
  step()
}

function takePiece(pool: BufferPool, length: number): Uint8Array {
  const buffer = pool.take(length)
  return buffer.length === length ? buffer : buffer.subarray(0, length)
}

function readWhole(host: RequestHost, queue: Virtqueue, chain: Chain, start: number, length: number): void {
  const piece = takePiece(host.pool, length)
  host.port.read(start, [piece], (status) => {
    const { length } = piece
    // After a reset nobody waits for it, and memory is not ours to touch: `write` sees to that.
    const written = status === 'ok' && chain.write(0, piece)
    host.pool.give(piece)
    if (written) host.finish(queue, chain, requestStatus.ok, length)
    else host.finish(queue, chain, status === 'ok' ? requestStatus.ioError : statusByte(status), 0)
  })
}

function writeWhole(host: RequestHost, queue: Virtqueue, chain: Chain, start: number, length: number): void {
  const piece = takePiece(host.pool, length)
  if (!chain.read(headerSize, piece)) {
    host.pool.give(piece)
    return host.finish(queue, chain, requestStatus.ioError, 0)
  }
  host.port.write(start, [piece], (status) => {
    host.pool.give(piece)
    if (status === 'ok' && host.writeThrough()) return host.port.flush((flushed) => { host.finish(queue, chain, statusByte(flushed), 0) })
    host.finish(queue, chain, statusByte(status), 0)
  })
}

/** Reads straight into guest memory, when the disk can before this returns: guest memory may not be touched later. */
function readStraight(port: BlockPort, from: number, chain: Chain, position: number, count: number, done: (status: BlockStatus) => void): boolean {
  if (port.readAtOnce === undefined) return false
  const views = chain.views(position, count, mostViews)
  return views !== null && port.readAtOnce(from, views, done)
}

/** Discard and write zeroes (5.2.6): a list of ranges, all of them checked before the first is carried out. */
function ranges(host: RequestHost, chain: Chain, kind: 'discard' | 'writeZeroes', done: RequestDone): void {
  const { port } = host
  const maximum = kind === 'discard'
    ? { sectors: blockLimits.discardSectors, segments: blockLimits.discardSegments }
    : { sectors: blockLimits.writeZeroesSectors, segments: blockLimits.writeZeroesSegments }
  const operation = kind === 'discard' ? port.discard?.bind(port) : port.writeZeroes?.bind(port)
  if (operation === undefined) return done(requestStatus.unsupported, 0)
  if (host.readOnly) return done(requestStatus.ioError, 0)
  const length = chain.readableLength - headerSize
  if (length === 0 || length % rangeSize !== 0 || length > maximum.segments * rangeSize) return done(requestStatus.ioError, 0)
  const bytes = new Uint8Array(length)
  if (!chain.read(headerSize, bytes)) return done(requestStatus.ioError, 0)
  const view = new DataView(bytes.buffer)
  const list: { readonly offset: number, readonly length: number }[] = []
  for (let at = 0; at < length; at += rangeSize) {
    const sector = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32
    const count = view.getUint32(at + 8, true)
    const flags = view.getUint32(at + 12, true)
    // Reserved flags, and unmap where it means nothing, are not supported (5.2.6.2).
    if (flags !== 0 && (kind === 'discard' || flags !== rangeUnmap)) return done(requestStatus.unsupported, 0)
    if (count > maximum.sectors || !onDisk(port, sector, count)) return done(requestStatus.ioError, 0)
    if (count > 0) list.push({ offset: sector * sectorSize, length: count * sectorSize })
  }
  const step = (): void => {
    const range = chain.live ? list.shift() : undefined
    if (range !== undefined) {
      operation(range.offset, range.length, (status) => {
        if (status === 'ok') step()
        else done(statusByte(status), 0)
      })
    } else if (host.writeThrough()) {
      port.flush((status) => { done(statusByte(status), 0) })
    } else {
      done(requestStatus.ok, 0)
    }
  }
  step()
}
