import type { Mode } from '../isa/form.ts'
import type { Cursor } from './cursor.ts'

/** What stands before an opcode (SDM volume 2, 2.1.1 and 2.2.1). Of a group the last one counts. */
export interface Prefixes {
  readonly operand: boolean
  readonly address: boolean
  readonly lock: boolean
  /** 0xf2, 0xf3, or 0. */
  readonly repeat: number
  /** A segment register's number, or -1. */
  readonly segment: number
  /** 0x40 to 0x4f, or 0. Only what stands directly before the opcode counts. */
  readonly rex: number
}

const segments = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65]

export function readPrefixes(cursor: Cursor, mode: Mode): Prefixes {
  const found = { operand: false, address: false, lock: false, repeat: 0, segment: -1, rex: 0 }
  for (;; cursor.byte()) {
    const byte = cursor.peek()
    if (mode === 64 && (byte & 0xf0) === 0x40) {
      found.rex = byte
      continue
    }
    // Most bytes are none.
    const segment = (byte & 0xe7) === 0x26 || (byte & 0xfe) === 0x64 ? segments.indexOf(byte) : -1
    if (segment >= 0) {
      if (mode !== 64 || segment >= 4) found.segment = segment
    } else if (byte === 0x66) found.operand = true
    else if (byte === 0x67) found.address = true
    else if (byte === 0xf0) found.lock = true
    else if (byte === 0xf2 || byte === 0xf3) found.repeat = byte
    else return found
    found.rex = 0
  }
}
