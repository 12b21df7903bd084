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
