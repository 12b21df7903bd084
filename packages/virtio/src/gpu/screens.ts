import type { DisplayPort, Rectangle } from '@machinist/api'
import { bytesPerPixel, cursorFormat } from './layout.ts'
import { bytesShown, darkScreen } from './state.ts'
import type { ScreenState } from './state.ts'
import { portion } from './resource.ts'
import type { Resource } from './resource.ts'

/** What the screens show, and the host's view of it. */
export class Screens {
  readonly #port: DisplayPort
  readonly #resources: () => ReadonlyMap<number, Resource>
  #states: ScreenState[]

  constructor(port: DisplayPort, count: number, resources: () => ReadonlyMap<number, Resource>) {
    this.#port = port
    this.#resources = resources
    this.#states = new Array<ScreenState>(count).fill(darkScreen)
  }

  get count(): number {
    return this.#states.length
  }

  /** Bytes of pixels that the host keeps of a screen. */
  bytesOf(index: number): number {
    return bytesShown(this.#states[index] ?? darkScreen)
  }

  /** Bytes of pixels that the host keeps of all. */
  get bytes(): number {
    return this.#states.reduce((sum, state) => sum + bytesShown(state), 0)
  }

  save(): ScreenState[] {
    return [...this.#states]
  }

  /** Shows a part of a resource, which it holds; or nothing. Returns whether that is another size than before. */
  set(index: number, resource: number, rectangle: Rectangle | null): boolean {
    const before = this.#states[index] ?? darkScreen
    const { x, y, width, height } = rectangle ?? darkScreen
    this.#states[index] = { ...before, resource: rectangle === null ? 0 : resource, x, y, width, height }
    const changed = before.width !== width || before.height !== height
    if (changed) this.#port.show(index, rectangle === null ? null : { width, height })
    return changed
  }

  /** Hands what a part of a resource shows to the host. Tells after each portion what it cost. */
  *flush(id: number, resource: Resource, part: Rectangle): Generator<number, void, void> {
    for (const [index, screen] of this.#states.entries()) {
      if (screen.resource !== id) continue
      const [left, top] = [Math.max(part.x, screen.x), Math.max(part.y, screen.y)]
      const width = Math.min(part.x + part.width, screen.x + screen.width) - left
      const bottom = Math.min(part.y + part.height, screen.y + screen.height)
      if (width <= 0) continue
      const rows = Math.max(1, Math.floor(portion / (width * bytesPerPixel)))
      for (let y = top; y < bottom; y += rows) {
        const height = Math.min(rows, bottom - y)
        this.#port.present(index, { x: left - screen.x, y: y - screen.y, width, height }, { bytes: resource.from(left, y), stride: resource.stride, format: resource.format })
        yield width * height * bytesPerPixel
      }
    }
  }

  /** Gives the pointer the picture of a resource; 0 is none. False when that is no cursor. */
  setCursor(index: number, id: number, hotX: number, hotY: number): boolean {
    const resource = this.#resources().get(id)
    if (id !== 0 && resource?.isCursor(hotX, hotY) !== true) return false
    const before = this.#states[index] ?? darkScreen
    this.#states[index] = { ...before, cursor: id, hotX: id === 0 ? 0 : hotX, hotY: id === 0 ? 0 : hotY }
    this.#showCursor(index)
    return true
  }

  moveCursor(index: number, x: number, y: number): void {
    this.#states[index] = { ...this.#states[index] ?? darkScreen, cursorX: x, cursorY: y }
    this.#port.moveCursor(index, x, y)
  }

  /** A resource goes: what showed it shows nothing. */
  forget(id: number): void {
    for (const [index, { resource, cursor }] of this.#states.entries()) {
      if (resource === id) this.set(index, 0, null)
      if (cursor === id) this.setCursor(index, 0, 0, 0)
    }
  }

  reset(): void {
    for (const [index, { resource, cursor }] of this.#states.entries()) {
      if (resource !== 0) this.#port.show(index, null)
      if (cursor !== 0) this.#port.cursor(index, null)
    }
    this.#states.fill(darkScreen)
  }

  /** Takes a checked state, and shows all of it. */
  restore(states: readonly ScreenState[]): void {
    this.#states = [...states]
    for (const [index, state] of states.entries()) {
      const resource = this.#resources().get(state.resource)
      this.#port.show(index, resource === undefined ? null : { width: state.width, height: state.height })
      this.#port.moveCursor(index, state.cursorX, state.cursorY)
      this.#showCursor(index)
    }
    for (const id of new Set(states.map(({ resource }) => resource))) {
      const resource = this.#resources().get(id)
      if (resource === undefined) continue
      // Restoring is the host's wish: all at once.
      for (const _ of this.flush(id, resource, { x: 0, y: 0, width: resource.width, height: resource.height }));
    }
  }

  #showCursor(index: number): void {
    const { cursor, hotX, hotY } = this.#states[index] ?? darkScreen
    const resource = this.#resources().get(cursor)
    if (resource === undefined) return this.#port.cursor(index, null)
    const { width, height, pixels: bytes, stride, format } = resource
    this.#port.cursor(index, { width, height, hotX, hotY, pixels: { bytes, stride, format: cursorFormat[format] } })
  }
}
