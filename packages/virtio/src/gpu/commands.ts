import type { DisplayPort, Rectangle } from '@machinist/api'
import type { VirtioContext } from '../device/spec.ts'
import type { Chain } from '../queue/queue.ts'
import { edidOf } from './edid.ts'
import { bytesPerPixel, command, displayModeSize, edidRoom, formats, header, largestCursor, memoryEntrySize, mostScanouts, response } from './layout.ts'
import { Backing, piecesOf, Resource } from './resource.ts'
import { Screens } from './screens.ts'
import type { GpuLimits, GpuState, ScreenState } from './state.ts'

/** What a command comes to. */
export interface Answer {
  /** {@link response}. */
  readonly type: number
  /** What follows the header. */
  readonly body?: Uint8Array
  /** Work that it was besides what was told before, in bytes of pixels. */
  readonly cost?: number
}

const done: Answer = { type: response.nodata }
const invalidParameter: Answer = { type: response.invalidParameter }
const invalidResource: Answer = { type: response.invalidResource }
const invalidScreen: Answer = { type: response.invalidScanout }
const unspecified: Answer = { type: response.unspecified }
const outOfMemory: Answer = { type: response.outOfMemory }

/** The commands (5.7.6.8, 5.7.6.10), and the resources that they make. A request has been read once and is complete. */
export class Commands {
  readonly screens: Screens
  readonly #context: Pick<VirtioContext, 'dma'>
  readonly #port: DisplayPort
  readonly #limits: GpuLimits
  #resources = new Map<number, Resource>()
  #memory = 0
  #pieces = 0

  constructor(context: Pick<VirtioContext, 'dma'>, port: DisplayPort, screens: number, limits: GpuLimits) {
    this.#context = context
    this.#port = port
    this.#limits = limits
    this.screens = new Screens(port, screens, () => this.#resources)
  }

  /**
   * Does a command. Those that move many pixels do it in parts, and tell after each what it cost; between, other queues may be served.
   * Done again from its beginning, such a command does the same.
   */
  *run(type: number, request: DataView, chain: Chain): Generator<number, Answer, void> {
    const word = (index: number): number => request.getUint32(header.size + 4 * index, true)
    const rectangle = (): Rectangle => ({ x: word(0), y: word(1), width: word(2), height: word(3) })
    switch (type) {
      case command.getDisplayInfo: return this.#displayInfo()
      case command.getEdid: return this.#edid(word(0))
      case command.resourceCreate2d: return this.#create(word(0), word(1), word(2), word(3))
      case command.resourceUnref: return this.#unref(word(0))
      case command.attachBacking: return this.#attach(word(0), word(1), chain)
      case command.detachBacking: return this.#detach(word(0))
      case command.setScanout: return this.#setScanout(word(4), word(5), rectangle())
      case command.transferToHost2d: return yield* this.#transfer(word(6), rectangle(), word(4) + word(5) * 2 ** 32)
      case command.resourceFlush: return yield* this.#flush(word(4), rectangle())
      case command.updateCursor: return this.#cursor(word(0), word(1) | 0, word(2) | 0, { resource: word(4), hotX: word(5), hotY: word(6) })
      case command.moveCursor: return this.#cursor(word(0), word(1) | 0, word(2) | 0, null)
      default: return unspecified
    }
  }

  reset(): void {
    this.screens.reset()
    this.#resources.clear()
    this.#memory = this.#pieces = 0
  }

  save(): Omit<GpuState, 'events'> {
    return {
      resources: [...this.#resources].map(([id, { formatNumber, width, height, pixels, backing }]) =>
        ({ id, format: formatNumber, width, height, pixels: pixels.slice(), backing: backing === null ? null : [...backing.pieces] })),
      screens: this.screens.save(),
    }
  }

  /** Takes what was checked. */
  restore(resources: Map<number, Resource>, screens: readonly ScreenState[]): void {
    this.#resources = resources
    this.#memory = this.#pieces = 0
    for (const { pixels, backing } of resources.values()) {
      this.#memory += pixels.length
      this.#pieces += backing?.count ?? 0
    }
    this.screens.restore(screens)
  }

  #displayInfo(): Answer {
    const body = new Uint8Array(mostScanouts * displayModeSize)
    const view = new DataView(body.buffer)
    let left = 0
    for (let index = 0; index < this.screens.count; index++) {
      const size = this.#port.size(index)
      if (size === null) continue
      // Side by side.
      for (const [field, value] of [left, 0, size.width, size.height, 1].entries()) view.setUint32(index * displayModeSize + 4 * field, value, true)
      left += size.width
    }
    return { type: response.displayInfo, body }
  }

  #edid(index: number): Answer {
    const size = index < this.screens.count ? this.#port.size(index) : null
    if (index >= this.screens.count) return invalidScreen
    const edid = size === null ? new Uint8Array(0) : edidOf(size)
    const body = new Uint8Array(8 + edidRoom)
    new DataView(body.buffer).setUint32(0, edid.length, true)
    body.set(edid, 8)
    return { type: response.edid, body }
  }

  #create(id: number, formatNumber: number, width: number, height: number): Answer {
    const { side, memory, resources } = this.#limits
    const format = formats.get(formatNumber)
    if (id === 0 || this.#resources.has(id)) return invalidResource
    if (format === undefined || width === 0 || height === 0 || width > side || height > side) return invalidParameter
    const length = width * height * bytesPerPixel
    if (this.#memory + this.screens.bytes + length > memory || this.#resources.size >= resources) return outOfMemory
    this.#resources.set(id, new Resource(width, height, formatNumber, format, new Uint8Array(length)))
    this.#memory += length
    return { ...done, cost: length }
  }

  #unref(id: number): Answer {
    const resource = this.#resources.get(id)
    if (resource === undefined) return invalidResource
    this.screens.forget(id)
    this.#detach(id)
    this.#memory -= resource.pixels.length
    this.#resources.delete(id)
    return done
  }

  #attach(id: number, count: number, chain: Chain): Answer {
    const resource = this.#resources.get(id)
    if (resource === undefined) return invalidResource
    if (resource.backing !== null) return unspecified
    const size = header.size + 8
    if (count * memoryEntrySize > chain.readableLength - size) return invalidParameter
    if (this.#pieces + count > this.#limits.pieces) return outOfMemory
    const entries = new Uint8Array(count * memoryEntrySize)
    if (!chain.read(size, entries)) return invalidParameter
    resource.backing = new Backing(piecesOf(entries))
    this.#pieces += resource.backing.count
    return { ...done, cost: entries.length }
  }

  #detach(id: number): Answer {
    const resource = this.#resources.get(id)
    if (resource === undefined) return invalidResource
    this.#pieces -= resource.backing?.count ?? 0
    resource.backing = null
    return done
  }

  #setScanout(index: number, id: number, rectangle: Rectangle): Answer {
    if (index >= this.screens.count) return invalidScreen
    const resource = this.#resources.get(id)
    if (id !== 0 && resource === undefined) return invalidResource
    if (resource === undefined) {
      this.screens.set(index, 0, null)
      return done
    }
    if (!resource.holds(rectangle)) return invalidParameter
    // The host keeps as many pixels as a screen shows.
    const [shown, wanted] = [this.screens.bytesOf(index), rectangle.width * rectangle.height * bytesPerPixel]
    if (this.#memory + this.screens.bytes - shown + wanted > this.#limits.memory) return outOfMemory
    return this.screens.set(index, id, rectangle) ? { ...done, cost: wanted } : done
  }

  *#transfer(id: number, rectangle: Rectangle, offset: number): Generator<number, Answer, void> {
    const resource = this.#resources.get(id)
    if (resource === undefined) return invalidResource
    if (!resource.holds(rectangle)) return invalidParameter
    return (yield* resource.transfer(this.#context.dma, rectangle, offset)) ? done : invalidParameter
  }

  *#flush(id: number, rectangle: Rectangle): Generator<number, Answer, void> {
    const resource = this.#resources.get(id)
    if (resource === undefined) return invalidResource
    if (!resource.holds(rectangle)) return invalidParameter
    yield* this.screens.flush(id, resource, rectangle)
    return done
  }

  #cursor(index: number, x: number, y: number, image: { readonly resource: number, readonly hotX: number, readonly hotY: number } | null): Answer {
    if (index >= this.screens.count) return invalidScreen
    if (image !== null && !this.screens.setCursor(index, image.resource, image.hotX, image.hotY)) return invalidResource
    this.screens.moveCursor(index, x, y)
    return image === null ? done : { ...done, cost: largestCursor * largestCursor * bytesPerPixel }
  }
}
