import { fakePower, testDevice } from '@machinist/registers/testing'
import { expect, test } from 'vitest'
import { i440fx, type I440fxState } from '../index.ts'
import { FIRST, segments } from './registers.ts'

const LOW = 0xc_0000

/** RAM from C0000h to FFFFFh. Firmware at 4 GiB is not in it: nobody answers there. */
const make = () => {
  const power = fakePower()
  const dut = testDevice(i440fx, {}, { backends: { power }, memoryBase: LOW, memorySize: 0x4_0000 })
  const { device, context: { memory } } = dut
  device.reset('cold')
  return {
    power, device, memory,
    put: (at: number, value: number, width: 1 | 2 | 4 = 1) => { device.write(0, at - FIRST, width, value) },
    get: (at: number, width: 1 | 2 | 4 = 1) => device.read(0, at - FIRST, width),
    firmware: () => { device.firmware?.({ memory: [], reserved: [], harts: 1, files: [] }) },
  }
}

test('RAM below 1 MiB is seen where its attributes say so, keeps what it has meanwhile, and is empty after a reset', () => {
  const { put, device, memory, firmware } = make()
  firmware()
  const all = (): number[] => segments.map(({ base }) => memory[base - LOW] ?? -1)
  const none = segments.map(({ base }) => base < 0xe_0000 ? 0xff : 0)
  expect(all()).toEqual(none)
  for (let pam = 0; pam < 7; pam++) put(0x59 + pam, 0x33)
  expect(all()).toEqual(segments.map(() => 0))
  segments.forEach(({ base, size }, index) => { memory.fill(index + 1, base - LOW, base + size - LOW) })
  put(0x5a, 0x30)
  put(0x59, 0x00)
  const partly = all()
  expect([partly[0], partly[1], partly[2], partly.at(-1)]).toEqual([0xff, 2, 3, 0xff])
  put(0x5a, 0x11)
  put(0x59, 0x10)
  expect(all()).toEqual(segments.map((_, index) => index + 1))
  expect(memory.every((byte, at) => byte === segments.findIndex(({ base, size }) => at + LOW >= base && at + LOW < base + size) + 1)).toBe(true)
  put(0x59, 0)
  device.reset('warm')
  put(0x59, 0x10)
  expect(memory[0x3_0000]).toBe(0)
})

test('firmware is what is read where RAM is not', () => {
  const power = fakePower()
  const top = 2 ** 32 - 0x4_0000
  const dut = testDevice(i440fx, {}, { backends: { power } })
  // Both pieces of memory, as one machine has them.
  const rom = Uint8Array.from({ length: 0x4_0000 }, (_, at) => at >>> 8)
  const low = new Uint8Array(0x4_0000)
  const piece = (address: number, length: number): Uint8Array | null => address >= top ? rom.subarray(address - top, address - top + length) : address >= LOW ? low.subarray(address - LOW, address - LOW + length) : null
  const device = i440fx.create({}, {
    ...dut.context,
    dma: {
      ...dut.context.dma,
      read: (address, into) => { into.set(piece(address, into.length) ?? []); return true },
      write: (address, from) => { piece(address, from.length)?.set(from); return true },
    },
  })
  device.reset('cold')
  low.set(rom.subarray(0x2_0000), 0x2_0000)
  device.write(0, 0x59 - FIRST, 1, 0x30)
  expect(low.subarray(0x3_0000).every((byte) => byte === 0)).toBe(true)
  low.fill(7, 0x3_0000)
  device.write(0, 0x59 - FIRST, 1, 0)
  expect(Buffer.compare(low.subarray(0x3_0000), rom.subarray(0x3_0000))).toBe(0)
})

test('SMRAM does not change once it is locked, and a turbo reset is a reset', () => {
  const { put, get, power } = make()
  expect([get(0x72), get(0x59), get(0x73)]).toEqual([2, 0, 0])
  put(0x72, 0x4a)
  expect(get(0x72)).toBe(0x4a)
  put(0x72, 0x5f)
  expect(get(0x72)).toBe(0x1a)
  put(0x72, 0x00)
  expect(get(0x72)).toBe(0x1a)
  put(0x70, 0xffff_ffff, 4)
  expect(get(0x70, 4)).toBe(0x001a_f8f8)
  for (const value of [2, 6, 6, 0, 4]) put(0x93, value)
  expect(power.requests).toEqual(['reset', 'reset'])
})

test('a state is taken back with RAM that is not seen, and a wrong one changes nothing', () => {
  const one = make()
  one.put(0x5a, 0x33)
  one.memory.fill(9, 0, 0x4000)
  one.put(0x5a, 0x30)
  one.put(0x72, 0x1a)
  const state = structuredClone(one.device.save())
  const other = make()
  other.device.restore(state)
  expect(other.device.save()).toEqual(state)
  other.put(0x5a, 0x33)
  expect(other.memory.subarray(0, 0x4000).every((byte) => byte === 9)).toBe(true)
  const now = other.device.save()
  for (const wrong of [{}, { ...state, shadow: [] }, { ...state, shadow: state.shadow.map(() => new Uint8Array(3)) }, { ...state, registers: {} }]) {
    expect(() => { other.device.restore(wrong as I440fxState) }).toThrow(expect.objectContaining({ code: 'state' }))
  }
  expect(other.device.save()).toEqual(now)
})
