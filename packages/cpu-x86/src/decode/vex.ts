import type { Mode } from '../isa/form.ts'
import type { VectorSize } from '../isa/operand.ts'
import type { Cursor } from './cursor.ts'

/** What VEX says (SDM volume 2, 2.3.5), in the terms of the prefixes that it stands for. */
export interface Vex {
  readonly map: number
  readonly prefix: number
  /** W, R, X and B where REX has them. */
  readonly rex: number
  readonly vvvv: number
  readonly vector: VectorSize
}

const implied = [0, 0x66, 0xf3, 0xf2]

/** Reads VEX behind its first byte; null when that is LES or LDS. */
export function readVex(cursor: Cursor, first: number, mode: Mode): Vex | null {
  // Outside 64-bit mode LES and LDS have memory there, and VEX ones.
  if (mode !== 64 && cursor.peek() < 0xc0) return null
  const second = cursor.byte()
  const last = first === 0xc4 ? cursor.byte() : second
  // R, X, B, and all of vvvv are inverted.
  const rxb = first === 0xc4 ? (~second >> 5) & 7 : (~second >> 5) & 4
  const map = first === 0xc4 ? second & 31 : 1
  return {
    // A map that there is not has no forms.
    map: map >= 1 && map <= 3 ? map : 4,
    prefix: implied[last & 3] ?? 0,
    rex: (first === 0xc4 ? (last >> 4) & 8 : 0) | (mode === 64 ? rxb : 0),
    vvvv: (~last >> 3) & (mode === 64 ? 15 : 7),
    vector: (last & 4) === 0 ? 16 : 32,
  }
}
