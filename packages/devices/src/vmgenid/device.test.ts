import { fakeEntropy, testDevice } from '@machinist/registers/testing'
import { expect, test } from 'vitest'
import { vmgenid } from '../index.ts'

function make() {
  const dut = testDevice(vmgenid, undefined, { backends: { entropy: fakeEntropy() } })
  return { ...dut, id: (): number[] => [0, 4, 8, 12].map((at) => dut.read(at, 4)), interrupt: (): boolean | undefined => dut.context.irq.changed?.level }
}

test('a generation ID is random at power-on, stays over a reset, and can be read in any way but not written', () => {
  const { device, read, write, id, interrupt } = make()
  const first = id()
  expect(new Set(first).size).toBe(4)
  expect(interrupt()).toBe(false)
  for (let at = 0; at < 16; at++) {
    write(at & ~3, 0xffff_ffff, 4)
    expect(read(at, 1)).toBe(((first[at >> 2] ?? 0) >>> ((at & 3) * 8)) & 0xff)
  }
  expect(read(0x10, 4)).toBe(0)
  device.reset('warm')
  expect(id()).toEqual(first)
  device.reset('cold')
  expect(id()).not.toEqual(first)
})

test('a copy has another, and says so until it is read', () => {
  const { device, id, interrupt } = make()
  const first = id()
  device.forked?.({ number: 1, meets: () => false })
  expect(interrupt()).toBe(true)
  const saved = structuredClone(device.save())
  const second = id()
  expect(second).not.toEqual(first)
  expect(interrupt()).toBe(false)
  device.reset('cold')
  device.restore(saved)
  expect(interrupt()).toBe(true)
  expect(id()).toEqual(second)
  expect(() => { device.restore({ ...saved, changed: 1 } as never) }).toThrow(expect.objectContaining({ code: 'state' }))
  expect(() => vmgenid.configure({ id: 1 }, 'gen')).toThrow(expect.objectContaining({ part: 'gen.id', code: 'config' }))
})
