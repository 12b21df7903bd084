import fc from 'fast-check'
import { expect, it } from 'vitest'
import { isMachinistError } from '@machinist/api'
import type { BackendClock, BlockStatus } from '@machinist/api'
import { limited, memoryDisk } from './index.ts'
import type { DiskLimits } from './index.ts'

/** A clock that goes from timer to timer. */
function fakeClock(): BackendClock & { advance(to: number): void, readonly next: number } {
  let now = 0
  const armed = new Map<object, { at: number, fire: () => void }>()
  const next = (): number => Math.min(Infinity, ...[...armed.values()].map(({ at }) => at))
  return {
    now: () => now,
    timer(fire) {
      const key = {}
      return { arm: (at) => { armed.set(key, { at, fire }) }, cancel: () => { armed.delete(key) } }
    },
    get next() { return next() },
    advance(to) {
      for (let at = next(); at <= to; at = next()) {
        now = Math.max(now, at)
        const [key, { fire }] = [...armed].find(([, each]) => each.at === at) ?? [{}, { fire: () => {} }]
        armed.delete(key)
        fire()
      }
      now = Math.max(now, to)
    },
  }
}

const size = 1 << 20
const direct = (callback: () => void): void => { callback() }

it('begins a request at the nanosecond at which its tokens are there', () => {
  const clock = fakeClock()
  const port = limited(memoryDisk(size), { operationsPerSecond: 2, burstOperations: 2 }).connect(direct, clock)
  const began: number[] = []
  for (const at of [0, 499_999_487, 499_999_501, 499_999_501]) {
    clock.advance(at)
    port.flush(() => { began.push(clock.now()) })
  }
  while (clock.next < Infinity) clock.advance(clock.next)
  expect(began).toEqual([0, 499_999_487, 500_000_000, 1_000_000_000])
})

it('never does more than its limits in any stretch of time, keeps the order, fails nothing, and wastes no time', () => {
  const request = fc.record({
    kind: fc.constantFrom('read' as const, 'write' as const, 'flush' as const, 'writeZeroes' as const),
    bytes: fc.integer({ min: 1, max: 64 }).map((sectors) => sectors * 512),
    wait: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 5e8 })),
  })
  const rates = fc.record({
    bytesPerSecond: fc.option(fc.integer({ min: 5000, max: 1e7 }), { nil: undefined }),
    operationsPerSecond: fc.option(fc.integer({ min: 1, max: 1000 }), { nil: undefined }),
    burstBytes: fc.option(fc.integer({ min: 1, max: 1e5 }), { nil: undefined }),
    burstOperations: fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }),
  })
  fc.assert(fc.property(fc.array(request, { minLength: 1, maxLength: 60 }), rates, (requests, given) => {
    const limits = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as DiskLimits
    const clock = fakeClock()
    const port = limited(memoryDisk(size), limits).connect(direct, clock)
    const finished: { index: number, at: number, bytes: number, asked: number }[] = []
    requests.forEach(({ kind, bytes, wait }, index) => {
      clock.advance(clock.now() + wait)
      const asked = clock.now()
      const done = (status: BlockStatus): void => {
        expect(status).toBe('ok')
        finished.push({ index, at: clock.now(), bytes: kind === 'flush' ? 0 : bytes, asked })
      }
      if (kind === 'read') port.read(0, [new Uint8Array(bytes)], done)
      else if (kind === 'write') port.write(0, [new Uint8Array(bytes)], done)
      else if (kind === 'flush') port.flush(done)
      else port.writeZeroes?.(0, bytes, done)
    })
    while (clock.next < Infinity) clock.advance(clock.next)
    expect(finished.map(({ index }) => index)).toEqual(requests.map((_, index) => index))
    const { bytesPerSecond = 1e15, operationsPerSecond = 1e15 } = limits
    const burstBytes = limits.bytesPerSecond === undefined ? 1e15 : Math.max(1, limits.burstBytes ?? bytesPerSecond / 10)
    const burstOperations = limits.operationsPerSecond === undefined ? 1e15 : Math.max(1, limits.burstOperations ?? operationsPerSecond / 10)
    for (let first = 0; first < finished.length; first++) {
      let sum = 0
      for (let last = first; last < finished.length; last++) {
        const span = ((finished[last]?.at ?? 0) - (finished[first]?.at ?? 0)) / 1e9
        const cost = finished[last]?.bytes ?? 0
        // All but the last, which may be larger than the capacity, fit into what the stretch allows.
        expect(sum + Math.min(cost, burstBytes)).toBeLessThanOrEqual(burstBytes + bytesPerSecond * span + 1e-3)
        expect(last - first + 1).toBeLessThanOrEqual(burstOperations + operationsPerSecond * span + 1e-3)
        sum += cost
      }
    }
    // One that had to wait began when the tokens were there: from its predecessor on, no more than its own cost at the rate, and a full bucket.
    finished.forEach(({ at, bytes, asked }, index) => {
      const before = finished[index - 1]
      const free = Math.max(asked, before?.at ?? 0)
      const longest = Math.max((Math.min(bytes, burstBytes) + Math.max(0, (before?.bytes ?? 0) - burstBytes) + sumOfDebt(index, finished, burstBytes)) / bytesPerSecond, 1 / operationsPerSecond) * 1e9
      expect(at - free).toBeLessThanOrEqual(longest + 2)
    })
  }), { numRuns: 200 })
})

/** The most that requests before one can have left owing. */
function sumOfDebt(index: number, finished: readonly { bytes: number }[], burst: number): number {
  return finished.slice(0, index).reduce((sum, { bytes }) => Math.max(sum, bytes - burst), 0)
}

it('lets what waits go when it is closed, fails what exceeds the queue, and needs a clock', () => {
  const clock = fakeClock()
  const disk = limited(memoryDisk(size), { operationsPerSecond: 1, queue: 3 })
  const port = disk.connect(direct, clock)
  const statuses: BlockStatus[] = []
  for (let index = 0; index < 6; index++) port.flush((status) => { statuses.push(status) })
  expect(statuses).toEqual(['ok', 'io-error', 'io-error'])
  disk.close?.()
  expect(statuses).toHaveLength(6)
  expect(statuses.filter((status) => status === 'ok')).toHaveLength(4)

  expect(clock.next).toBe(Infinity)

  const codeOf = (work: () => unknown): string => {
    try {
      work()
    } catch (error) {
      if (isMachinistError(error)) return error.code
    }
    return 'none'
  }
  expect(codeOf(() => limited(memoryDisk(size), { bytesPerSecond: 1 }).connect(direct))).toBe('backend-clock')
  for (const bytesPerSecond of [0, -1, NaN, Infinity]) expect(codeOf(() => limited(memoryDisk(size), { bytesPerSecond }))).toBe('disk-limit')
})

it('goes by other limits from the moment on at which they are set: what was left stays, and what is owed', () => {
  const clock = fakeClock()
  const disk = limited(memoryDisk(size), { bytesPerSecond: 1000, burstBytes: 1000 })
  const port = disk.connect(direct, clock)
  const began: number[] = []
  const ask = (bytes: number): void => { port.write(0, [new Uint8Array(bytes)], () => { began.push(clock.now() / 1e9) }) }
  for (let index = 0; index < 4; index++) ask(1024)
  // The first leaves a debt of 24; each of the others takes 1.024 s, or waits for a full bucket and owes.
  clock.advance(0.5e9)
  expect([began, disk.flow.waitingRequests, disk.flow.waitingBytes]).toEqual([[0], 3, 3072])
  // 476 of 1000 are there; the next waits for 1000, which now takes 0.0524 s.
  disk.setLimits({ bytesPerSecond: 10_000, burstBytes: 1000 })
  clock.advance(2e9)
  expect(began.map((at) => Number(at.toFixed(4)))).toEqual([0, 0.5524 - 0, 0.6548, 0.7572].map((at) => Number(at.toFixed(4))))
  disk.setLimits({})
  ask(1024 * 512)
  ask(1024 * 512)
  expect([began.length, disk.flow.waitingRequests]).toEqual([6, 0])
  expect(disk.flow).toMatchObject({ readBytes: 0, writtenBytes: 4096 + (1 << 20), requests: 6, countedBytes: 4096 + (1 << 20) })
  expect(disk.flow.heldTime / 1e9).toBeCloseTo(0.7572, 4)
  expect(() => { disk.setLimits({ bytesPerSecond: 0 }) }).toThrow(/not a limit/)
  // A debt is not forgiven by a change.
  disk.setLimits({ bytesPerSecond: 1024, burstBytes: 1 })
  ask(1024)
  disk.setLimits({ bytesPerSecond: 2048, burstBytes: 1 })
  ask(512)
  clock.advance(4e9)
  expect(began.slice(6)).toEqual([2, expect.closeTo(2.5, 3)])
})

it('tells when something has to wait, of which limits may then be set, and goes by the time that it is given', () => {
  const [machine, host] = [fakeClock(), fakeClock()]
  let told = 0
  const disk = limited(memoryDisk(size), { operationsPerSecond: 1, burstOperations: 1 }, {
    clock: host, leastBytes: 4096,
    onHeld() {
      told += 1
      if (told === 2) disk.setLimits({})
    },
  })
  expect(disk.save?.()).toEqual([])
  const port = disk.connect(direct, machine)
  let done = 0
  const ask = (): void => { port.read(0, [new Uint8Array(512)], () => { done += 1 }) }
  ask()
  ask()
  ask()
  machine.advance(10e9)
  expect([told, done]).toEqual([1, 1])
  host.advance(2e9)
  expect([told, done]).toEqual([1, 3])
  ask()
  expect([told, done]).toEqual([2, 4])
  expect(disk.flow).toMatchObject({ countedBytes: 4 * 4096, readBytes: 4 * 512 })
})

it('reads straight into the buffers of a device what may begin now', () => {
  const clock = fakeClock()
  const inner = memoryDisk(size)
  let able = true
  const disk = limited({ ...inner, connect: (deliver) => {
    const port = inner.connect(deliver)
    return { ...port, readAtOnce: (offset, into, done) => { if (able) port.read(offset, into, done); return able } }
  } }, { operationsPerSecond: 1, burstOperations: 2 })
  const port = disk.connect(direct, clock)
  const statuses: BlockStatus[] = []
  const done = (status: BlockStatus): void => { statuses.push(status) }
  const atOnce = (): boolean | undefined => port.readAtOnce?.(0, [new Uint8Array(512)], done)
  expect(atOnce()).toBe(true)
  able = false
  expect(atOnce()).toBe(false)
  able = true
  // What failed took no token.
  expect([atOnce(), atOnce(), statuses.length, disk.flow.readBytes]).toEqual([true, false, 2, 1024])
})
