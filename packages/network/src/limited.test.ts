import type { Backend, BackendClock, Frame, NetPort } from '@machinist/api'
import { allOffloads, isMachinistError, noOffloads } from '@machinist/api'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { limitedNetwork, type NetworkLimits } from './index.ts'

/** A clock that goes from timer to timer. */
function fakeClock() {
  let now = 0
  const timers: { at: number, expired: () => void }[] = []
  const clock: BackendClock = {
    now: () => now,
    timer(expired) {
      const timer = { at: Infinity, expired }
      timers.push(timer)
      return { arm(at) { timer.at = at }, cancel() { timer.at = Infinity } }
    },
  }
  const advance = (to: number, settle: () => void): void => {
    for (;;) {
      const next = timers.filter(({ at }) => at <= to).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      now = Math.max(now, next.at)
      next.at = Infinity
      next.expired()
      settle()
    }
    now = to
  }
  return { clock, advance }
}

/** A machine that sends and receives what it can, and a network that has always more, or what it is given. */
function between(limits: NetworkLimits, { uploads = 0, downloads = 0, size = 1000, hostTime = false, onHeld = (): void => undefined } = {}) {
  const { clock, advance } = fakeClock()
  const queue: (() => void)[] = []
  const left = { send: uploads, receive: downloads }
  const passed: { at: number, bytes: number, direction: 'send' | 'receive' }[] = []
  const frame = (): Frame => ({ bytes: new Uint8Array(size) })
  let listener: Parameters<NetPort['listen']>[0] | null = null
  const below: Backend<NetPort> = {
    kind: 'net',
    connect: () => ({
      mtu: 1500, link: true, offloads: allOffloads, accept: () => undefined,
      listen(to) { listener = to },
      send({ bytes: { length } }) {
        passed.push({ at: clock.now(), bytes: length, direction: 'send' })
        return true
      },
      receive() {
        if (left.receive === 0) return null
        left.receive--
        return frame()
      },
    }),
  }
  const network = limitedNetwork(below, limits, { onHeld, ...(hostTime && { clock }) })
  const port = network.connect((callback) => { queue.push(callback) }, hostTime ? { now: () => 0, timer: () => { throw new Error('not this clock') } } : clock)
  const push = (): void => { while (left.send > 0 && port.send(frame())) left.send-- }
  const pull = (): void => {
    for (let got = port.receive(); got !== null; got = port.receive()) passed.push({ at: clock.now(), bytes: got.bytes.length, direction: 'receive' })
  }
  port.listen({ readable: pull, writable: push, linkChanged: () => undefined })
  const settle = (): void => { for (let next = queue.shift(); next !== undefined; next = queue.shift()) next() }
  const pass = (to: number): void => {
    settle()
    advance(to, settle)
  }
  const both = (): void => { push(); pull(); settle() }
  return { network, port, left, passed, pass, both, tellBelow: () => listener?.readable() }
}

it('passes what the limits allow, both ways, loses nothing, and wastes nothing', () => {
  const rates = fc.record({ bytesPerSecond: fc.integer({ min: 2000, max: 1e7 }), burstBytes: fc.option(fc.integer({ min: 1, max: 200_000 }), { nil: undefined }) })
  fc.assert(fc.property(rates, fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 300 }), fc.integer({ min: 60, max: 9000 }), fc.boolean(), ({ bytesPerSecond, burstBytes }, uploads, downloads, size, hostTime) => {
    const { network, left, passed, pass, both } = between({ bytesPerSecond, ...(burstBytes !== undefined && { burstBytes }) }, { uploads, downloads, size, hostTime })
    both()
    pass(3600e9)
    expect([left, passed.length]).toEqual([{ send: 0, receive: 0 }, uploads + downloads])
    const cost = size + 24
    const burst = burstBytes ?? Math.max(1600, bytesPerSecond / 10)
    passed.forEach(({ at }, index) => {
      // All before it fit into what the time since the beginning allows, and it came no later than it had to.
      expect((index * cost - burst) / bytesPerSecond).toBeLessThan(at / 1e9 + 1e-6)
      expect(at / 1e9).toBeLessThanOrEqual(Math.max(0, (index * cost - burst + 1) / bytesPerSecond) + (index + 1) * 2e-9 + 1e-6)
    })
    expect(network.flow).toMatchObject({ sentBytes: uploads * size, receivedBytes: downloads * size, frames: uploads + downloads, countedBytes: (uploads + downloads) * cost, waitingFrames: 0 })
  }), { numRuns: 200 })
})

it('gives both directions their turn', () => {
  const { passed, pass, both } = between({ bytesPerSecond: 1e6, burstBytes: 10_000 }, { uploads: 1e6, downloads: 1e6, size: 1400 })
  both()
  pass(10e9)
  const sent = passed.filter(({ direction }) => direction === 'send').length
  expect(sent / passed.length).toBeGreaterThan(0.45)
  expect(sent / passed.length).toBeLessThan(0.55)
  expect(passed.length * 1424).toBeGreaterThan(9.99e6)
})

it('changes its limits while frames wait, and tells when they have to', () => {
  let told = 0
  const { network, passed, pass, both } = between({ bytesPerSecond: 1024, burstBytes: 1 }, { uploads: 1000, onHeld: () => { told++ } })
  both()
  pass(10e9)
  expect([passed.length, told, network.flow.waitingFrames]).toEqual([11, 1, 1])
  network.setLimits({ bytesPerSecond: 102_400, burstBytes: 1 })
  pass(11e9)
  expect(passed.length).toBeGreaterThan(108)
  expect(passed.length).toBeLessThan(114)
  expect(network.flow.heldTime).toBeCloseTo(11e9, -7)
  network.setLimits({})
  pass(11e9)
  expect([passed.length, network.flow.waitingFrames]).toEqual([1000, 0])
  expect(network.flow.heldTime).toBeCloseTo(11e9, -7)
  let code = ''
  try {
    network.setLimits({ bytesPerSecond: NaN })
  } catch (error) {
    if (isMachinistError(error)) ({ code } = error)
  }
  expect(code).toBe('network-limit')
})

it('counts the pieces of a frame that is yet to be cut, whatever it says of itself', () => {
  const { network, port } = between({})
  const checksum = { start: 34, offset: 16 }
  const send = (size: number, headerLength: number): number => {
    const before = network.flow.countedBytes
    port.send({ bytes: new Uint8Array(10_054), checksum, segmentation: { kind: 'tcp4', size, headerLength, ecn: false } })
    return network.flow.countedBytes - before
  }
  expect(send(1000, 54)).toBe(10 * (1054 + 24))
  expect(send(3000, 54)).toBe(10_000 + 4 * (54 + 24))
  for (const [size, header] of [[0, 54], [NaN, 54], [1000, 99_999], [1000, -1], [1000, NaN], [-5, 54]] as const) expect(send(size, header)).toBe(10_078)
})

it('keeps what is owed in snapshots that go by the machine', () => {
  const one = between({ bytesPerSecond: 1024, burstBytes: 1 }, { uploads: 2 })
  one.both()
  const saved = one.network.save?.() ?? []
  expect(saved).toEqual([{ kind: 'network-limits', version: 1, state: { tokens: -1023, at: 0 } }])
  const two = limitedNetwork({ kind: 'net', connect: () => ({ ...one.port, accept: () => undefined, offloads: noOffloads }) }, { bytesPerSecond: 1024, burstBytes: 1 })
  expect(two.restore?.(saved[0]!, 'net')).toBe(true)
  expect(two.save?.()).toEqual(saved)
  expect(() => two.restore?.({ ...saved[0]!, state: { tokens: 'x' } }, 'net')).toThrow(/none/)
  expect(between({}, { hostTime: true }).network.save?.()).toEqual([])
})
