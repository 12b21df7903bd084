import type { Random } from '../random.ts'

/** Leaves an integer that is likely to meet a corner of some instruction in `random.lo` and `random.hi`. */
export function integerValue(random: Random): void {
  const sign = random.chance(0.5) ? 0xffff_ffff : 0
  switch (random.below(10)) {
    case 0:
      random.set(random.between(-2, 2), 0)
      random.hi = random.lo > 0x7fff_ffff ? 0xffff_ffff : 0
      return
    case 1:
      // Either end of the 64-bit and the 32-bit numbers.
      if (random.chance(0.5)) random.set(~sign, sign ? 0x8000_0000 : 0x7fff_ffff)
      else random.set(sign ? 0x8000_0000 : 0x7fff_ffff, sign)
      random.lo = (random.lo + random.between(-1, 1)) >>> 0
      return
    case 2: {
      // One bit, or all but one.
      const bit = random.below(64)
      const word = 1 << (bit & 31)
      random.set((bit < 32 ? word : 0) ^ sign, (bit < 32 ? 0 : word) ^ sign)
      return
    }
    case 3: {
      const small = random.u32() >>> random.below(32)
      random.set(sign ? -small : small, sign && small !== 0 ? sign : 0)
      return
    }
    case 4:
      // A sign-extended word.
      random.set(random.u32() >>> 1 | sign & 0x8000_0000, sign)
      return
    case 5:
      // A word with rubbish above.
      random.set(sign & 0x8000_0000, random.u32())
      return
    case 6: {
      // Bytes that are mostly 0x00 or 0xff.
      const bytes = (): number => [0, 8, 16, 24].reduce((word, at) => word | random.pick([0, 0xff, 0x80, 0x01, 0x7f]) << at, 0)
      random.set(bytes(), bytes())
      return
    }
    default:
      random.u64()
  }
}

const singles: readonly number[] = [
  0, 1, 2, 0x007f_ffff, 0x0080_0000, 0x0080_0001, 0x3380_0000, 0x3f00_0000, 0x3f7f_ffff, 0x3f80_0000, 0x3f80_0001, 0x4000_0000, 0x4b00_0000,
  0x4eff_ffff, 0x4f00_0000, 0x4f80_0000, 0x5eff_ffff, 0x5f00_0000, 0x5f80_0000, 0x7f7f_ffff, 0x7f80_0000, 0x7f80_0001, 0x7fbf_ffff, 0x7fc0_0000, 0x7fff_ffff,
]

/** High words of doubles of every class; the low word comes at random. */
const doubles: readonly number[] = [
  0, 0x0000_0001, 0x000f_ffff, 0x0010_0000, 0x0350_0000, 0x3690_0000, 0x36a0_0000, 0x380f_ffff, 0x3810_0000, 0x3cb0_0000, 0x3fdf_ffff, 0x3fe0_0000,
  0x3ff0_0000, 0x4000_0000, 0x41df_ffff, 0x41e0_0000, 0x41ef_ffff, 0x41f0_0000, 0x4330_0000, 0x43df_ffff, 0x43e0_0000, 0x43ef_ffff, 0x43f0_0000,
  0x47ef_ffff, 0x47f0_0000, 0x7fe0_0000, 0x7fef_ffff, 0x7ff0_0000, 0x7ff4_0000, 0x7ff8_0000, 0x7fff_ffff,
]

/** Leaves 64 bits for a floating-point register, of every class of both precisions, in `random.lo` and `random.hi`. */
export function floatValue(random: Random): void {
  const sign = random.chance(0.5) ? 0x8000_0000 : 0
  switch (random.below(12)) {
    case 0:
    case 1:
      random.set(random.pick(singles) | sign, 0xffff_ffff)
      return
    case 2:
      random.set(random.u32(), 0xffff_ffff)
      return
    case 3:
    case 4: {
      // Singles close to one another, so that sums cancel and products neither overflow nor vanish.
      const exponent = 127 + random.between(-14, 14)
      random.set(sign | exponent << 23 | random.below(2 ** 23) & random.pick([0x7f_ffff, 0x7f_f000, 0, 1]), 0xffff_ffff)
      return
    }
    case 5:
      random.set(sign | random.below(2 ** 23), random.chance(0.8) ? 0xffff_ffff : random.u32())
      return
    case 6:
      // A box that is not all ones: reads as the canonical NaN in single precision.
      random.set(random.u32(), random.pick([0, 0x7fff_ffff, 0xffff_fffe, random.u32()]))
      return
    case 7:
    case 8:
      random.set(random.pick([0, 1, 0xffff_ffff, 0x8000_0000, random.u32()]), random.pick(doubles) | sign)
      return
    case 9:
    case 10:
      random.set(random.pick([0, 1, random.u32(), random.u32()]), sign | (1023 + random.between(-40, 40)) << 20 | random.below(2 ** 20))
      return
    default:
      random.u64()
  }
}
