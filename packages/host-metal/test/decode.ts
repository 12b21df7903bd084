/** A plain load or store, as the microkernel decodes it; those of floating-point registers only where they are not compressed. */
export interface DecodedAccess {
  readonly write: boolean
  readonly width: 1 | 2 | 4 | 8
  /** Of a load: whether the value is sign-extended. */
  readonly signed: boolean
  readonly floating: boolean
  /** rd of a load, rs2 of a store. */
  readonly register: number
  /** Bytes of the instruction. */
  readonly length: 2 | 4
}

const WIDTHS = [1, 2, 4, 8] as const

/** Decodes loads and stores (unprivileged specification, 2.6 and 28); null for anything else. */
export function decodeAccess(bits: number): DecodedAccess | null {
  return (bits & 3) === 3 ? decodeWhole(bits) : decodeCompressed(bits & 0xffff)
}

function decodeWhole(bits: number): DecodedAccess | null {
  const funct3 = (bits >>> 12) & 7
  const width = WIDTHS[funct3 & 3] ?? 1
  if ((bits & 0x7f) === 0x03 && funct3 !== 7) return { write: false, width, signed: funct3 < 4, floating: false, register: (bits >>> 7) & 31, length: 4 }
  if ((bits & 0x7f) === 0x23 && funct3 < 4) return { write: true, width, signed: false, floating: false, register: (bits >>> 20) & 31, length: 4 }
  if (funct3 !== 2 && funct3 !== 3) return null
  if ((bits & 0x7f) === 0x07) return { write: false, width, signed: false, floating: true, register: (bits >>> 7) & 31, length: 4 }
  if ((bits & 0x7f) === 0x27) return { write: true, width, signed: false, floating: true, register: (bits >>> 20) & 31, length: 4 }
  return null
}

function decodeCompressed(bits: number): DecodedAccess | null {
  const quadrant = bits & 3
  const funct3 = bits >>> 13
  const short = 8 + ((bits >>> 2) & 7)
  const rd = (bits >>> 7) & 31
  const rs2 = (bits >>> 2) & 31
  const load = (width: 4 | 8, register: number): DecodedAccess => ({ write: false, width, signed: true, floating: false, register, length: 2 })
  const store = (width: 4 | 8, register: number): DecodedAccess => ({ write: true, width, signed: false, floating: false, register, length: 2 })
  if (quadrant === 0) {
    if (funct3 === 2) return load(4, short)
    if (funct3 === 3) return load(8, short)
    if (funct3 === 6) return store(4, short)
    if (funct3 === 7) return store(8, short)
  }
  if (quadrant === 2) {
    if (funct3 === 2 && rd !== 0) return load(4, rd)
    if (funct3 === 3 && rd !== 0) return load(8, rd)
    if (funct3 === 6) return store(4, rs2)
    if (funct3 === 7) return store(8, rs2)
  }
  return null
}
