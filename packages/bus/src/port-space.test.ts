import type { Width } from '@machinist/api'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PortSpace } from './index.ts'

const range = fc.record({ base: fc.nat(60), size: fc.integer({ min: 1, max: 8 }) })
const access = fc.record({ port: fc.nat(70), width: fc.constantFrom<Width>(1, 2, 4), value: fc.nat(0xffff_ffff), write: fc.boolean() })

test('each byte of an access reaches whoever has its port, at one instant; the others read as ones', () => {
  fc.assert(fc.property(fc.array(range, { maxLength: 12 }), fc.array(access, { maxLength: 40 }), (ranges, accesses) => {
    const space = new PortSpace('ports')
    const bytes = new Uint8Array(128)
    const has = new Uint8Array(128)
    let instants = 0
    space.onAccess = () => { instants++ }
    for (const { base, size } of ranges) {
      if (has.subarray(base, base + size).some(Boolean)) continue
      has.fill(1, base, base + size)
      const view = new DataView(bytes.buffer, base, size)
      space.attach('part', base, size, 0, {
        read: (_region, offset, width) => width === 4 ? view.getUint32(offset, true) : width === 2 ? view.getUint16(offset, true) : view.getUint8(offset),
        write(_region, offset, width, value) {
          expect(value).toBeLessThan(2 ** (8 * width))
          if (width === 4) view.setUint32(offset, value, true)
          else if (width === 2) view.setUint16(offset, value, true)
          else view.setUint8(offset, value)
        },
      })
    }
    const model = new Uint8Array(128)
    for (const { port, width, value, write } of accesses) {
      const before = instants
      const mine = value % 2 ** (8 * width)
      if (write) {
        for (let byte = 0; byte < width; byte++) if (has[port + byte] === 1) model[port + byte] = mine >>> (8 * byte)
        space.write(port, width, mine)
      } else {
        let want = 0
        for (let byte = width - 1; byte >= 0; byte--) want = want * 256 + (has[port + byte] === 1 ? model[port + byte] ?? 0 : 0xff)
        expect(space.read(port, width)).toBe(want)
      }
      expect(instants).toBe(before + 1)
      expect(bytes).toEqual(model)
    }
  }))
})

test('what is for one width alone is in front of the others, and they have the rest', () => {
  const space = new PortSpace('ports')
  const log: string[] = []
  const target = (name: string) => ({
    read(_region: number, offset: number, width: Width) {
      log.push(`${name} ${offset} ${width}`)
      return 1
    },
    write(_region: number, offset: number, width: Width) { log.push(`${name} ${offset} ${width}`) },
  })
  space.attach('address', 0xcf8, 4, 0, target('address'), 4)
  space.attach('reset', 0xcf9, 1, 0, target('reset'))
  expect([space.read(0xcf8, 4), space.read(0xcf9, 1), space.read(0xcf8, 2), space.read(0xcfa, 2), space.read(0xcf9, 4)]).toEqual([1, 1, 0x1ff, 0xffff, 0xffff_ff01])
  space.write(0xcf8, 4, 5)
  space.write(0xcf8, 2, 5)
  expect(log).toEqual(['address 0 4', 'reset 0 1', 'reset 0 1', 'reset 0 1', 'address 0 4', 'reset 0 1'])
  expect(space.ranges.map(({ owner }) => owner)).toEqual(['address', 'reset'])
  expect(() => { space.attach('second', 0xcf8, 4, 0, target('second'), 4) }).toThrow(expect.objectContaining({ code: 'overlap' }))
  space.detach('address')
  expect(space.read(0xcf8, 4)).toBe(0xffff_01ff)
})

test('there are 65536 ports', () => {
  const space = new PortSpace('ports')
  const target = { read: () => 7, write() {} }
  space.attach('last', 0xfffc, 4, 0, target)
  expect(space.ranges).toEqual([{ owner: 'last', base: 0xfffc, size: 4, region: 0 }])
  expect([space.read(0xffff, 1), space.read(0xffff, 2), space.ownerAt(0xffff), space.ownerAt(0)]).toEqual([7, 0xff07, 'last', null])
  expect(() => { space.attach('more', 0x1_0000, 4, 0, target) }).toThrow(expect.objectContaining({ code: 'bad-range', part: 'more' }))
  expect(() => { space.attach('more', 0xffff, 1, 0, target) }).toThrow(expect.objectContaining({ code: 'overlap' }))
  space.detach('last')
  expect(space.read(0xfffc, 4)).toBe(0xffff_ffff)
})
