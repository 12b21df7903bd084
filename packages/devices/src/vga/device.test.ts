import type { DisplayPort, TextScreen } from '@machinist/api'
import { testDevice } from '@machinist/registers/testing'
import { expect, test } from 'vitest'
import { vga, type VgaState } from '../index.ts'
import { Attr, Crtc, Gfx, Seq, Vbe } from './registers.ts'

const [FRAME_BUFFER, REGISTERS, WINDOW, COLOR, VBE] = [0, 1, 2, 4, 5] as const
const SOON = 41_000_000

function make() {
  const shown: { size: { width: number; height: number } | null; words: Uint32Array; text: TextScreen | null } = { size: null, words: new Uint32Array(0), text: null }
  const screen: DisplayPort = {
    size: () => null,
    show: (_screen, size) => { shown.size = size },
    present: (_screen, _rectangle, { bytes }) => { shown.words = new Uint32Array(bytes.slice().buffer) },
    cursor() {}, moveCursor() {}, listen() {},
    text: (_screen, text) => { shown.text = text === null ? null : { ...text, cells: text.cells.slice() } },
  }
  const dut = testDevice(vga, { memory: 1 }, { backends: { screen } })
  const { device } = dut
  device.reset('cold')
  const out = (port: number, value: number): void => { device.write(COLOR, port - 0x3c0, 1, value) }
  const input = (port: number): number => device.read(COLOR, port - 0x3c0, 1)
  const indexed = (port: number) => (index: number, value: number): void => { device.write(COLOR, port - 0x3c0, 2, index | value << 8) }
  const attr = (index: number, value: number): void => {
    input(0x3da)
    out(0x3c0, index)
    out(0x3c0, value)
  }
  const vbe = (index: number, value: number): void => {
    device.write(VBE, 0, 2, index)
    device.write(VBE, 1, 2, value)
  }
  out(0x3c2, 0x67)
  const [seq, gfx, crtc] = [indexed(0x3c4), indexed(0x3ce), indexed(0x3d4)]
  return {
    dut, device, shown, out, input, seq, gfx, crtc, attr, vbe,
    put: (at: number, value: number) => { device.write(WINDOW, at, 1, value) },
    get: (at: number) => device.read(WINDOW, at, 1),
    show: () => {
      dut.advance(SOON)
      return shown
    },
    /** Sixteen colours whose red is their number, and the screen on. */
    colors() {
      for (let index = 0; index < 16; index++) attr(index, index)
      out(0x3c8, 0)
      for (let index = 0; index < 256; index++) for (const level of [index & 63, 0, 0]) out(0x3c9, level)
      attr(Attr.planes, 15)
      input(0x3da)
      out(0x3c0, 0x20)
    },
  }
}

type Made = ReturnType<typeof make>

/** Two rows of text of four columns, 16 lines high, with a font in which a character is its number in each line. */
function text(made: Made): void {
  const { seq, gfx, crtc, put, attr, colors } = made
  seq(Seq.memoryMode, 6)
  seq(Seq.mapMask, 4)
  gfx(Gfx.bitMask, 0xff)
  gfx(Gfx.misc, 0)
  for (let character = 0; character < 256; character++) for (let line = 0; line < 16; line++) put(character * 32 + line, character)
  seq(Seq.memoryMode, 2)
  seq(Seq.mapMask, 3)
  gfx(Gfx.mode, 0x10)
  gfx(Gfx.misc, 0x0e)
  for (const [index, value] of [[Crtc.horizontalEnd, 3], [Crtc.verticalEnd, 31], [Crtc.maximumScan, 15], [Crtc.offset, 2], [Crtc.mode, 0xa3], [Crtc.cursorStart, 14], [Crtc.cursorEnd, 15], [Crtc.cursorLow, 5]] as const) crtc(index, value)
  attr(Attr.mode, 0x0c)
  colors()
}

const at = (column: number, row: number): number => 0x1_8000 + 2 * (column + 4 * row)

test('a screen of text is text, and is drawn with the font that the guest has loaded', () => {
  const made = make()
  text(made)
  const { device, put, show } = made
  device.write(WINDOW, at(0, 0), 2, 0x2a | 0x1e << 8)
  put(at(3, 1), 0xc1)
  put(at(3, 1) + 1, 0x07)
  const { size, words, text: seen } = show()
  expect(size).toEqual({ width: 36, height: 32 })
  expect([...seen?.cells ?? []]).toEqual([0x1e2a, 0, 0, 0, 0, 0, 0, 0x07c1])
  expect([seen?.columns, seen?.rows, seen?.cursor, seen?.blinks, seen?.colors.length]).toEqual([4, 2, { column: 1, row: 1 }, true, 16])
  const red = (level: number): number => (level << 2 | level >>> 4) << 16
  const line = (row: number, column: number): number[] => [...words.subarray(row * 36 + column * 9, row * 36 + column * 9 + 9)].map((word) => (word >>> 18))
  expect(line(3, 0)).toEqual([1, 1, 14, 1, 14, 1, 14, 1, 1])
  // The last column of lines and boxes goes on.
  expect(line(31, 3)).toEqual([7, 7, 0, 0, 0, 0, 0, 7, 7])
  expect(words[0]).toBe(red(1))
})

test('nothing is drawn while nothing changes, and the screen can be dark', () => {
  const made = make()
  text(made)
  made.show()
  expect(made.dut.context.clock.deadline('refresh')).toBe(Infinity)
  made.seq(Seq.clocking, 0x20)
  expect([made.show().size, made.shown.text]).toEqual([null, null])
})

test('a reset right after a change, before it was drawn, does not end drawing', () => {
  const made = make()
  text(made)
  made.show()
  made.put(at(0, 0), 0x41)
  // As a machine does it: nothing is waited for any more.
  made.dut.context.clock.timer('refresh').cancel()
  made.device.reset('warm')
  expect(made.dut.context.clock.deadline('refresh')).not.toBe(Infinity)
})

test('planes are written and read by the modes of the graphics controller', () => {
  const { seq, gfx, put, get } = make()
  seq(Seq.memoryMode, 6)
  seq(Seq.mapMask, 15)
  gfx(Gfx.misc, 5)
  gfx(Gfx.bitMask, 0xff)
  const planes = (where: number): number[] => [0, 1, 2, 3].map((plane) => {
    gfx(Gfx.readMap, plane)
    return get(where)
  })
  put(0, 0xa5)
  expect(planes(0)).toEqual([0xa5, 0xa5, 0xa5, 0xa5])
  // Rotated, only one plane, some bits, XOR with what was read.
  gfx(Gfx.rotate, 0x18 | 1)
  seq(Seq.mapMask, 2)
  gfx(Gfx.bitMask, 0x0f)
  get(0)
  put(0, 0x1f)
  expect(planes(0)).toEqual([0xa5, 0xa5 ^ (0x8f & 0x0f), 0xa5, 0xa5])
  // Set/reset in the place of some planes.
  seq(Seq.mapMask, 15)
  gfx(Gfx.rotate, 0)
  gfx(Gfx.bitMask, 0xff)
  gfx(Gfx.setReset, 5)
  gfx(Gfx.enableSetReset, 3)
  put(1, 0x3c)
  expect(planes(1)).toEqual([0xff, 0, 0x3c, 0x3c])
  gfx(Gfx.mode, 2)
  put(2, 9)
  expect(planes(2)).toEqual([0xff, 0, 0, 0xff])
  gfx(Gfx.mode, 3)
  gfx(Gfx.setReset, 15)
  get(0)
  put(3, 0xf0)
  expect(planes(3).map((value) => value & 0xf0)).toEqual([0xf0, 0xf0, 0xf0, 0xf0])
  gfx(Gfx.mode, 1)
  get(2)
  put(4, 0)
  expect(planes(4)).toEqual([0xff, 0, 0, 0xff])
  // Where the colour is 9.
  gfx(Gfx.mode, 8)
  gfx(Gfx.compare, 9)
  gfx(Gfx.dontCare, 15)
  expect([get(2), get(1)]).toEqual([0xff, 0])
})

test('256 colours in a chain, and a split screen', () => {
  const { seq, gfx, crtc, attr, colors, put, show } = make()
  seq(Seq.memoryMode, 0x0e)
  seq(Seq.mapMask, 15)
  gfx(Gfx.mode, 0x40)
  gfx(Gfx.misc, 5)
  for (const [index, value] of [[Crtc.horizontalEnd, 1], [Crtc.verticalEnd, 3], [Crtc.offset, 1], [Crtc.underline, 0x40], [Crtc.mode, 0xa3], [Crtc.startLow, 2], [Crtc.lineCompare, 1]] as const) crtc(index, value)
  attr(Attr.mode, 0x41)
  colors()
  for (let index = 0; index < 48; index++) put(index, index)
  const { size, words } = show()
  expect(size).toEqual({ width: 8, height: 4 })
  expect([0, 8, 16, 24].map((from) => [...words.subarray(from, from + 8)].map((word) => word >>> 18))).toEqual([
    [8, 9, 10, 11, 12, 13, 14, 15], [16, 17, 18, 19, 20, 21, 22, 23], [0, 1, 2, 3, 4, 5, 6, 7], [8, 9, 10, 11, 12, 13, 14, 15],
  ])
})

test('the display interface has a frame buffer of true colours, which the window shows by banks', () => {
  const { device, vbe, show, put } = make()
  const get = (index: number): number => {
    device.write(VBE, 0, 2, index)
    return device.read(VBE, 1, 2)
  }
  expect([get(Vbe.id), get(Vbe.memory64K)]).toEqual([0xb0c5, 16])
  vbe(Vbe.enable, 2)
  expect([get(Vbe.xres), get(Vbe.yres), get(Vbe.bpp)]).toEqual([2560, 1600, 32])
  vbe(Vbe.enable, 0)
  device.write(FRAME_BUFFER, 0, 4, 0xffff_ffff)
  for (const [index, value] of [[Vbe.xres, 64], [Vbe.yres, 48], [Vbe.bpp, 32], [Vbe.enable, 0x41]] as const) vbe(index, value)
  expect(device.read(FRAME_BUFFER, 0, 4)).toBe(0)
  device.write(FRAME_BUFFER, (64 * 2 + 3) * 4, 4, 0x0012_3456)
  vbe(Vbe.bank, 1)
  put(4, 0x99)
  expect(device.read(FRAME_BUFFER, 0x1_0004, 1)).toBe(0x99)
  expect([show().size, show().words[64 * 2 + 3], show().text]).toEqual([{ width: 64, height: 48 }, 0x0012_3456, null])
  vbe(Vbe.yOffset, 1)
  expect(show().words[64 + 3]).toBe(0x0012_3456)
  // The same registers behind BAR 2; a mode that does not fit is none.
  expect([device.read(REGISTERS, 0x502, 2), get(Vbe.virtualHeight)]).toEqual([64, 4096])
  vbe(Vbe.enable, 0)
  for (const [index, value] of [[Vbe.xres, 1024], [Vbe.yres, 768], [Vbe.bpp, 32], [Vbe.enable, 0x41]] as const) vbe(index, value)
  expect(get(Vbe.enable)).toBe(0x40)
})

test('a state is taken back with its screen, and a wrong one changes nothing', () => {
  const one = make()
  text(one)
  one.put(at(1, 0), 0x41)
  const state = structuredClone(one.device.save())
  const other = make()
  other.device.restore(state)
  const same = (): boolean => JSON.stringify(other.device.save()) === JSON.stringify(state)
  expect(same()).toBe(true)
  expect([other.show().text, Buffer.compare(new Uint8Array(other.shown.words.buffer), new Uint8Array(one.show().words.buffer))]).toEqual([one.shown.text, 0])
  for (const wrong of [{}, { ...state, memory: [{ at: 2 ** 20 - 2, bytes: new Uint8Array(4) }] }, { ...state, memory: [{ at: 0, bytes: [1] }] }, { ...state, registers: { ...state.registers, dac: [] } }]) {
    expect(() => { other.device.restore(wrong as VgaState) }).toThrow(expect.objectContaining({ code: 'state' }))
    expect(same()).toBe(true)
  }
})
