import type { BlockPort, BlockStatus, DmaSpace } from '@machinist/api'
import { inOrder } from '../in-order.ts'
import type { Command } from './command.ts'
import { placesOf } from './prp.ts'
import { ALL_NAMESPACES, MOST_TRANSFER, Nvm, Result } from './registers.ts'

/** Bytes from which on reading straight into guest memory costs less than a buffer between. */
const DIRECT = 32_768
/** Bytes of a range of the dataset management command, and bit 2 of its dword 11, which deallocates (NVMe 1.4, 6.7). */
const [RANGE, DEALLOCATE] = [16, 4]
/** Bit 30 of dword 12: the data are on stable storage before the command ends. */
const FORCE_UNIT_ACCESS = 0x4000_0000

/** What the commands of a namespace are told by their controller. */
export interface Commands {
  readonly dma: DmaSpace
  /** Bytes of a page of guest memory. */
  readonly page: number
  /** Whether writes may stay in a cache until a flush. */
  readonly cached: boolean
}

/** What commands have moved (5.14.1.2). */
export interface Traffic {
  reads: number
  writes: number
  /** Units of 512 bytes. */
  sectorsRead: number
  sectorsWritten: number
  mediaErrors: number
}

/** The one namespace: a disk, and the commands of the NVM command set (NVMe 1.4, 6). */
export class Namespace {
  readonly port: BlockPort
  readonly blockSize: number
  readonly traffic: Traffic = { reads: 0, writes: 0, sectorsRead: 0, sectorsWritten: 0, mediaErrors: 0 }

  constructor(port: BlockPort, blockSize: number) {
    this.port = port
    this.blockSize = blockSize
  }

  get blocks(): number {
    return Math.floor(this.port.size / this.blockSize)
  }

  /** Bytes that a command keeps in use while it is under way. */
  cost(command: Command): number {
    return command.opcode === Nvm.read || command.opcode === Nvm.write ? Math.min(MOST_TRANSFER, ((command.word(12) & 0xffff) + 1) * this.blockSize) : 0
  }

  /** Carries out a command; `done` is called once, perhaps before this returns, with its status. */
  run(command: Command, host: Commands, done: (status: number) => void): void {
    const { opcode } = command
    if (!command.plain) return done(Result.invalidField)
    if (opcode === Nvm.flush && command.namespace === ALL_NAMESPACES) return this.#flush(done)
    const known = opcode === Nvm.flush || opcode === Nvm.read || opcode === Nvm.write || (opcode === Nvm.writeZeroes && this.port.writeZeroes !== undefined) || (opcode === Nvm.management && this.port.discard !== undefined)
    if (!known) return done(Result.invalidOpcode)
    if (command.namespace !== 1) return done(Result.invalidNamespace)
    switch (opcode) {
      case Nvm.flush:
        return this.#flush(done)
      case Nvm.management:
        return this.#manage(command, host, done)
      default:
        return this.#move(command, host, done)
    }
  }

  #flush(done: (status: number) => void): void {
    this.port.flush((status) => { done(this.#statusOf(status, true)) })
  }

  #move(command: Command, host: Commands, done: (status: number) => void): void {
    const { opcode } = command
    const [first, count] = [command.long(10), (command.word(12) & 0xffff) + 1]
    const length = count * this.blockSize
    if (opcode !== Nvm.writeZeroes && length > MOST_TRANSFER) return done(Result.invalidField)
    if (first + count > this.blocks) return done(Result.lbaRange)
    const offset = first * this.blockSize
    if (opcode === Nvm.read) return this.#read(command, host, offset, length, done)
    if (this.port.readOnly) return done(Result.writeProtected)
    const written = (status: BlockStatus): void => {
      if (status !== 'ok') return done(this.#statusOf(status, true))
      if (opcode === Nvm.write) {
        this.traffic.writes++
        this.traffic.sectorsWritten += length / 512
      }
      if (host.cached && (command.word(12) & FORCE_UNIT_ACCESS) === 0) done(Result.ok)
      else this.#flush(done)
    }
    if (opcode === Nvm.writeZeroes) {
      this.port.writeZeroes?.(offset, length, written)
      return
    }
    const places = placesOf(host.dma, host.page, command.prp1, command.prp2, length)
    if (typeof places === 'number') return done(places)
    const bytes = new Uint8Array(length)
    if (!places.read(bytes)) return done(Result.dataTransfer)
    this.port.write(offset, [bytes], written)
  }

  #read(command: Command, host: Commands, offset: number, length: number, done: (status: number) => void): void {
    const places = placesOf(host.dma, host.page, command.prp1, command.prp2, length)
    if (typeof places === 'number') return done(places)
    const ended = (status: BlockStatus): void => {
      if (status !== 'ok') return done(this.#statusOf(status, false))
      this.traffic.reads++
      this.traffic.sectorsRead += length / 512
      done(Result.ok)
    }
    if (length >= DIRECT && this.port.readAtOnce !== undefined) {
      const views = places.views()
      if (views !== null && this.port.readAtOnce(offset, views, ended)) return
    }
    const bytes = new Uint8Array(length)
    this.port.read(offset, [bytes], (status) => {
      // When nobody waits any more, memory is not ours to touch.
      if (status === 'ok' && command.live && !places.write(bytes)) done(Result.dataTransfer)
      else ended(status)
    })
  }

  /** Dataset management: all ranges are checked before the first is given back. */
  #manage(command: Command, host: Commands, done: (status: number) => void): void {
    const bytes = new Uint8Array(((command.word(10) & 0xff) + 1) * RANGE)
    const places = placesOf(host.dma, host.page, command.prp1, command.prp2, bytes.length)
    if (typeof places === 'number') return done(places)
    if (!places.read(bytes)) return done(Result.dataTransfer)
    if ((command.word(11) & DEALLOCATE) === 0) return done(Result.ok)
    if (this.port.readOnly) return done(Result.writeProtected)
    const view = new DataView(bytes.buffer)
    const ranges: { readonly offset: number; readonly length: number }[] = []
    for (let at = 0; at < bytes.length; at += RANGE) {
      const [count, first] = [view.getUint32(at + 4, true), view.getUint32(at + 8, true) + view.getUint32(at + 12, true) * 2 ** 32]
      if (first + count > this.blocks) return done(Result.lbaRange)
      if (count > 0) ranges.push({ offset: first * this.blockSize, length: count * this.blockSize })
    }
    let next = 0
    inOrder(() => {
      const range = command.live ? ranges[next++] : undefined
      return range === undefined ? null : (ended) => { this.port.discard?.(range.offset, range.length, ended) }
    }, (status) => {
      if (status !== 'ok') done(this.#statusOf(status, true))
      else if (host.cached) done(Result.ok)
      else this.#flush(done)
    })
  }

  #statusOf(status: BlockStatus, write: boolean): number {
    switch (status) {
      case 'ok':
        return Result.ok
      case 'io-error':
        this.traffic.mediaErrors++
        return write ? Result.writeFault : Result.unrecoveredRead
      case 'read-only':
        return Result.writeProtected
      case 'out-of-range':
        return Result.lbaRange
      case 'no-space':
        return Result.capacity
      case 'unsupported':
        return Result.internal
    }
  }
}
