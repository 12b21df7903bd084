import { memoryDisplay, Picture } from '@machinist/display'
import { testDevice } from '@machinist/registers/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { virtioGpu } from '../index.ts'
import { VirtioDriver } from '../testing.ts'
import { command as C, formats, response as R } from './layout.ts'
import { Backing } from './resource.ts'

const atOnce = (callback: () => void): void => { callback() }
const size = { width: 64, height: 48 }

function make(config: object = {}) {
  const display = memoryDisplay({ screens: [size, { width: 32, height: 32 }] })
  const dut = testDevice(virtioGpu, { screens: 2, memory: 1 << 16, ...config }, { name: 'gpu0', backends: { display: display.connect(atOnce) }, memorySize: 1 << 20 })
  const driver = new VirtioDriver(dut)
  expect(driver.start()).toBe(15)
  /** Sends a command; the words follow its header. */
  const send = (type: number, words: readonly number[], { queue = 0, room = 24, fence = null }: { queue?: number, room?: number, fence?: bigint | null } = {}): DataView => {
    const bytes = new Uint8Array(24 + 4 * words.length)
    const view = new DataView(bytes.buffer)
    view.setUint32(0, type, true)
    if (fence !== null) {
      view.setUint32(4, 1, true)
      view.setBigUint64(8, fence, true)
    }
    words.forEach((word, index) => { view.setUint32(24 + 4 * index, word, true) })
    const request = driver.submit(queue, [bytes], room === 0 ? [] : [room])
    driver.notify(queue)
    expect(driver.collect(queue)).toBe(1)
    return new DataView((request.answers[0] ?? new Uint8Array(24)).buffer)
  }
  const ask = (type: number, ...words: number[]): number => send(type, words).getUint32(0, true)
  return { display, dut, driver, send, ask }
}

const memoryBase = 0x8000_0000
/** Where the test keeps pictures: behind the driver's own. */
const pictures = memoryBase + (1 << 19)

it('shows what the guest draws, in every format and through any backing, also after a restore', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('transfer' as const), x: fc.nat(50), y: fc.nat(40), width: fc.integer({ min: 1, max: 60 }), height: fc.integer({ min: 1, max: 50 }), seed: fc.nat() }),
    fc.record({ do: fc.constant('flush' as const), x: fc.nat(50), y: fc.nat(40), width: fc.integer({ min: 1, max: 60 }), height: fc.integer({ min: 1, max: 50 }) }),
    fc.record({ do: fc.constant('restore' as const) }))
  fc.assert(fc.property(fc.constantFrom(...formats), fc.integer({ min: 1, max: 56 }), fc.integer({ min: 1, max: 46 }), fc.nat(8), fc.nat(2), fc.array(fc.integer({ min: 1, max: 3000 }), { maxLength: 8 }), fc.array(step, { maxLength: 25 }),
    ([number, format], width, height, left, top, cuts, steps) => {
      const { display, dut, ask } = make()
      const stride = 4 * (width + left)
      const bytes = stride * (height + top)
      expect(ask(C.resourceCreate2d, 5, number, width + left, height + top)).toBe(R.nodata)
      // Pieces in reverse order, with gaps.
      const pieces: { at: number, address: number, length: number }[] = []
      let [at, address] = [0, pictures + 0x4_0000]
      for (const cut of [...cuts, bytes]) {
        const length = Math.min(cut, bytes - at)
        if (length > 0) pieces.push({ at, address: address -= length + 7, length })
        at += length
      }
      expect(ask(C.attachBacking, 5, pieces.length, ...pieces.flatMap((piece) => [piece.address, 0, piece.length, 0]))).toBe(R.nodata)
      expect(ask(C.setScanout, left, top, width, height, 1, 5)).toBe(R.nodata)
      const resource = new Uint8Array(bytes)
      const model = new Picture(width, height)
      for (const each of steps) {
        if (each.do === 'restore') {
          dut.device.restore(dut.device.save())
          model.draw({ x: 0, y: 0, width, height }, { bytes: resource.subarray(top * stride + 4 * left), stride, format })
          continue
        }
        const inside = each.x + each.width <= width + left && each.y + each.height <= height + top
        const words = [each.x, each.y, each.width, each.height]
        if (each.do === 'transfer') {
          const memory = new Uint8Array(bytes).map((_, index) => Math.imul(index + each.seed, 0x9e37_79b1) >>> 24)
          for (const piece of pieces) dut.context.memory.set(memory.subarray(piece.at, piece.at + piece.length), piece.address - memoryBase)
          const offset = each.y * stride + 4 * each.x
          expect(ask(C.transferToHost2d, ...words, offset, 0, 5, 0)).toBe(inside ? R.nodata : R.invalidParameter)
          for (let row = 0; inside && row < each.height; row++) resource.set(memory.subarray(offset + row * stride, offset + row * stride + 4 * each.width), offset + row * stride)
        } else {
          expect(ask(C.resourceFlush, ...words, 5, 0)).toBe(inside ? R.nodata : R.invalidParameter)
          const [x, y] = [Math.max(each.x, left), Math.max(each.y, top)]
          const part = { x: x - left, y: y - top, width: each.x + each.width - x, height: each.y + each.height - y }
          if (inside && part.width > 0 && part.height > 0) model.draw(part, { bytes: resource.subarray(y * stride + 4 * x), stride, format })
        }
        expect(Buffer.compare(display.screens[1]?.picture?.rgba ?? model.rgba.subarray(1), model.rgba)).toBe(0)
      }
    }), { numRuns: 100 })
})

it('a backing reads like the one piece of memory that it stands for', () => {
  const memory = Uint8Array.from({ length: 500 }, (_, index) => index * 7)
  const dma = {
    read: (address: number, into: Uint8Array): boolean => address + into.length <= 500 && (into.set(memory.subarray(address, address + into.length)), true),
  }
  const piece = fc.tuple(fc.nat(450), fc.integer({ min: 1, max: 60 }))
  fc.assert(fc.property(fc.array(piece, { maxLength: 10 }), fc.nat(300), fc.integer({ min: 1, max: 300 }), (pieces, offset, length) => {
    const whole = pieces.flatMap(([address, count]) => Array.from({ length: count }, (_, index) => address + index))
    const wanted = whole.slice(offset, offset + length)
    const into = new Uint8Array(length)
    const possible = wanted.length === length && wanted.every((address) => address < 500)
    // It may know that a piece is not RAM from bytes that it does not read.
    const read = new Backing(pieces.flat()).read(dma, offset, into)
    expect(read > 0).toBe(possible)
    if (possible) expect([...into]).toEqual(wanted.map((address) => memory[address]))
  }))
})

describe('refuses', () => {
  it('what is not there, what does not fit, and more than its share', () => {
    const { ask } = make()
    expect(ask(C.resourceCreate2d, 1, 1, 100, 100)).toBe(R.nodata)
    const picture = [0, 0, 100, 100] as const
    const most = 2 ** 32 - 1
    const asked: readonly (readonly [answer: number, ...words: number[]])[] = [
      [R.invalidResource, C.resourceCreate2d, 1, 1, 10, 10], [R.invalidResource, C.resourceCreate2d, 0, 1, 10, 10], [R.invalidParameter, C.resourceCreate2d, 2, 5, 10, 10],
      [R.invalidParameter, C.resourceCreate2d, 2, 1, 0, 10], [R.invalidParameter, C.resourceCreate2d, 2, 1, most, most], [R.outOfMemory, C.resourceCreate2d, 2, 1, 100, 70],
      [R.invalidResource, C.resourceUnref, 2, 0], [R.invalidResource, C.attachBacking, 2, 0], [R.invalidParameter, C.attachBacking, 1, 1], [R.invalidParameter, C.attachBacking, 1, most],
      [R.invalidScanout, C.setScanout, ...picture, 2, 1], [R.invalidResource, C.setScanout, ...picture, 0, 3], [R.invalidParameter, C.setScanout, 1, 0, 100, 100, 0, 1],
      [R.invalidParameter, C.setScanout, most, 0, 2, 2, 0, 1], [R.invalidParameter, C.setScanout, 0, 0, 0, 0, 0, 1],
      [R.invalidParameter, C.transferToHost2d, ...picture, 0, 0, 1, 0], [R.invalidResource, C.resourceFlush, ...picture, 7, 0], [R.invalidParameter, C.resourceFlush, 2, most, 1, 1, 1, 0],
      [R.nodata, C.attachBacking, 1, 1, pictures % 2 ** 32, 0, 40_000, 0], [R.unspecified, C.attachBacking, 1, 0],
      [R.nodata, C.transferToHost2d, ...picture, 0, 0, 1, 0], [R.invalidParameter, C.transferToHost2d, ...picture, 1, 0, 1, 0], [R.invalidParameter, C.transferToHost2d, ...picture, 0, most, 1, 0],
      [R.nodata, C.detachBacking, 1, 0], [R.invalidParameter, C.transferToHost2d, ...picture, 0, 0, 1, 0],
      // Memory that is not there.
      [R.nodata, C.attachBacking, 1, 1, 0xffff_0000, most, most, 0], [R.invalidParameter, C.transferToHost2d, ...picture, 0, 0, 1, 0],
      [R.unspecified, 0x108, 0, 0], [R.unspecified, 0x200], [R.invalidParameter, C.resourceFlush], [R.nodata, C.resourceUnref, 1, 0], [R.nodata, C.resourceCreate2d, 2, 1, 128, 128],
    ]
    for (const [answer, type = 0, ...words] of asked) expect([type.toString(16), words, ask(type, ...words)]).toEqual([type.toString(16), words, answer])
  })
})

it('passes fences, tells its screens, and says when they change', () => {
  const { display, dut, driver, send } = make()
  const answer = send(C.resourceUnref, [9, 0], { fence: 0xfedc_ba98_7654_3210n })
  expect([answer.getUint32(0, true), answer.getUint32(4, true), answer.getBigUint64(8, true)]).toEqual([R.invalidResource, 1, 0xfedc_ba98_7654_3210n])
  const info = (): number[] => {
    const view = send(C.getDisplayInfo, [], { room: 408 })
    return Array.from({ length: 16 }, (_, index) => [0, 4, 8, 12, 16].map((field) => view.getUint32(24 + 24 * index + field, true))).filter((each) => each[4] !== 0).flat()
  }
  expect(info()).toEqual([0, 0, 64, 48, 1, 64, 0, 32, 32, 1])
  const edid = send(C.getEdid, [0, 0], { room: 1056 })
  const block = new Uint8Array(edid.buffer, 32, 128)
  expect([edid.getUint32(0, true), edid.getUint32(24, true), block.reduce((sum, byte) => sum + byte, 0) % 256, block[56], block[59]]).toEqual([R.edid, 128, 0, 64, 48])
  expect([send(C.getEdid, [2, 0], { room: 1056 }).getUint32(0, true), driver.readConfig(0, 4), driver.readConfig(8, 4)]).toEqual([R.invalidScanout, 0, 2])
  display.resize(1, null)
  display.resize(0, { width: 800, height: 600 })
  expect([driver.readConfig(0, 4), dut.read(0x060) & 2, info()]).toEqual([1, 2, [0, 0, 800, 600, 1]])
  driver.writeConfig(4, 4, 1)
  expect(driver.readConfig(0, 4)).toBe(0)
})

it('cursors: a picture, its hot spot, its place; gone with their resource', () => {
  const { display, dut, driver, ask, send } = make()
  // R8G8B8X8, as whose alpha the X counts.
  ask(C.resourceCreate2d, 1, 134, 64, 64)
  ask(C.attachBacking, 1, 1, pictures, 0, 64 * 64 * 4, 0)
  dut.context.memory.set([1, 2, 3, 4], pictures - memoryBase + 4 * (64 + 2))
  ask(C.transferToHost2d, 0, 0, 64, 64, 0, 0, 1, 0)
  // Drivers want no answers here.
  send(C.updateCursor, [1, 10, -20 >>> 0, 0, 1, 2, 3, 0], { queue: 1, room: 0 })
  const cursor = () => display.screens[1]?.cursor
  expect(cursor()).toMatchObject({ hotX: 2, hotY: 3, x: 10, y: -20 })
  expect(cursor()?.picture?.pixel(2, 1)).toEqual([1, 2, 3, 4])
  send(C.moveCursor, [1, 30, 40, 0, 1, 0, 0, 0], { queue: 1, room: 0 })
  expect(cursor()).toMatchObject({ hotX: 2, hotY: 3, x: 30, y: 40 })
  for (const words of [[2, 0, 0, 0, 1, 0, 0, 0], [1, 0, 0, 0, 1, 64, 0, 0], [1, 0, 0, 0, 5, 0, 0, 0]]) expect(send(C.updateCursor, words, { queue: 1 }).getUint32(0, true)).toBeGreaterThan(R.unspecified)
  ask(C.resourceUnref, 1, 0)
  expect([cursor()?.picture, display.screens[1]?.picture]).toEqual([null, null])
  driver.start()
  expect(ask(C.resourceUnref, 1, 0)).toBe(R.invalidResource)
})
