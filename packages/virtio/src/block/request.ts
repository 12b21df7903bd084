import type { BlockPort, BlockStatus } from '@machinist/api'
import { blockLimits, headerSize, idSize, rangeSize, rangeUnmap, requestStatus, requestType, sectorSize } from './layout.ts'
import type { BufferPool } from '../device/buffer-pool.ts'
import type { Chain } from '../queue/queue.ts'

/** What a request needs of its device. */
export interface RequestHost {
  readonly port: BlockPort
  readonly readOnly: boolean
  readonly pool: BufferPool
  /** The device ID string, padded with zeroes to 20 bytes. */
  readonly id: Uint8Array
  /** Whether a write must be stable before it completes (5.2.6.2). */
  writeThrough(): boolean
}

/** Bytes from which on reading straight into guest memory costs less than a buffer between: a view costs as much as copying some hundred bytes. */
const direct = 32768
/** Most views of guest memory to be filled in one go. */
const mostViews = 1024

/** Of the request that begins: its type, a reserved word, and the sector in two (5.2.6). */
const header = new Uint32Array(headerSize / 4)

/** How a request ended: its status byte, and how much was written before it. */
export type RequestDone = (status: number, written: number) => void

/**
 * Carries out one request whose chain has room for a header and a status. `done` is called once, perhaps before this
 * returns. What the guest wrote is copied before it is looked at; data moves through a buffer of at most 1 MiB,
 * whatever the length of the request, because guest memory may only be touched while the device is being called.
 */
export function runRequest(host: RequestHost, chain: Chain, done: RequestDone): void {
  if (!chain.readWords(0, header)) return done(requestStatus.ioError, 0)
  // Beyond 2^53 it is not exact, and far beyond any capacity.
  const sector = (header[2] ?? 0) + (header[3] ?? 0) * 2 ** 32
  switch (header[0]) {
    case requestType.in:
      return transfer(host, chain, sector, chain.writableLength - 1, 'in', done)
    case requestType.out:
      if (host.readOnly) return done(requestStatus.ioError, 0)
      return transfer(host, chain, sector, chain.readableLength - headerSize, 'out', done)
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

function transfer(host: RequestHost, chain: Chain, sector: number, length: number, direction: 'in' | 'out', done: RequestDone): void {
  const { port, pool } = host
  if (length % sectorSize !== 0 || !onDisk(port, sector, length / sectorSize)) return done(requestStatus.ioError, 0)
  if (length === 0) return done(requestStatus.ok, 0)
  const start = sector * sectorSize
  if (direction === 'in' ? length < direct : length <= blockLimits.transfer) return direction === 'in' ? readWhole(host, chain, start, length, done) : writeWhole(host, chain, start, length, done)
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

/** Nearly all requests are one piece, with a buffer between. */
function readWhole({ port, pool }: RequestHost, chain: Chain, start: number, length: number, done: RequestDone): void {
  const buffer = pool.take(length)
  const piece = buffer.length === length ? buffer : buffer.subarray(0, length)
  port.read(start, [piece], (status) => {
    // After a reset nobody waits for it, and memory is not ours to touch: `write` sees to that.
    const written = status === 'ok' && chain.write(0, piece)
    pool.give(buffer)
    if (written) done(requestStatus.ok, length)
    else done(status === 'ok' ? requestStatus.ioError : statusByte(status), 0)
  })
}

function writeWhole(host: RequestHost, chain: Chain, start: number, length: number, done: RequestDone): void {
  const { port, pool } = host
  const buffer = pool.take(length)
  const piece = buffer.length === length ? buffer : buffer.subarray(0, length)
  if (!chain.read(headerSize, piece)) {
    pool.give(buffer)
    return done(requestStatus.ioError, 0)
  }
  port.write(start, [piece], (status) => {
    pool.give(buffer)
    if (status === 'ok' && host.writeThrough()) return port.flush((flushed) => { done(statusByte(flushed), 0) })
    done(statusByte(status), 0)
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
