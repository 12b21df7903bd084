import type { FirmwareInfo } from '@machinist/api'
import { testDevice } from '@machinist/registers/testing'
import { expect, test } from 'vitest'
import { fwCfg, type FwCfgState } from '../index.ts'

const RAM = 0x8000_0000
const info: FirmwareInfo = {
  memory: [{ base: 0, size: 0xa_0000 }, { base: 2 ** 32, size: 2 ** 30 }], reserved: [{ base: 0xb000_0000, size: 2 ** 28 }], harts: 3,
  files: [{ name: 'opt/z', bytes: Uint8Array.of(1, 2, 3, 4, 5) }, { name: 'opt/big', bytes: new Uint8Array(3 * 2 ** 20).fill(7) }],
}

function make(space: 'pio' | 'mmio' = 'pio') {
  const dut = testDevice(fwCfg, { space }, { backends: {}, memorySize: 4 * 2 ** 20 })
  const { device, context } = dut
  device.reset('cold')
  device.firmware?.(info)
  const view = new DataView(context.memory.buffer)
  const select = (key: number): void => { device.write(0, space === 'pio' ? 0 : 8, 2, space === 'pio' ? key : (key & 0xff) << 8 | key >>> 8) }
  const bytes = (count: number): Uint8Array => Uint8Array.from({ length: count }, () => device.read(0, space === 'pio' ? 1 : 0, 1))
  const swap = (value: number): number => new DataView(Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value).buffer).getUint32(0, true)
  return {
    dut, device, memory: context.memory, view, select, bytes,
    item: (key: number, count: number) => {
      select(key)
      return bytes(count)
    },
    /** A DMA request at the beginning of RAM, and how it ended. */
    request(control: number, length: number, address: number): number {
      view.setUint32(0, control)
      view.setUint32(4, length)
      view.setBigUint64(8, BigInt(address))
      const at = space === 'pio' ? 4 : 16
      device.write(0, at, 4, 0)
      device.write(0, at + 4, 4, swap(RAM))
      return view.getUint32(0)
    },
  }
}

const text = (bytes: Uint8Array): string => String.fromCharCode(...bytes).replace(/\0.*$/, '')

test('firmware finds files by their directory, RAM by a map of memory, and processors', () => {
  for (const space of ['pio', 'mmio'] as const) {
    const { item, select, bytes, device } = make(space)
    expect([text(item(0, 4)), [...item(1, 4)], [...item(5, 4)], [...item(3, 8)]]).toEqual(['QEMU', [3, 0, 0, 0], [3, 0, 0, 0], [0, 0, 0x0a, 0x40, 0, 0, 0, 0]])
    select(0x19)
    expect([...bytes(4)]).toEqual([0, 0, 0, 3])
    const files = Array.from({ length: 3 }, () => {
      const entry = bytes(64)
      const view = new DataView(entry.buffer)
      return [text(entry.subarray(8)), view.getUint32(0), view.getUint16(4)] as const
    })
    expect(files).toEqual([['etc/e820', 60, 0x20], ['opt/big', 3 * 2 ** 20, 0x21], ['opt/z', 5, 0x22]])
    expect([...item(0x22, 7)]).toEqual([1, 2, 3, 4, 5, 0, 0])
    const map = new DataView(item(0x20, 60).buffer)
    expect([0, 20, 40].map((at) => [map.getBigUint64(at, true), map.getBigUint64(at + 8, true), map.getUint32(at + 16, true)])).toEqual([
      [0n, 0xa_0000n, 1], [2n ** 32n, 2n ** 30n, 1], [0xb000_0000n, 2n ** 28n, 2],
    ])
    const dma = space === 'pio' ? 4 : 16
    expect([device.read(0, dma, 4), device.read(0, dma + 4, 4)].map((value) => text(Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24)))).toEqual(['QEMU', ' CFG'])
  }
})

test('DMA selects, reads and skips; what is not RAM, and writing, is an error', () => {
  const { request, memory, bytes } = make()
  expect(request(0x0022_000a, 3, RAM + 0x100)).toBe(0)
  expect([...memory.subarray(0x100, 0x104), ...bytes(1)]).toEqual([1, 2, 3, 0, 4])
  expect(request(0x0022_000c, 4, 0)).toBe(0)
  expect([...bytes(2)]).toEqual([5, 0])
  memory.fill(0xaa, 0x100, 0x108)
  expect(request(0x0022_000a, 8, RAM + 0x100)).toBe(0)
  expect([...memory.subarray(0x100, 0x108)]).toEqual([1, 2, 3, 4, 5, 0, 0, 0])
  expect([request(0x0022_000a, 8, 0x100), request(0x0022_0018, 1, RAM + 0x100)]).toEqual([1, 1])
})

test('a long request takes turns, and goes on in a machine that was saved meanwhile', () => {
  const one = make()
  expect(one.request(0x0021_000a, 3 * 2 ** 20, RAM + 2 ** 20)).toBe(0x0021_000a)
  const other = make()
  other.memory.set(one.memory)
  other.device.restore(structuredClone(one.device.save()))
  expect(other.device.save().request).toEqual({ at: RAM, address: RAM + 2 ** 21, left: 2 ** 21 })
  other.dut.advance(1)
  expect([other.view.getUint32(0), other.memory.subarray(2 ** 20).every((byte) => byte === 7)]).toEqual([0, true])
  one.device.reset('warm')
  one.dut.advance(1)
  expect([one.view.getUint32(0), one.memory.at(-1)]).toEqual([0x0021_000a, 0])
})

test('a wrong state changes nothing', () => {
  const { device } = make()
  device.firmware?.({ ...info, files: [{ name: 'a', bytes: Uint8Array.of(1) }] })
  const state = device.save()
  for (const wrong of [{}, { ...state, key: -1 }, { ...state, files: [{ name: 'x', bytes: 'y' }] }, { ...state, files: [{ name: 'x'.repeat(60), bytes: new Uint8Array(1) }] }, { ...state, request: {} }]) {
    expect(() => { device.restore(wrong as FwCfgState) }).toThrow(expect.objectContaining({ code: 'state' }))
    expect(device.save()).toEqual(state)
  }
})
