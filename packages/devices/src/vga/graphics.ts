import { dacColors, paletteIndices } from './colors.ts'
import { Crtc, CrtcMode, DOUBLE_WORDS, Gfx, GfxMode, MaximumScan, Vbe } from './registers.ts'
import { type Frame, splitLine, startAddress, verticalEnd } from './geometry.ts'
import { lineBytes } from './ports.ts'
import type { VgaRegisters } from './state.ts'

/** Draws one of the VGA's own modes of pixels: sixteen colours in planes, four or two in pairs of bits, or 256. */
export function drawGraphics(registers: VgaRegisters, memory: Uint8Array): Frame {
  const { crtc, gfx } = registers
  const scan = crtc[Crtc.maximumScan] ?? 0
  const repeat = ((scan & MaximumScan.row) + 1) * ((scan & MaximumScan.doubled) !== 0 ? 2 : 1)
  const mode = crtc[Crtc.mode] ?? 0
  // Lines of CGA and Hercules alternate between banks of memory by the row within a character.
  const banks = (mode & CrtcMode.notCga) === 0 ? 2 : 1
  const each = Math.max(1, repeat / banks)
  const gfxMode = gfx[Gfx.mode] ?? 0
  const wide = (gfxMode & GfxMode.shift256) !== 0
  const characters = (crtc[Crtc.horizontalEnd] ?? 0) + 1
  const width = characters * (wide ? 4 : 8)
  const height = Math.max(1, Math.floor(verticalEnd(crtc) / each))
  const frame: Frame = { width, height, words: new Uint32Array(width * height) }
  const colors = dacColors(registers)
  const palette = paletteIndices(registers)
  const shift = ((crtc[Crtc.underline] ?? 0) & DOUBLE_WORDS) !== 0 ? 2 : (mode & CrtcMode.bytes) !== 0 ? 0 : 1
  const pitch = (crtc[Crtc.offset] ?? 0) * 2
  const split = splitLine(crtc)
  for (let y = 0; y < height; y++) {
    const line = y * each
    const below = line > split
    const row = below ? Math.floor((line - split - 1) / each) : y
    const counter = (below ? 0 : startAddress(crtc)) + Math.floor(row / banks) * pitch
    for (let character = 0; character < characters; character++) {
      const turned = (counter + character) << shift
      const address = ((banks === 2 ? (turned & ~0x2000) | (row & 1) << 13 : turned) >>> (shift === 2 ? 2 : 0)) & 0xffff
      const at = 4 * (shift === 1 ? address & ~1 : address)
      const to = y * width + character * (wide ? 4 : 8)
      if (wide) {
        for (let plane = 0; plane < 4; plane++) frame.words[to + plane] = colors[(memory[at + plane] ?? 0) & registers.dacMask] ?? 0
      } else if ((gfxMode & GfxMode.interleave) !== 0) {
        for (let dot = 0; dot < 8; dot++) {
          const from = at + (dot >>> 2)
          const bits = 6 - 2 * (dot & 3)
          const color = ((memory[from] ?? 0) >>> bits & 3) | ((memory[from + 2] ?? 0) >>> bits & 3) << 2
          frame.words[to + dot] = colors[palette[color] ?? 0] ?? 0
        }
      } else {
        const [p0, p1, p2, p3] = [memory[at] ?? 0, memory[at + 1] ?? 0, memory[at + 2] ?? 0, memory[at + 3] ?? 0]
        for (let dot = 0; dot < 8; dot++) {
          const bit = 7 - dot
          const color = (p0 >>> bit & 1) | (p1 >>> bit & 1) << 1 | (p2 >>> bit & 1) << 2 | (p3 >>> bit & 1) << 3
          frame.words[to + dot] = colors[palette[color] ?? 0] ?? 0
        }
      }
    }
  }
  return frame
}

/** Draws a mode of the display interface: pixels one behind another, or planes. */
export function drawVbe(registers: VgaRegisters, memory: Uint8Array): Frame {
  const { vbe } = registers
  const [width, height, bpp, virtual] = [vbe[Vbe.xres] ?? 0, vbe[Vbe.yres] ?? 0, vbe[Vbe.bpp] ?? 0, vbe[Vbe.virtualWidth] ?? 0]
  const frame: Frame = { width, height, words: new Uint32Array(width * height) }
  const pitch = lineBytes(bpp, virtual)
  const bytes = Math.ceil(bpp / 8)
  const colors = dacColors(registers)
  const palette = paletteIndices(registers)
  for (let y = 0; y < height; y++) {
    const line = ((vbe[Vbe.yOffset] ?? 0) + y) * pitch
    for (let x = 0; x < width; x++) {
      const column = (vbe[Vbe.xOffset] ?? 0) + x
      const at = line + column * bytes
      let word: number
      if (bpp === 4) {
        const from = line + (column >>> 3) * 4
        const bit = 7 - (column & 7)
        let color = 0
        for (let plane = 0; plane < 4; plane++) color |= ((memory[from + plane] ?? 0) >>> bit & 1) << plane
        word = colors[palette[color] ?? 0] ?? 0
      } else if (bpp === 8) word = colors[(memory[at] ?? 0) & registers.dacMask] ?? 0
      else if (bpp <= 16) word = highColor((memory[at] ?? 0) | (memory[at + 1] ?? 0) << 8, bpp)
      else word = (memory[at] ?? 0) | (memory[at + 1] ?? 0) << 8 | (memory[at + 2] ?? 0) << 16
      frame.words[y * width + x] = word
    }
  }
  return frame
}

/** Five bits of each colour, or six of green. */
function highColor(value: number, bpp: number): number {
  const green = bpp === 16 ? 6 : 5
  const widen = (bits: number, count: number): number => bits << (8 - count) | bits >>> (2 * count - 8)
  return widen(value >>> (5 + green) & 31, 5) << 16 | widen(value >>> 5 & (2 ** green - 1), green) << 8 | widen(value & 31, 5)
}
