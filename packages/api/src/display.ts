/** Screens between a display device and a host: pixels, and what the host would like to be shown. */

/** Width and height in pixels, each above 0. */
export interface Size {
  readonly width: number
  readonly height: number
}

/** A part of a screen or picture, in pixels from its upper left corner. */
export interface Rectangle extends Size {
  readonly x: number
  readonly y: number
}

/** The four bytes of a pixel, in the order in which they lie in memory; x is nothing. */
export type PixelFormat = 'b8g8r8a8' | 'b8g8r8x8' | 'a8r8g8b8' | 'x8r8g8b8' | 'r8g8b8a8' | 'x8b8g8r8' | 'a8b8g8r8' | 'r8g8b8x8'

/** A picture. It belongs to the device and may change once the call that hands it over has returned: copy what is needed. */
export interface Pixels {
  /** From the first pixel on. */
  readonly bytes: Uint8Array
  /** Bytes from one row to the next. */
  readonly stride: number
  readonly format: PixelFormat
}

/** A picture that follows the pointer. */
export interface CursorImage extends Size {
  readonly pixels: Pixels
  /** The pixel of it that is at the pointer. */
  readonly hotX: number
  readonly hotY: number
}

/** A screen of characters, as a VGA has it: what is also drawn may be shown as text. It belongs to the device, as {@link Pixels} do. */
export interface TextScreen {
  readonly columns: number
  readonly rows: number
  /** Row by row: a character of code page 437 in the low byte; in the high one its colour, and above that of what is behind it. */
  readonly cells: Uint16Array
  /** Null where none is seen. */
  readonly cursor: { readonly column: number; readonly row: number } | null
  /** The sixteen colours: red above green above blue. */
  readonly colors: readonly number[]
  /** Whether bit 15 of a cell has it blink; otherwise it is part of the colour behind. */
  readonly blinks: boolean
}

/** Screens, numbered from 0. */
export interface DisplayPort {
  /** How large the host would like a screen to be; null: none is connected. */
  size(screen: number): Size | null
  /** The guest shows so many pixels on a screen from now on, or turns it off. */
  show(screen: number, size: Size | null): void
  /** A part of a screen has new content. It lies inside of what {@link show} said. A large change comes in several parts. */
  present(screen: number, rectangle: Rectangle, pixels: Pixels): void
  /** The pointer has another picture, or none. */
  cursor(screen: number, image: CursorImage | null): void
  /** The pointer is there; it may be outside. */
  moveCursor(screen: number, x: number, y: number): void
  /** What a screen shows is this text as well, after {@link present}; null: it is none. Absent for hosts that have no use for it. */
  text?(screen: number, text: TextScreen | null): void
  /** Registers the device's interest. Called through the gate. */
  listen(listener: { sizesChanged(): void }): void
}
