import { testDevice, type TestDevice } from '@machinist/registers/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { HartsConfig, NoBackends } from '../harts.ts'
import { aclintMswi, aclintMtimer, aclintSswi, clint, type AclintIrq, type AclintSpec, type AclintState } from '../index.ts'

type Dut = TestDevice<HartsConfig, AclintState, AclintIrq, NoBackends>
const make = (spec: AclintSpec, config: unknown = {}): Dut =>
  testDevice<HartsConfig, AclintState, AclintIrq, NoBackends>(spec, config, { backends: {}, frequency: 10_000_000 })

/** Where each register is, in a device of either layout. */
const layouts = [
  { spec: clint, timeRegion: 0, time: 0xbff8, compareRegion: 0, compare: 0x4000 },
  { spec: aclintMtimer, timeRegion: 0, time: 0, compareRegion: 1, compare: 0 },
] as const

describe.each(layouts)('the machine timer of $spec.kind', ({ spec, timeRegion, time, compareRegion, compare }) => {
  const setCompare = (dut: Dut, hart: number, ticks: bigint): void => {
    dut.write(compare + 8 * hart, Number(ticks & 0xffff_ffffn), 4, compareRegion)
    dut.write(compare + 8 * hart + 4, Number(ticks >> 32n), 4, compareRegion)
  }
  const getTime = (dut: Dut): bigint => BigInt(dut.read(time, 4, timeRegion)) | BigInt(dut.read(time + 4, 4, timeRegion)) << 32n
  const setTime = (dut: Dut, ticks: bigint): void => {
    dut.write(time, Number(ticks & 0xffff_ffffn), 4, timeRegion)
    dut.write(time + 4, Number(ticks >> 32n), 4, timeRegion)
  }

  test('mtime is the machine\'s counter', () => {
    const dut = make(spec)
    dut.advance(1_000_000)
    expect(getTime(dut)).toBe(10_000n)
    setTime(dut, 0x1_2345_6789n)
    expect(dut.context.counter.read()).toBe(0x1_2345_6789n)
    dut.device.reset('warm')
    expect(getTime(dut)).toBe(0n)
  })

  test('the interrupt comes at the very tick and goes when the comparison does', () => {
    const dut = make(spec, { harts: 2 })
    const line = dut.context.irq['hart1.mtip']
    expect(line?.level).toBe(false)
    setCompare(dut, 1, 50n)
    dut.advance(4_999)
    expect(line?.level).toBe(false)
    dut.advance(1)
    expect(line?.level).toBe(true)
    expect(dut.context.irq['hart0.mtip']?.level).toBe(false)
    setCompare(dut, 1, 51n)
    expect(line?.level).toBe(false)
    setTime(dut, 0xffff_ffff_ffffn)
    expect(line?.level).toBe(true)
    setTime(dut, 0n)
    expect(line?.level).toBe(false)
    dut.advance(5_100)
    expect(line?.level).toBe(true)
  })

  test('whatever is written when, each output is mtime >= mtimecmp, unsigned', () => {
    const ticks = fc.oneof(fc.bigInt(0n, 2000n), fc.bigInt(0n, (1n << 64n) - 1n))
    const step = fc.oneof(
      fc.record({ op: fc.constant('compare' as const), hart: fc.nat(1), ticks }),
      fc.record({ op: fc.constant('time' as const), ticks: fc.oneof(fc.bigInt(0n, 2000n), fc.bigInt(0n, (1n << 64n) - 1_000_000n)) }),
      fc.record({ op: fc.constant('advance' as const), by: fc.nat(100_000) }),
      fc.record({ op: fc.constant('snapshot' as const) }),
    )
    fc.assert(fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const dut = make(spec, { harts: 2 })
      const compares = [(1n << 64n) - 1n, (1n << 64n) - 1n]
      for (const each of steps) {
        if (each.op === 'compare') setCompare(dut, each.hart, compares[each.hart] = each.ticks)
        else if (each.op === 'time') setTime(dut, each.ticks)
        else if (each.op === 'advance') dut.advance(each.by)
        else dut.device.restore(structuredClone(dut.device.save()))
        const now = dut.context.counter.read()
        expect([dut.context.irq['hart0.mtip']?.level, dut.context.irq['hart1.mtip']?.level]).toEqual(compares.map((at) => now >= at))
      }
    }), { numRuns: 200 })
  })

  test('a saved comparison fires in another machine', () => {
    const first = make(spec)
    setCompare(first, 0, 100n)
    const second = make(spec)
    second.device.restore(structuredClone(first.device.save()))
    second.advance(10_000)
    expect(second.context.irq['hart0.mtip']?.level).toBe(true)
    expect(() => { second.device.restore({ MTIMECMP: [0] }) }).toThrow(expect.objectContaining({ code: 'state' }))
  })
})

describe.each([{ spec: clint }, { spec: aclintMswi }])('the software interrupts of $spec.kind', ({ spec }) => {
  test('bit 0 of msip is the level, other bits are wired to zero', () => {
    const dut = make(spec, { harts: 3 })
    dut.write(8, 0xffff_ffff)
    expect(dut.read(8)).toBe(1)
    expect([0, 1, 2].map((hart) => dut.context.irq[`hart${hart}.msip`]?.level)).toEqual([false, false, true])
    const copy = make(spec, { harts: 3 })
    copy.device.restore(dut.device.save())
    expect(copy.context.irq['hart2.msip']?.level).toBe(true)
    dut.write(8, 0xffff_fffe)
    expect(dut.context.irq['hart2.msip']?.level).toBe(false)
    dut.write(4, 1)
    dut.device.reset('warm')
    expect(dut.context.irq['hart1.msip']?.level).toBe(false)
  })
})

test('setssip sends an edge and reads as zero', () => {
  const dut = make(aclintSswi, { harts: 2 })
  dut.write(4, 1)
  dut.write(4, 0)
  dut.write(4, 3)
  expect(dut.context.irq['hart1.ssip']?.edges).toBe(2)
  expect(dut.context.irq['hart0.ssip']?.edges).toBe(0)
  expect(dut.read(4)).toBe(0)
  expect(dut.context.warnings).toEqual([])
  dut.write(8, 1)
  expect(dut.context.warnings).toHaveLength(1)
})

test.each([clint, aclintMtimer, aclintMswi, aclintSswi])('nothing a guest does to $kind throws or gives a number out of range', (spec) => {
  const dut = make(spec, { harts: 4095 })
  const regions = spec.regions(dut.config)
  fc.assert(fc.property(fc.nat(regions.length - 1), fc.nat(0xffff), fc.constantFrom(1, 2, 4), fc.integer({ min: 0, max: 0xffff_ffff }), fc.nat(1000),
    (region, at, width, value, time) => {
      const offset = at % (regions[region]?.size ?? 1)
      dut.write(offset, value % 2 ** (8 * width), width, region)
      const read = dut.read(offset, width, region)
      expect(Number.isInteger(read) && read >= 0 && read < 2 ** (8 * width)).toBe(true)
      dut.advance(time)
    }), { numRuns: 300 })
})

test('configuration and routes', () => {
  expect(clint.irqs(clint.configure({ harts: 2 }, 'clint'))).toEqual(['hart0.msip', 'hart0.mtip', 'hart1.msip', 'hart1.mtip'])
  expect(clint.defaultRoute?.('hart0.mtip', clint.configure({ cpu: 'cpu1' }, 'clint'))).toEqual({ to: 'cpu1', line: 'hart0.mtip' })
  expect(() => clint.configure({ harts: 4096 }, 'clint')).toThrow(expect.objectContaining({ code: 'config', part: 'clint.harts', value: 4096 }))
  expect(() => aclintSswi.configure({ hart: 1 }, 's')).toThrow(expect.objectContaining({ part: 's.hart' }))
})
