import type { Backend, CursorImage, Deliver, DisplayPort, Pixels, Rectangle, Size, TextScreen } from '@machinist/api'
import { machinistError } from '@machinist/api'
import { Picture } from './picture.ts'

/** What a {@link memoryDisplay} may be told. */
export interface MemoryDisplayOptions {
  /** For errors. */
  readonly name?: string
  /** What the guest is asked to show on each screen: 1 to 16 of them, each 16 to 16384 pixels wide and high. Default: one of 1024 × 768. */
  readonly screens?: readonly Size[]
}

/** The pointer's picture, and where it is. */
export interface Cursor {
  /** Null when there is none. */
  readonly picture: Picture | null
  /** The pixel of the picture that is at the pointer. */
  readonly hotX: number
  readonly hotY: number
  /** Where the pointer is, in pixels of the screen; it may be outside. */
  readonly x: number
  readonly y: number
}

/** One screen. */
export interface Screen {
  /** What the guest shows; null while it shows nothing. Another one after it has changed the size. */
  readonly picture: Picture | null
  readonly cursor: Cursor
  /** The text that the picture is of, if it is a screen of characters. */
  readonly text: TextScreen | null
  /** Changes of the picture so far. */
  readonly updates: number
}

/** Screens in memory: hand it to a machine as the backend of a display device. */
export interface MemoryDisplay extends Backend<DisplayPort> {
  readonly kind: 'display'
  readonly screens: readonly Screen[]
  /** Asks the guest to show so many pixels on a screen; null unplugs it. @throws a typed error `'display-option'` */
  resize(screen: number, size: Size | null): void
  /** Tells what has changed on a screen: a part of its picture; null when it is another picture, or none. A large part may come in several. */
  onChange?: ((screen: number, rectangle: Rectangle | null) => void) | undefined
}

const noCursor: Cursor = { picture: null, hotX: 0, hotY: 0, x: 0, y: 0 }
const smallest = 16
const largest = 16384
const mostScreens = 16

class MemoryScreen implements Screen {
  wanted: Size | null
  picture: Picture | null = null
  cursor: Cursor = noCursor
  text: TextScreen | null = null
  updates = 0

  constructor(wanted: Size) {
    this.wanted = wanted
  }
}

/** Makes a {@link MemoryDisplay}. Snapshots of the machine have nothing of it: the device shows its pictures anew, and sizes are what this host wants. @throws a typed error `'display-option'` */
export function memoryDisplay(options: MemoryDisplayOptions = {}): MemoryDisplay {
  return new Screens(options)
}

class Screens implements MemoryDisplay {
  readonly kind = 'display' as const
  readonly screens: readonly MemoryScreen[]
  onChange?: ((screen: number, rectangle: Rectangle | null) => void) | undefined
  readonly #name: string
  #deliver: Deliver | null = null
  #sizesChanged: (() => void) | null = null

  constructor({ name = 'display', screens = [{ width: 1024, height: 768 }] }: MemoryDisplayOptions) {
    this.#name = name
    if (screens.length < 1 || screens.length > mostScreens) {
      throw machinistError({ code: 'display-option', part: `${name}.screens`, value: screens.length, remedy: `Give 1 to ${String(mostScreens)}.` }, 'a number of screens that cannot be')
    }
    this.screens = screens.map((size) => new MemoryScreen(this.#check(size)))
  }

  connect(deliver: Deliver): DisplayPort {
    if (this.#deliver !== null) throw machinistError({ code: 'display-in-use', part: this.#name, remedy: 'Make one for each device.' }, 'already belongs to a device')
    this.#deliver = deliver
    const at = (index: number): MemoryScreen | undefined => this.#deliver === deliver ? this.screens[index] : undefined
    return {
      size: (index) => at(index)?.wanted ?? null,
      show: (index, size) => {
        const screen = at(index)
        if (screen === undefined) return
        screen.picture = size === null ? null : new Picture(size.width, size.height)
        this.#changed(index, screen, null)
      },
      present: (index, rectangle, pixels: Pixels) => {
        const screen = at(index)
        if (screen?.picture === undefined || screen.picture === null) return
        screen.picture.draw(rectangle, pixels)
        this.#changed(index, screen, rectangle)
      },
      cursor: (index, image) => {
        const screen = at(index)
        if (screen !== undefined) screen.cursor = { ...screen.cursor, ...cursorOf(image) }
      },
      moveCursor: (index, x, y) => {
        const screen = at(index)
        if (screen !== undefined) screen.cursor = { ...screen.cursor, x, y }
      },
      text: (index, text) => {
        const screen = at(index)
        if (screen !== undefined) screen.text = text === null ? null : { ...text, cells: text.cells.slice() }
      },
      listen: ({ sizesChanged }) => { this.#sizesChanged = sizesChanged },
    }
  }

  /** The pictures stay. It may be connected again. */
  close(): void {
    this.#deliver = null
    this.#sizesChanged = null
  }

  resize(index: number, size: Size | null): void {
    const screen = this.screens[index]
    if (screen === undefined) throw machinistError({ code: 'display-option', part: this.#name, value: index, remedy: `Use a number below ${String(this.screens.length)}.` }, 'no such screen')
    const wanted = size === null ? null : this.#check(size)
    const deliver = this.#deliver
    if (deliver === null) {
      screen.wanted = wanted
      return
    }
    deliver(() => {
      screen.wanted = wanted
      if (this.#deliver === deliver) this.#sizesChanged?.()
    })
  }

  #changed(index: number, screen: MemoryScreen, rectangle: Rectangle | null): void {
    screen.updates += 1
    this.onChange?.(index, rectangle)
  }

  #check({ width, height }: Size): Size {
    if ([width, height].every((side) => Number.isInteger(side) && side >= smallest && side <= largest)) return { width, height }
    throw machinistError({ code: 'display-option', part: this.#name, value: `${String(width)} x ${String(height)}`, remedy: `Use ${String(smallest)} to ${String(largest)} pixels.` }, 'a screen of a size that cannot be')
  }
}

function cursorOf(image: CursorImage | null): Omit<Cursor, 'x' | 'y'> {
  if (image === null) return { picture: null, hotX: 0, hotY: 0 }
  const { width, height, hotX, hotY, pixels } = image
  const picture = new Picture(width, height)
  picture.draw({ x: 0, y: 0, width, height }, pixels)
  return { picture, hotX, hotY }
}
