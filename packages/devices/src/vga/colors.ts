import { Attr, AttrMode, Vbe, VbeEnable } from './registers.ts'
import type { VgaRegisters } from './state.ts'

/** The 256 colours of the DAC as words of blue, green, red and nothing, as they lie in memory. */
export function dacColors({ dac, vbe }: VgaRegisters): Uint32Array {
  const wide = ((vbe[Vbe.enable] ?? 0) & VbeEnable.dac8) !== 0
  const level = (at: number): number => wide ? dac[at] ?? 0 : ((dac[at] ?? 0) & 0x3f) << 2 | ((dac[at] ?? 0) & 0x3f) >>> 4
  return Uint32Array.from({ length: 256 }, (_, index) => level(3 * index) << 16 | level(3 * index + 1) << 8 | level(3 * index + 2))
}

/** Where in the DAC each of the sixteen colours is (VGA, "Attribute Controller"). */
export function paletteIndices({ attr, dacMask }: VgaRegisters): Uint8Array {
  const select = attr[Attr.colorSelect] ?? 0
  const low = ((attr[Attr.mode] ?? 0) & AttrMode.selectColors) !== 0
  return Uint8Array.from({ length: 16 }, (_, index) => {
    const color = attr[index & (attr[Attr.planes] ?? 15)] ?? 0
    return ((low ? (color & 0x0f) | (select & 3) << 4 : color & 0x3f) | (select & 0x0c) << 4) & dacMask
  })
}
