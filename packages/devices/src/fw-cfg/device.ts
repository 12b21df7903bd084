import type { Device, DeviceContext, FirmwareFile, FirmwareInfo, Timer, Width } from '@machinist/api'
import { machinistError } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { filesOf, itemsOf } from './items.ts'
import { Control, DMA_SIGNATURE, ENTRY, Key, memory, ports, REQUEST } from './registers.ts'

/** Saved state of the device: what firmware may ask, and where it is. */
export interface FwCfgState {
  readonly ram: number
  readonly harts: number
  readonly files: readonly FirmwareFile[]
  readonly key: number
  readonly offset: number
  readonly dmaHigh: number
  /** A DMA request that is not finished: where it is, and what is left of it; null for none. */
  readonly request: { readonly at: number; readonly address: number; readonly left: number } | null
}

type NoBackends = Readonly<Record<never, never>>

/** Bytes that one call moves; what is left of a request comes later. */
const AT_ONCE = 2 ** 20
const MOST_FILES = 1024
/** Bytes of all files. */
const MOST_BYTES = 2 ** 30
const NOTHING = new Uint8Array(0)

interface Request {
  readonly at: number
  address: number
  left: number
}

/** Numbered items that are read from their beginnings on, byte by byte or by DMA. Nothing here can be written. */
export class FwCfg implements Device<FwCfgState> {
  readonly #context: DeviceContext<never, NoBackends>
  readonly #inMemory: boolean
  readonly #timer: Timer
  #about: { readonly ram: number; readonly harts: number; readonly files: readonly FirmwareFile[] } = { ram: 0, harts: 1, files: [] }
  #items = itemsOf(this.#about)
  #key: number = Key.signature
  #offset = 0
  #dmaHigh = 0
  #request: Request | null = null

  constructor(inMemory: boolean, context: DeviceContext<never, NoBackends>) {
    this.#context = context
    this.#inMemory = inMemory
    this.#timer = context.clock.timer('dma')
  }

  firmware(info: FirmwareInfo): void {
    this.#take({ ram: info.memory.reduce((sum, { size }) => sum + size, 0), harts: info.harts, files: filesOf(info) })
  }

  #take(about: { readonly ram: number; readonly harts: number; readonly files: readonly FirmwareFile[] }): void {
    this.#about = about
    this.#items = itemsOf(about)
  }

  read(_region: number, offset: number, width: Width): number {
    const at = this.#inMemory ? memory : ports
    if (offset === at.data || (this.#inMemory && offset < memory.selector)) return this.#data(width)
    if (width === 4 && offset === at.dmaHigh) return swap(DMA_SIGNATURE[0])
    if (width === 4 && offset === at.dmaLow) return swap(DMA_SIGNATURE[1])
    return 0
  }

  write(_region: number, offset: number, width: Width, value: number): void {
    const at = this.#inMemory ? memory : ports
    if (offset === at.selector && width === 2) this.#select(this.#inMemory ? (value >>> 8) | (value & 0xff) << 8 : value)
    else if (offset === at.dmaHigh && width === 4) this.#dmaHigh = swap(value)
    else if (offset === at.dmaLow && width === 4) {
      const high = this.#dmaHigh
      this.#dmaHigh = 0
      this.#begin(high * 2 ** 32 + swap(value))
    }
  }

  event(): void {
    this.#move()
  }

  reset(): void {
    this.#select(Key.signature)
    this.#dmaHigh = 0
    this.#request = null
    this.#timer.cancel()
  }

  save(): FwCfgState {
    const { ram, harts, files } = this.#about
    return {
      ram, harts, files: files.map(({ name, bytes }) => ({ name, bytes: bytes.slice() })), key: this.#key, offset: this.#offset, dmaHigh: this.#dmaHigh,
      request: this.#request === null ? null : { ...this.#request },
    }
  }

  restore(state: FwCfgState): void {
    const { name } = this.#context
    const data = plainData(name, state, 'state')
    const ram = data.integer('ram', 0, 2 ** 52)
    const harts = data.integer('harts', 1, 0xffff)
    const files = data.list('files', MOST_FILES, (entry): FirmwareFile => {
      const bytes = entry.unknown('bytes')
      if (!(bytes instanceof Uint8Array)) throw machinistError({ code: 'state', part: `${name}.files`, remedy: 'Restore a state saved by this version of this device.' }, 'a file has no bytes')
      return { name: entry.string('name'), bytes: bytes.slice() }
    })
    const key = data.integer('key', 0, 0xffff)
    const offset = data.integer('offset', 0, 2 ** 40)
    const dmaHigh = data.integer('dmaHigh', 0, 0xffff_ffff)
    const given = data.unknown('request')
    const request = given === null ? null : requestOf(name, given)
    data.done()
    if (files.some((file) => file.name.length >= ENTRY.nameSize) || files.reduce((sum, { bytes }) => sum + bytes.length, 0) > MOST_BYTES) {
      throw machinistError({ code: 'state', part: `${name}.files`, remedy: 'Restore a state saved by this version of this device.' }, 'files that cannot be')
    }
    this.#take({ ram, harts, files })
    this.#key = key
    this.#offset = offset
    this.#dmaHigh = dmaHigh
    this.#request = request
    if (request === null) this.#timer.cancel()
    else this.#timer.arm(this.#context.clock.now())
  }

  #select(key: number): void {
    this.#key = key & Key.mask
    this.#offset = 0
  }

  get #item(): Uint8Array {
    return this.#items.get(this.#key) ?? NOTHING
  }

  /** The next bytes; zeros behind the end. */
  #data(width: Width): number {
    const item = this.#item
    let value = 0
    for (let byte = 0; byte < width; byte++) value += (item[this.#offset + byte] ?? 0) * 2 ** (8 * byte)
    if (this.#offset < item.length) this.#offset += width
    return value
  }

  #begin(at: number): void {
    const { dma } = this.#context
    const bytes = new Uint8Array(REQUEST.size)
    // One that is under way is its driver's to wait for.
    if (this.#request !== null || !dma.read(at, bytes)) return
    const view = new DataView(bytes.buffer)
    const control = view.getUint32(0)
    const length = view.getUint32(REQUEST.length)
    const address = view.getUint32(REQUEST.addressHigh) * 2 ** 32 + view.getUint32(REQUEST.addressLow)
    if ((control & Control.select) !== 0) this.#select(control >>> Control.keyShift)
    if ((control & Control.read) !== 0) {
      this.#request = { at, address, left: length }
      this.#move()
    } else if ((control & Control.write) !== 0) this.#end(at, false)
    else {
      if ((control & Control.skip) !== 0) this.#offset = Math.min(this.#offset + length, 2 ** 40)
      this.#end(at, true)
    }
  }

  /** Moves the next piece of a request. */
  #move(): void {
    const request = this.#request
    if (request === null) return
    const item = this.#item
    const count = Math.min(request.left, AT_ONCE)
    const bytes = new Uint8Array(count)
    if (this.#offset < item.length) bytes.set(item.subarray(this.#offset, this.#offset + count))
    const moved = this.#context.dma.write(request.address, bytes)
    if (moved) {
      this.#offset = Math.min(this.#offset + count, 2 ** 40)
      request.address += count
      request.left -= count
    }
    if (moved && request.left > 0) this.#timer.arm(this.#context.clock.now())
    else {
      this.#request = null
      this.#end(request.at, moved)
    }
  }

  #end(at: number, well: boolean): void {
    this.#context.dma.write32(at, well ? 0 : swap(Control.error))
  }
}

function requestOf(name: string, given: unknown): Request {
  const data = plainData(`${name}.request`, given, 'state')
  const request = { at: data.integer('at', 0, Number.MAX_SAFE_INTEGER), address: data.integer('address', 0, Number.MAX_SAFE_INTEGER), left: data.integer('left', 0, 0xffff_ffff) }
  data.done()
  return request
}

/** A number of 32 bits whose bytes come in the other order. */
function swap(value: number): number {
  return ((value << 24) | (value & 0xff00) << 8 | (value >>> 8 & 0xff00) | value >>> 24) >>> 0
}
