import { isMachinistError, type Width } from '@machinist/api'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AddressSpace, type BusTarget } from './index.ts'

interface Access {
  readonly owner: string
  readonly region: number
  readonly offset: number
  readonly width: Width
  readonly value?: number
}

function recorder(owner: string, log: Access[]): BusTarget {
  return {
    read(region, offset, width) {
      log.push({ owner, region, offset, width })
      return offset & 0xff
    },
    write(region, offset, width, value) { log.push({ owner, region, offset, width, value }) },
  }
}

const range = fc.record({ owner: fc.constantFrom('a', 'b', 'c', 'd'), base: fc.nat(200), size: fc.integer({ min: 1, max: 40 }) })
const access = fc.record({ address: fc.nat(260), width: fc.constantFrom<Width>(1, 2, 4), write: fc.boolean() })

test('every access reaches the one range that holds all of it, or nobody; like a list searched from its start', () => {
  fc.assert(fc.property(fc.array(range, { maxLength: 12 }), fc.array(access, { maxLength: 60 }), fc.constantFrom('a', 'b', 'c', 'd', ''), (ranges, accesses, gone) => {
    const log: Access[] = []
    const space = new AddressSpace('test')
    let model: { owner: string; base: number; size: number; region: number }[] = []
    ranges.forEach(({ owner, base, size }, region) => {
      const clash = model.find((other) => base < other.base + other.size && other.base < base + size)
      const attach = (): void => { space.attach(owner, base, size, region, recorder(owner, log)) }
      if (clash === undefined) {
        attach()
        model.push({ owner, base, size, region })
        model.sort((a, b) => a.base - b.base)
        return
      }
      expect(attach).toThrow(expect.objectContaining({ code: 'overlap', part: owner }))
      expect(attach).toThrow(clash.owner)
    })
    const check = (): void => {
      for (const { address, width, write } of accesses) {
        const found = model.find(({ base, size }) => address >= base && address + width <= base + size)
        log.length = 0
        if (write) expect(space.write(address, width, 7)).toBe(found !== undefined)
        else expect(space.read(address, width)).toBe(found === undefined ? -1 : (address - found.base) & 0xff)
        const expected = found && { owner: found.owner, region: found.region, offset: address - found.base, width, ...(write ? { value: 7 } : {}) }
        expect(log).toEqual(expected === undefined ? [] : [expected])
        expect(space.ownerAt(address)).toBe(model.find(({ base, size }) => address >= base && address < base + size)?.owner ?? null)
      }
    }
    check()
    space.detach(gone)
    model = model.filter(({ owner }) => owner !== gone)
    check()
  }), { numRuns: 300 })
})

describe('ranges', () => {
  const target = recorder('x', [])
  test.each([[NaN, 4], [-4, 4], [0, 0], [0, -1], [0.5, 4], [0, Infinity], [2 ** 53, 4]])('%d with %d bytes is refused', (base, size) => {
    try {
      new AddressSpace('test').attach('x', base, size, 0, target)
    } catch (error) {
      expect(isMachinistError(error) && error.code).toBe('bad-range')
      return
    }
    throw new Error('nothing was thrown')
  })
  test('beyond 32 bits are found', () => {
    const space = new AddressSpace('test')
    space.attach('x', 2 ** 40, 0x1000, 0, target)
    expect(space.read(2 ** 40 + 0xffc, 4)).toBe(0xfc)
    expect(space.read(2 ** 40 + 0x1000, 4)).toBe(-1)
    expect(space.ranges).toEqual([{ owner: 'x', base: 2 ** 40, size: 0x1000, region: 0 }])
  })
})

test('time is told of accesses that somebody answers, before they happen', () => {
  const space = new AddressSpace('test')
  const order: string[] = []
  space.onAccess = () => order.push('time')
  space.attach('x', 0x100, 4, 0, { read: () => order.push('read'), write: () => { order.push('write') } })
  space.read(0x100, 4)
  space.write(0x100, 4, 1)
  space.read(0x104, 4)
  expect(order).toEqual(['time', 'read', 'time', 'write'])
})

test('the halves of an access of 8 bytes are at one instant', () => {
  const space = new AddressSpace('test')
  const order: string[] = []
  space.onAccess = () => order.push('time')
  space.attach('x', 0x100, 8, 0, { read: (_, offset) => order.push(`read ${offset}`), write: (_, offset) => { order.push(`write ${offset}`) } })
  space.read(0x100, 4)
  space.read(0x104, 4, true)
  space.write(0x100, 4, 1)
  space.write(0x104, 4, 1, true)
  expect(order).toEqual(['time', 'read 0', 'read 4', 'time', 'write 0', 'write 4'])
})
