/** Flags of EFLAGS (SDM volume 1, 3.4.3). */
export const Flag: {
  readonly carry: number
  readonly parity: number
  readonly adjust: number
  readonly zero: number
  readonly sign: number
  readonly trap: number
  readonly interrupt: number
  readonly direction: number
  readonly overflow: number
  readonly alignment: number
} = {
  carry: 1 << 0,
  parity: 1 << 2,
  adjust: 1 << 4,
  zero: 1 << 6,
  sign: 1 << 7,
  trap: 1 << 8,
  interrupt: 1 << 9,
  direction: 1 << 10,
  overflow: 1 << 11,
  alignment: 1 << 18,
}

/** The six that arithmetic writes. */
export const STATUS: number = Flag.carry | Flag.parity | Flag.adjust | Flag.zero | Flag.sign | Flag.overflow

const letters: Readonly<Record<string, number>> = { c: Flag.carry, p: Flag.parity, a: Flag.adjust, z: Flag.zero, s: Flag.sign, o: Flag.overflow }

/** The bits of flags that are named by the letters o, s, z, a, p, c. */
export function flagBits(text: string): number {
  return [...text].reduce((bits, letter) => bits | (letters[letter] ?? 0), 0)
}
