import type { Mode } from '../isa/form.ts'
import type { Cursor } from './cursor.ts'

/** A memory operand: base + index * 2^scale + displacement, cut to the address size. */
export interface Address {
  /** A register's number, or -1; the index may be a vector's (VSIB). */
  readonly base: number
  readonly index: number
  /** 0 to 3. */
  readonly scale: number
  /** Sign-extended. */
  readonly displacement: bigint
  /** The displacement is from the next instruction. */
  readonly relative: boolean
  /** Its segment is SS by default. */
  readonly onStack: boolean
}

const NONE = -1
const [BX, SP, BP, SI, DI] = [3, 4, 5, 6, 7]
/** SDM volume 2, table 2-1. */
const pairs = [[BX, SI], [BX, DI], [BP, SI], [BP, DI], [SI, NONE], [DI, NONE], [BP, NONE], [BX, NONE]] as const

/** Reads SIB and displacement after `modrm`, whose mod is not 3 (SDM volume 2, tables 2-1 to 2-3 and 2.2.1.6). */
export function readModrm(cursor: Cursor, modrm: number, { mode, addressSize, rex, vsib }: { mode: Mode; addressSize: 2 | 4 | 8; rex: number; vsib: boolean }): Address {
  const mod = modrm >> 6
  const rm = modrm & 7
  if (addressSize === 2) {
    const absolute = mod === 0 && rm === 6
    const [base, index] = absolute ? [NONE, NONE] : pairs[rm] ?? [NONE, NONE]
    return { base, index, scale: 0, displacement: cursor.signed(absolute || mod === 2 ? 2 : mod), relative: false, onStack: base === BP }
  }
  let base = rm | (rex & 1) << 3
  let index = NONE
  let scale = 0
  if (rm === 4) {
    const sib = cursor.byte()
    scale = sib >> 6
    index = ((sib >> 3) & 7) | (rex & 2) << 2
    if (index === SP && !vsib) index = NONE
    base = (sib & 7) | (rex & 1) << 3
  }
  if (mod === 0 && (base & 7) === BP) {
    return { base: NONE, index, scale, displacement: cursor.signed(4), relative: mode === 64 && rm === 5, onStack: false }
  }
  return { base, index, scale, displacement: cursor.signed(mod === 2 ? 4 : mod), relative: false, onStack: base === SP || base === BP }
}
