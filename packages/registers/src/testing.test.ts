import type { Device, DeviceSpec } from '@machinist/api'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fakeBlock, fakeChar, fakeContext, testDevice } from './testing.ts'

test('timers fire in order, each at its own time, and may be armed again from their event', () => {
  const log: [string, number][] = []
  const spec: DeviceSpec<null, null, 'out', Readonly<Record<never, never>>> = {
    kind: 'ticker', stateVersion: 1, backends: {},
    configure: () => null, regions: () => [], irqs: () => ['out'],
    create(_, context): Device<null> {
      const [fast, slow] = [context.clock.timer('fast'), context.clock.timer('slow')]
      return {
        read: () => 0, write() {}, save: () => null, restore() {},
        reset() {
          fast.arm(10)
          slow.arm(25)
        },
        event(port) {
          log.push([port, context.clock.now()])
          if (port === 'fast') fast.arm(context.clock.now() + 10)
          else context.irq.out.pulse()
        },
      }
    },
  }
  const dut = testDevice(spec, {}, { backends: {} })
  dut.advance(35)
  expect(log).toEqual([['fast', 10], ['fast', 20], ['slow', 25], ['fast', 30]])
  expect(dut.context.clock.deadline('fast')).toBe(40)
  expect([dut.context.irq.out.level, dut.context.irq.out.edges]).toEqual([false, 1])
})

test('a timer that is armed for the present without end fails the test instead of hanging it', () => {
  const context = fakeContext({ backends: {} })
  const timer = context.clock.timer('t')
  context.attach({ read: () => 0, write() {}, reset() {}, save: () => null, restore() {}, event() { timer.arm(0) } })
  timer.arm(0)
  expect(() => { context.advance(1) }).toThrow('again and again')
})

test('the counter reaches a count at the time it says, and not before', () => {
  fc.assert(fc.property(fc.bigInt(0n, (1n << 64n) - 1n), fc.nat(10_000), fc.nat(10_000), (start, wait, ticks) => {
    const context = fakeContext({ backends: {}, frequency: 3_000_000 })
    context.advance(wait)
    context.counter.write(start)
    const target = start + BigInt(ticks)
    fc.pre(target < 1n << 64n)
    const at = context.counter.timeOf(target)
    context.advance(Math.max(0, at - 1 - context.clock.now()))
    if (context.clock.now() < at) expect(context.counter.read()).toBeLessThan(target)
    context.advance(Math.max(0, at - context.clock.now()))
    expect(context.counter.read()).toBeGreaterThanOrEqual(target)
  }))
})

test('DMA reaches all of RAM and nothing else, in pieces that add up', () => {
  fc.assert(fc.property(fc.integer({ min: -300, max: 1200 }), fc.nat(1200), (start, length) => {
    const context = fakeContext({ backends: {}, memorySize: 1000, memoryBase: 0x8000_0000, frameSize: 64 })
    context.memory.forEach((_, i) => { context.memory[i] = i })
    const inside = start >= 0 && start + length <= 1000
    const into = new Uint8Array(length)
    expect(context.dma.read(0x8000_0000 + start, into)).toBe(inside)
    const pieces = context.dma.map(0x8000_0000 + start, length, 'read')
    expect(pieces !== null).toBe(inside)
    if (pieces !== null) expect(pieces.flatMap((piece) => [...piece])).toEqual([...into])
    expect(context.dma.write(0x8000_0000 + start, into)).toBe(inside)
  }))
})

test('a scripted disk completes when told, and a scripted terminal takes what it has room for', () => {
  const disk = fakeBlock({ size: 1024 })
  const log: string[] = []
  disk.write(512, [Uint8Array.of(1, 2)], (status) => { log.push(status) })
  disk.read(1023, [new Uint8Array(2)], (status) => { log.push(status) })
  disk.flush((status) => { log.push(status) })
  expect([disk.pending, log.length]).toEqual([3, 0])
  disk.complete(2)
  disk.failures.push('io-error')
  disk.complete()
  expect([log, disk.data[512]]).toEqual([['ok', 'out-of-range', 'io-error'], 1])
  const terminal = fakeChar()
  terminal.room = 2
  expect(terminal.write(Uint8Array.of(65, 66, 67))).toBe(2)
  expect(terminal.text()).toBe('AB')
})
