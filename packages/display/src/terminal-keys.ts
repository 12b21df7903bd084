import { keysOf } from './codes.ts'

const ESC = 0x1b
const DELETE = 0x7f
const CSI = '['
const SS3 = 'O'
/** Keys by their numbers in evdev. */
const key = { escape: 1, backspace: 14, control: 29, enter: 28, shift: 42, alt: 56, up: 103, down: 108, right: 106, left: 105, home: 102, end: 107, insert: 110, delete: 111, pageUp: 104, pageDown: 109 } as const
/** F1 to F12. */
const functionKeys = [59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 87, 88] as const

/** What ends a sequence without a number before it (xterm's control sequences, "PC-Style Function Keys"). */
const finals: Readonly<Record<string, number>> = {
  A: key.up, B: key.down, C: key.right, D: key.left, H: key.home, F: key.end,
  P: functionKeys[0], Q: functionKeys[1], R: functionKeys[2], S: functionKeys[3],
}
/** Numbers before `~`. */
const numbers: Readonly<Record<number, number>> = {
  1: key.home, 2: key.insert, 3: key.delete, 4: key.end, 5: key.pageUp, 6: key.pageDown, 7: key.home, 8: key.end,
  ...Object.fromEntries([11, 12, 13, 14, 15, 17, 18, 19, 20, 21, 23, 24].map((number, index) => [number, functionKeys[index]])),
}
/** Most bytes of a sequence. */
const LONGEST = 16
const SEQUENCE = /^\x1b(?:\[(\[[A-E]|[\d;]*[A-Za-z~])|O(?:\d*)([A-Za-z]))$/

/** A stroke: keys of evdev that go down in this order, and up in the other. */
export type KeyStroke = readonly number[]

/** Makes keys of what a terminal sends. */
export interface TerminalKeys {
  /** Strokes for bytes. Those of a sequence that is not whole wait. */
  feed(bytes: Uint8Array): readonly KeyStroke[]
  /** Whether bytes wait: an Escape that is followed by nothing for a while is that key. */
  readonly waiting: boolean
  /** The keys of what waits, one by one. */
  flush(): readonly KeyStroke[]
}

/** Turns bytes of a terminal that is like xterm or Linux's console into strokes on a keyboard of the US: characters, control and Alt, arrows, function keys with Shift, Alt and Control. What such a keyboard does not have is left out. */
export function terminalKeys(): TerminalKeys {
  let pending = ''
  const next = (strokes: KeyStroke[]): boolean => {
    const length = sequenceLength(pending)
    if (length === null) return false
    const stroke = strokeOf(pending.slice(0, length))
    if (stroke !== null) strokes.push(stroke)
    pending = pending.slice(length)
    return pending !== ''
  }
  return {
    feed(bytes) {
      const strokes: KeyStroke[] = []
      for (const byte of bytes) {
        pending += String.fromCharCode(byte)
        while (next(strokes));
      }
      return strokes
    },
    get waiting() { return pending !== '' },
    flush() {
      const strokes = [...pending].map(strokeOf).filter((stroke) => stroke !== null)
      pending = ''
      return strokes
    },
  }
}

/** How long what a text begins with is; null when its end has not come. */
function sequenceLength(text: string): number | null {
  if (text.charCodeAt(0) !== ESC) return text === '' ? null : 1
  const [, second] = text
  if (second === undefined) return null
  // Escape twice: the first by itself.
  if (second.charCodeAt(0) === ESC) return 1
  if (second !== CSI && second !== SS3) return 2
  if (SEQUENCE.test(text)) return text.length
  const last = text.charCodeAt(text.length - 1)
  // What cannot be part of a sequence ends it.
  if (text.length >= LONGEST || last < 0x20 || last > 0x7e || (text.length > 2 && last >= 0x40 && text !== '\x1b[[')) return text.length
  return null
}

function strokeOf(text: string): KeyStroke | null {
  const code = text.charCodeAt(0)
  if (code !== ESC || text.length === 1) return plain(code)
  const match = SEQUENCE.exec(text)
  if (match === null) {
    const rest = text.length === 2 ? plain(text.charCodeAt(1)) : null
    return rest === null ? null : [key.alt, ...rest]
  }
  const [, csi, ss3] = match
  if (ss3 !== undefined) return known(finals[ss3], 0)
  const body = csi ?? ''
  if (body.startsWith(CSI)) return known(functionKeys[body.charCodeAt(1) - 0x41], 0)
  const final = body.at(-1) ?? ''
  const [number = 0, modifiers = 1] = body.slice(0, -1).split(';').map(Number)
  if (final === 'Z') return [key.shift, 15]
  return known(final === '~' ? numbers[number] : finals[final], modifiers - 1)
}

/** A key with Shift, Alt and Control, bits 0 to 2. */
function known(code: number | undefined, modifiers: number): KeyStroke | null {
  if (code === undefined) return null
  return [...(modifiers & 4) !== 0 ? [key.control] : [], ...(modifiers & 2) !== 0 ? [key.alt] : [], ...(modifiers & 1) !== 0 ? [key.shift] : [], code]
}

/** A byte by itself. */
function plain(code: number): KeyStroke | null {
  if (code === DELETE || code === 8) return [key.backspace]
  if (code === ESC) return [key.escape]
  if (code === 9) return keysOf('\t')
  if (code === 10 || code === 13) return [key.enter]
  if (code >= 0x20) return code < DELETE ? keysOf(String.fromCharCode(code)) : null
  // Control with a letter, or with one of @[\]^_.
  const letter = code === 0 ? ' ' : String.fromCharCode(code | 0x40).toLowerCase()
  const stroke = keysOf(letter)
  return stroke === null ? null : [key.control, ...stroke]
}
