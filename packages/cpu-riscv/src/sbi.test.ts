import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FirmwareEvent, HsmState, SbiExtension } from '@machinist/sbi'
import { encode } from './isa/index.ts'
import type { Hart } from './hart.ts'
import { RAM, testMachine, type TestMachine } from './test-machine.ts'

const ECALL = encode('ecall', {})
const WFI = encode('wfi', {})
const DATA = RAM + 0x10_0000
const u64 = (value: bigint | number): bigint => BigInt.asUintN(64, BigInt(value))

interface Setup {
  readonly machine: TestMachine
  /** An ECALL on hart `index`: a0 and a1. */
  call(extension: number, id: number, args?: readonly (bigint | number)[], index?: number): readonly [bigint, bigint]
  hart(index: number): Hart
}

function setup(harts = 4): Setup {
  const machine = testMachine({ firmware: 'sbi', harts, translate: 'off' })
  machine.program([ECALL, WFI, WFI])
  const hart = (index: number): Hart => {
    const found = machine.cpu.vcpus[index]
    if (!found) throw new RangeError('no hart')
    return found
  }
  return {
    machine, hart,
    call(extension, id, args = [], index = 0) {
      const caller = hart(index)
      caller.record.set64('pc', BigInt(RAM))
      for (let x = 10; x < 18; x++) caller.setX(x, u64(args[x - 10] ?? 0x77))
      caller.setX(16, BigInt(id))
      caller.setX(17, BigInt(extension))
      caller.run(1, true)
      return [caller.getX(10), caller.getX(11)]
    },
  }
}

const pendingIpi = (hart: Hart): boolean => (hart.record.get64('mip') & 2n) !== 0n

describe('calls of version 0.1', () => {
  test('are told to be there, and no others', () => {
    const { call } = setup()
    const there = Array.from({ length: 16 }, (_, number) => call(SbiExtension.base, 3, [number])[1])
    expect(there.map(Number)).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    expect(Object.entries(SbiExtension).filter(([, id]) => call(SbiExtension.base, 3, [id])[1] !== 1n)).toEqual([])
    for (const id of [0x48534d + 1, 0x46574654, 0x535345, 0x1_0000_0010]) expect(call(SbiExtension.base, 3, [id])).toEqual([0n, 0n])
  })

  test('set the timer, and clear what is pending; no register but a0 changes', () => {
    const { machine, call, hart } = setup()
    expect(call(SbiExtension.legacySetTimer, 0x99, [1000, 0xabc])).toEqual([0n, 0xabcn])
    expect(hart(0).record.get64('stimecmp')).toBe(1000n)
    machine.time = 99_999
    expect(hart(0).deadline()).toBe(100_000)
    hart(0).raiseSoftwareInterrupt()
    expect([call(SbiExtension.legacyClearIpi, 0, [5, 6]), pendingIpi(hart(0)), call(SbiExtension.legacyClearIpi, 0, [5, 6])]).toEqual([[1n, 6n], false, [0n, 6n]])
  })

  test('find the harts in a word of virtual memory, wherever it is', () => {
    fc.assert(fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.integer({ min: 0, max: 8191 - 8 }), fc.boolean(), (mask, offset, paged) => {
      const { machine, call, hart } = setup()
      // Two pages that follow one another in virtual memory alone: a root, and tables of two levels below it (4.4).
      const [root, middle, leaves] = [DATA + 0x10_000, DATA + 0x11_000, DATA + 0x12_000]
      const pages = [DATA + 0x5000, DATA + 0x2000] as const
      const entry = (table: number, index: number, to: number, flags: number): void => {
        const bytes = new Uint8Array(8)
        new DataView(bytes.buffer).setBigUint64(0, BigInt(to) >> 12n << 10n | BigInt(flags), true)
        machine.memory.write(table + 8 * index, bytes)
      }
      entry(root, 2, RAM, 0xcf)
      entry(root, 1, middle, 1)
      entry(middle, 0, leaves, 1)
      pages.forEach((page, index) => entry(leaves, index, page, 0xc7))
      const bytes = new Uint8Array(8)
      new DataView(bytes.buffer).setBigUint64(0, mask, true)
      if (paged) hart(0).record.set64('satp', 8n << 60n | BigInt(root) >> 12n)
      hart(0).refresh()
      for (const [index, byte] of bytes.entries()) {
        const at = offset + index
        machine.memory.write(paged ? pages[at < 4096 ? 0 : 1] + at % 4096 : DATA + at, Uint8Array.of(byte))
      }
      const pointer = paged ? 0x4000_0000 + offset : DATA + offset
      expect(call(SbiExtension.legacySendIpi, 7, [pointer, 8])).toEqual([0n, 8n])
      expect([0, 1, 2, 3].map((index) => pendingIpi(hart(index)))).toEqual([0n, 1n, 2n, 3n].map((index) => ((mask >> index) & 1n) === 1n))
      for (const number of [SbiExtension.legacyRemoteFenceI, SbiExtension.legacyRemoteSfenceVma, SbiExtension.legacyRemoteSfenceVmaAsid]) {
        expect(call(number, 0, [pointer, 0, 4096, 1])).toEqual([0n, 0n])
      }
    }), { numRuns: 60 })
  })

  test('reach all harts without a mask, and fail where no memory is', () => {
    const { call, hart } = setup()
    expect(call(SbiExtension.legacySendIpi, 0, [0])[0]).toBe(0n)
    expect([0, 1, 2, 3].every((index) => pendingIpi(hart(index)))).toBe(true)
    for (const pointer of [0x1000, RAM + 8 * 2 ** 20 - 4, u64(-4n), u64(-1n)]) expect(call(SbiExtension.legacySendIpi, 0, [pointer])[0], String(pointer)).toBe(u64(-5n))
  })
})

describe('a hart that is suspended', () => {
  test.each([[0, RAM + 4], [0x8000_0000, RAM + 8]] as const)('of type %x is SUSPENDED until an interrupt, and after a restore', (type, pc) => {
    const { call, hart } = setup()
    const status = (index: number): number => Number(call(SbiExtension.hsm, 2, [index])[1])
    expect([0, 1, 2, 3].map(status)).toEqual([HsmState.started, HsmState.stopped, HsmState.stopped, HsmState.stopped])
    expect(call(SbiExtension.hsm, 0, [1, RAM, 5])[0]).toBe(0n)
    expect(status(1)).toBe(HsmState.started)
    hart(1).record.set64('mie', 2n)
    call(SbiExtension.hsm, 3, [type, RAM + 8, 9], 1)
    expect([status(1), hart(1).runnable]).toEqual([HsmState.suspended, false])
    expect(call(SbiExtension.hsm, 0, [1, RAM, 5])[0]).toBe(u64(-6n))
    const saved = structuredClone(hart(1).save())
    for (const restored of [false, true]) {
      if (restored) {
        hart(1).restore(saved)
        expect(status(1)).toBe(HsmState.suspended)
      }
      expect(call(SbiExtension.ipi, 0, [2, 0])).toEqual([0n, 0n])
      expect([status(1), hart(1).runnable]).toEqual([HsmState.suspended, true])
      hart(1).record.set64('mie', 2n)
      hart(1).run(0, true)
      expect([status(1), hart(1).record.get64('pc')]).toEqual([HsmState.started, BigInt(pc)])
      expect(hart(1).getX(11)).toBe(type === 0 ? 0n : 9n)
    }
  })

  test('sleeping in WFI is none', () => {
    const { call, hart } = setup()
    hart(0).record.set64('pc', BigInt(RAM + 4))
    hart(0).run(1, true)
    expect(hart(0).runnable).toBe(false)
    hart(0).record.set('waiting', 0)
    expect(call(SbiExtension.hsm, 2, [0])[1]).toBe(0n)
  })
})

describe('performance counters', () => {
  const INVALID = u64(-3n)
  const event = (code: number): number => 15 << 16 | code
  const all = (1n << 19n) - 1n

  test('of the hart are cycle and instret, which run by themselves until they are taken', () => {
    const { call, hart } = setup()
    const pmu = (id: number, ...args: (number | bigint)[]): readonly [bigint, bigint] => call(SbiExtension.pmu, id, args)
    expect(pmu(0)).toEqual([0n, 19n])
    expect([0, 1, 2, 3, 19].map((index) => pmu(1, index))).toEqual([[0n, 0x3_fc00n], [INVALID, 0n], [0n, 0x3_fc02n], [0n, 1n << 63n | 0x3_f000n], [INVALID, 0n]])
    const instret = (): bigint => hart(0).record.get64('instretOffset') + (((hart(0).record.getNumber('mcountinhibit') >> 2) & 1) === 0 ? BigInt(hart(0).retired) : 0n)
    const before = instret()
    expect(pmu(2, 0, all, 0, 2)).toEqual([0n, 2n])
    const stopped = instret()
    expect(stopped).toBeGreaterThanOrEqual(before)
    expect([pmu(4, 2, 1, 0)[0], instret()]).toEqual([u64(-8n), stopped])
    expect([pmu(3, 2, 1, 1, 5000)[0], pmu(3, 2, 1, 1, 9)[0]]).toEqual([0n, u64(-7n)])
    expect(Number(instret())).toBeGreaterThanOrEqual(5000)
    expect(Number(instret())).toBeLessThan(5004)
    pmu(4, 2, 1, 0)
    const kept = instret()
    pmu(0)
    expect(instret()).toBe(kept)
    // Without an initial value it goes on; given back, it runs.
    expect(pmu(3, 2, 1, 0, 9)[0]).toBe(0n)
    expect(instret()).toBeGreaterThanOrEqual(kept)
    expect([pmu(4, 2, 1, 1)[0], pmu(3, 2, 1, 0)[0]]).toEqual([0n, INVALID])
    const running = instret()
    pmu(0)
    expect(instret()).toBeGreaterThan(running)
    // Whatever else hardware may count is not there, nor are snapshots.
    for (const code of [0, 3, 10, 1 << 16, 2 << 16, event(0), event(14)]) expect(pmu(2, 0, all, 0, code)[0]).toBe(u64(-2n))
    expect([pmu(7, RAM, 0, 0)[0], pmu(3, 0, 1, 2)[0], pmu(2, 0, 0, 0, 1)[0], pmu(2, 0, 1n << 19n, 0, 1)[0], pmu(2, u64(-1n), 1, 0, 1)[0], pmu(5, 0)[0]])
      .toEqual([u64(-2n), u64(-9n), INVALID, INVALID, INVALID, INVALID])
  })

  test('of the SBI count its calls, on each hart by itself, and are kept over a save', () => {
    const codes = Object.values(FirmwareEvent)
    const step = fc.oneof(
      fc.record({ kind: fc.constantFrom('config', 'start', 'stop', 'reset', 'timer', 'save'), counter: fc.integer({ min: 3, max: 8 }), code: fc.constantFrom(...codes), hart: fc.integer({ min: 0, max: 1 }) }),
      fc.record({ kind: fc.constantFrom('ipi', 'fence.i', 'sfence', 'asid'), counter: fc.integer({ min: 0, max: 3 }), code: fc.constant(0), hart: fc.integer({ min: 0, max: 1 }) }),
    )
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { call, hart } = setup(2)
      call(SbiExtension.hsm, 0, [1, RAM, 0])
      const model = [0, 1].map(() => Array.from({ length: 19 }, () => ({ code: -1, on: false, value: 0n })))
      const happened = (on: number, code: number): void => {
        for (const counter of model[on] ?? []) if (counter.on && counter.code === code) counter.value++
      }
      for (const { kind, counter, code, hart: index } of steps) {
        const own = model[index]?.[counter]
        const pmu = (id: number, ...args: number[]): bigint => call(SbiExtension.pmu, id, args, index)[0]
        const remote = (extension: number, id: number, sent: number): void => {
          expect(call(extension, id, [counter, 0, 0, 0, 0], index)[0]).toBe(0n)
          happened(index, sent)
          for (const target of [0, 1]) if ((counter >> target) & 1) happened(target, sent + 1)
        }
        if (own === undefined) continue
        if (kind === 'config') {
          // The first of the two that is free.
          const two = [own, model[index]?.[counter + 1]].find((each) => each?.code === -1)
          expect(pmu(2, counter, 3, 2, event(code))).toBe(two === undefined ? u64(-2n) : 0n)
          if (two) Object.assign(two, { code, value: 0n })
        } else if (kind === 'start') {
          expect(pmu(3, counter, 1, 0)).toBe(own.code < 0 ? INVALID : own.on ? u64(-7n) : 0n)
          own.on = own.code >= 0
        } else if (kind === 'stop' || kind === 'reset') {
          expect(pmu(4, counter, 1, kind === 'reset' ? 1 : 0)).toBe(own.code >= 0 && own.on ? 0n : u64(-8n))
          own.on = false
          if (kind === 'reset') own.code = -1
        } else if (kind === 'timer') {
          call(SbiExtension.time, 0, [1e9], index)
          happened(index, FirmwareEvent.setTimer)
        } else if (kind === 'save') hart(index).restore(structuredClone(hart(index).save()))
        else if (kind === 'ipi') remote(SbiExtension.ipi, 0, FirmwareEvent.ipiSent)
        else if (kind === 'fence.i') remote(SbiExtension.rfence, 0, FirmwareEvent.fenceISent)
        else if (kind === 'sfence') remote(SbiExtension.rfence, 1, FirmwareEvent.sfenceVmaSent)
        else remote(SbiExtension.rfence, 2, FirmwareEvent.sfenceVmaAsidSent)
      }
      for (const index of [0, 1]) {
        for (const [at, { code, value }] of model[index]?.entries() ?? []) {
          if (at >= 3 && code >= 0) expect(call(SbiExtension.pmu, 5, [at], index)).toEqual([0n, value])
        }
      }
    }), { numRuns: 100 })
  })

  test('take no state that cannot be', () => {
    const { hart } = setup()
    const good = hart(0).save() as { pmu: { events: number[]; running: boolean[]; values: string[] } }
    for (const bad of [{ events: [] }, { running: [1] }, { values: good.pmu.values.map(() => '-1') }, { events: good.pmu.events.map(() => 2 ** 20) }]) {
      expect(() => hart(0).restore({ ...good, pmu: { ...good.pmu, ...bad } })).toThrow()
    }
    expect(() => hart(0).restore({ ...good, resume: {} })).toThrow()
  })
})
