/** Numbers of evdev (Linux's input-event-codes.h) that a host needs to type and point. */

/** Types of events. */
export const ev: { readonly syn: 0, readonly key: 1, readonly rel: 2, readonly abs: 3, readonly led: 0x11 } = { syn: 0, key: 1, rel: 2, abs: 3, led: 0x11 }
/** Axes; those of absolute positions have the same numbers. */
export const rel: { readonly x: 0, readonly y: 1, readonly wheel: 8 } = { x: 0, y: 1, wheel: 8 }

/** Buttons of a pointer. */
export type ButtonName = 'left' | 'right' | 'middle' | 'side' | 'extra'
export const buttonCode: Readonly<Record<ButtonName, number>> = { left: 0x110, right: 0x111, middle: 0x112, side: 0x113, extra: 0x114 }

const leftShift = 42
/** Rows of a keyboard of the US: the number of the first key, and what the keys give without and with shift. */
const rows: readonly (readonly [first: number, plain: string, shifted: string])[] = [
  [2, '1234567890-=', '!@#$%^&*()_+'],
  [14, '\b\tqwertyuiop[]\n', '\0\0QWERTYUIOP{}\0'],
  [30, 'asdfghjkl;\'`', 'ASDFGHJKL:"~'],
  [43, '\\zxcvbnm,./', '|ZXCVBNM<>?'],
  [57, ' ', '\0'],
  [1, '\x1b', '\0'],
]

const strokes: ReadonlyMap<string, readonly number[]> = new Map(rows.flatMap(([first, plain, shifted]) => [
  ...[...plain].map((character, index): [string, readonly number[]] => [character, [first + index]]),
  ...[...shifted].map((character, index): [string, readonly number[]] => [character, [leftShift, first + index]]).filter(([character]) => character !== '\0'),
]))

/** The keys to press for a character, in order; null when there are none. */
export function keysOf(character: string): readonly number[] | null {
  return strokes.get(character) ?? null
}
