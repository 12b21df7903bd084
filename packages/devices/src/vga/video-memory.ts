import { BANK, Gfx, GfxMisc, GfxMode, MemoryMode, PLANES, Seq, Vbe, VbeEnable, WINDOW } from './registers.ts'
import type { VgaRegisters } from './state.ts'

/** Where a byte of the window at A0000h is: beyond what the memory map shows (graphics register 6), nowhere. */
function windowOffset(registers: VgaRegisters, offset: number): number {
  switch ((registers.gfx[Gfx.misc] ?? 0) >>> GfxMisc.mapShift & 3) {
    case 0: return offset
    case 1: return offset < BANK ? offset : -1
    case 2: return offset >= BANK && offset < BANK + 0x8000 ? offset - BANK : -1
    default: return offset >= BANK + 0x8000 ? offset - BANK - 0x8000 : -1
  }
}

const spread = (bits: number): number => ((bits & 1) * 0xff) | ((bits >>> 1 & 1) * 0xff00) | ((bits >>> 2 & 1) * 0xff_0000) | (bits >>> 3 & 1) * 0xff00_0000

/**
 * Video memory as it is seen through the window: four planes of 64 KiB whose bytes lie beside one another, so that byte n of plane p is at 4n + p (VGA, "Graphics Controller"). In the modes of the
 * display interface the window is a bank of plain bytes.
 */
export class VideoMemory {
  readonly bytes: Uint8Array
  readonly #registers: VgaRegisters

  constructor(registers: VgaRegisters, size: number) {
    this.#registers = registers
    this.bytes = new Uint8Array(size)
  }

  /** The address of a byte of the window in a bank; −1 where it is not one, or not there. */
  #banked(offset: number): number {
    const { vbe } = this.#registers
    const at = (vbe[Vbe.bank] ?? 0) * BANK + offset
    return offset < BANK && at < this.bytes.length ? at : -1
  }

  get #linear(): boolean {
    const { vbe } = this.#registers
    return ((vbe[Vbe.enable] ?? 0) & VbeEnable.on) !== 0 && (vbe[Vbe.bpp] ?? 0) > 4
  }

  read(offset: number): number {
    const registers = this.#registers
    if (this.#linear) return this.bytes[this.#banked(offset)] ?? 0xff
    const { seq, gfx, latch } = registers
    const at = windowOffset(registers, offset)
    if (at < 0 || at >= WINDOW.size) return 0xff
    const mode = seq[Seq.memoryMode] ?? 0
    if ((mode & MemoryMode.chain4) !== 0) {
      this.#latch((at & ~3) >>> 2 & 0xffff)
      return this.bytes[at & (PLANES - 1)] ?? 0
    }
    const oddEven = ((gfx[Gfx.mode] ?? 0) & GfxMode.oddEven) !== 0
    const address = (oddEven ? at & ~1 : at) & 0xffff
    this.#latch(address)
    if (((gfx[Gfx.mode] ?? 0) & GfxMode.read) === 0) {
      const plane = oddEven ? ((gfx[Gfx.readMap] ?? 0) & 2) | (at & 1) : (gfx[Gfx.readMap] ?? 0) & 3
      return latch[plane] ?? 0
    }
    // Pixels of which the colour is that to compare with, apart from planes that do not matter.
    const [compare, care] = [gfx[Gfx.compare] ?? 0, gfx[Gfx.dontCare] ?? 0]
    let result = 0xff
    for (let plane = 0; plane < 4; plane++) if ((care >>> plane & 1) !== 0) result &= (latch[plane] ?? 0) ^ ((compare >>> plane & 1) !== 0 ? 0 : 0xff)
    return result
  }

  #latch(address: number): void {
    const { latch } = this.#registers
    for (let plane = 0; plane < 4; plane++) latch[plane] = this.bytes[4 * address + plane] ?? 0
  }

  write(offset: number, value: number): void {
    const registers = this.#registers
    if (this.#linear) {
      const at = this.#banked(offset)
      if (at >= 0) this.bytes[at] = value
      return
    }
    const { seq } = registers
    const at = windowOffset(registers, offset)
    if (at < 0 || at >= WINDOW.size) return
    const [mode, mask] = [seq[Seq.memoryMode] ?? 0, seq[Seq.mapMask] ?? 0]
    if ((mode & MemoryMode.chain4) !== 0) {
      if ((mask >>> (at & 3) & 1) !== 0) this.bytes[at & (PLANES - 1)] = value
      return
    }
    if ((mode & MemoryMode.notOddEven) === 0) {
      const plane = at & 1
      // Odd and even addresses are of odd and even planes: characters and attributes.
      this.#store((at & ~1) & 0xffff, value, mask & (plane === 0 ? 5 : 10))
      return
    }
    this.#store(at & 0xffff, value, mask)
  }

  /** One byte of each plane, by the write modes (graphics register 5). */
  #store(address: number, value: number, mask: number): void {
    const { gfx, latch } = this.#registers
    const mode = (gfx[Gfx.mode] ?? 0) & GfxMode.write
    const [rotate, bitMask] = [gfx[Gfx.rotate] ?? 0, gfx[Gfx.bitMask] ?? 0]
    const turned = mode === 0 || mode === 3 ? turn(value, rotate & 7) : value
    const enable = gfx[Gfx.enableSetReset] ?? 0
    const setReset = spread(gfx[Gfx.setReset] ?? 0)
    const bits = mode === 3 ? bitMask & turned : bitMask
    const held = spread(value & 15)
    for (let plane = 0; plane < 4; plane++) {
      if ((mask >>> plane & 1) === 0) continue
      const old = latch[plane] ?? 0
      if (mode === 1) {
        this.bytes[4 * address + plane] = old
        continue
      }
      const shift = 8 * plane
      const given = mode === 2 ? held >>> shift & 0xff : mode === 3 || (enable >>> plane & 1) !== 0 ? setReset >>> shift & 0xff : turned
      this.bytes[4 * address + plane] = (combine(given, old, rotate >>> 3 & 3) & bits) | (old & ~bits)
    }
  }
}

function turn(value: number, by: number): number {
  return (value >>> by | value << (8 - by)) & 0xff
}

function combine(value: number, old: number, how: number): number {
  return how === 1 ? value & old : how === 2 ? value | old : how === 3 ? value ^ old : value
}
