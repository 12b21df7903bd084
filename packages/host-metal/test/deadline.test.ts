import { expect, it } from 'vitest'
import type { Native } from '../src/native.ts'
import { VcpuRegisters } from '../src/vcpu/registers.ts'
import { HardwareHart, type HartsOf } from '../src/vcpu/vcpu.ts'
import { VcpuExit, vcpuRecord } from '../src/vcpu-record.ts'

const STIE = 1 << 5

/** A hart whose guest waits for its timer, which comes at 1000 ns. */
function waiting() {
  const page = new ArrayBuffer(vcpuRecord.size)
  const registers = new VcpuRegisters(page)
  const clock = { now: 0 }
  const native = {
    now: () => clock.now,
    createVcpu: () => ({ id: 0, page }),
    flush: () => undefined,
    enter: () => {
      registers.set('vstimecmp', 1000n)
      registers.setLow('exit', VcpuExit.wait)
    },
  } as unknown as Native
  const unused = {} as never
  const shortcuts = { close: () => undefined, open: () => undefined } as never
  const of: HartsOf = { native, memory: unused, bus: unused, pages: { vm: 0 } as never, time: { origin: 0, version: 0, offset: 0n } as never, now: () => clock.now, timeOf: (ticks) => Number(ticks), shortcuts, sbi: () => undefined, others: { interlude: () => false } as never, tick: 100 }
  const hart = new HardwareHart(of, 0, 0)
  hart.start(0x8000_0000n, 0n)
  return { hart, registers, clock }
}

it('a timer that comes between the question whether a hart can run and that when it wants to is not lost', () => {
  const { hart, registers, clock } = waiting()
  registers.setLow('vsie', STIE)
  expect(hart.run(10_000)).toBe('halt')
  expect([hart.runnable, hart.deadline()]).toEqual([false, 1000])
  clock.now = 1000
  // It is asked again at once.
  expect([hart.deadline() <= clock.now, hart.runnable]).toEqual([true, true])
})

it('a timer that has come, and that the guest does not want, is waited for by nobody', () => {
  const { hart, clock } = waiting()
  expect(hart.run(10_000)).toBe('halt')
  clock.now = 1000
  expect([hart.runnable, hart.deadline()]).toEqual([false, Infinity])
})
