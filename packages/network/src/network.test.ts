import type { Frame, NetPort } from '@machinist/api'
import { allOffloads, isMachinistError } from '@machinist/api'
import { broadcast, ethernet, macAt, macBytes } from '@machinist/packets'
import { checksumsHold, ipFrame } from '@machinist/packets/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cable, Capture, join, virtualSwitch } from './index.ts'
import type { Port } from './index.ts'

/** A machine at a port: what it delivers waits for `run`, and its time for `pass`. */
function machineAt(port: Port, { listens = true, clocked = true } = {}) {
  const queue: (() => void)[] = []
  const got: Frame[] = []
  const timers: { at: number, expired: () => void }[] = []
  const events: string[] = []
  let now = 0
  const clock = {
    now: () => now,
    timer: (expired: () => void) => {
      const timer = { at: Infinity, expired }
      timers.push(timer)
      return { arm(at: number) { timer.at = at }, cancel() { timer.at = Infinity } }
    },
  }
  const net: NetPort = port.connect((callback) => { queue.push(callback) }, clocked ? clock : undefined)
  const drain = (): void => { for (let frame = net.receive(); frame !== null; frame = net.receive()) got.push(frame) }
  if (listens) net.listen({ readable: drain, writable() { events.push('writable') }, linkChanged() { events.push(net.link ? 'up' : 'down') } })
  const run = (): void => { for (const callback of queue.splice(0)) callback() }
  const pass = (nanoseconds: number): void => {
    const until = now + nanoseconds
    for (;;) {
      const next = timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      now = Math.max(now, next.at)
      next.at = Infinity
      next.expired()
    }
    now = until
  }
  return { net, got, queue, events, run, pass, take: () => { run(); return got.splice(0) } }
}

const plain = (source: number, destination: number, payload: readonly number[] = []): Frame => {
  const bytes = new Uint8Array(60)
  bytes.set(macBytes(destination), ethernet.destination)
  bytes.set(macBytes(source), ethernet.source)
  bytes.set(payload, ethernet.length)
  return { bytes }
}
const codeOf = (work: () => unknown): string => {
  try {
    work()
  } catch (error) {
    return isMachinistError(error) ? error.code : 'untyped'
  }
  return 'nothing'
}

describe('a switch', () => {
  it('gives every frame to those whom a plain model of a switch gives it', () => {
    const station = fc.integer({ min: 0, max: 5 })
    const act = fc.record({ from: fc.integer({ min: 0, max: 3 }), source: station, destination: fc.oneof(station, fc.constantFrom('all' as const, 'group' as const, 'reserved' as const)), pass: fc.constantFrom(0, 0, 400), replug: fc.boolean().map((yes) => yes) })
    fc.assert(fc.property(fc.array(act, { maxLength: 60 }), fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), (acts, isolated) => {
      const lan = virtualSwitch({ ageing: 300, addressesPerPort: 2 })
      const ports = isolated.map((each) => lan.port({ isolated: each }))
      const machines = ports.map((port) => machineAt(port))
      const times = [0, 0, 0, 0]
      let heard: { mac: number, port: number, at: number }[] = []
      for (const [number, { from, source, destination, pass, replug }] of acts.entries()) {
        machines[from]!.pass(pass)
        times[from]! += pass
        if (replug && number % 7 === 0) {
          ports[from]!.close()
          machines[from] = machineAt(ports[from]!)
          times[from] = 0
          heard = heard.filter(({ port }) => port !== from)
        }
        const mac = typeof destination === 'number' ? 0x0200_0000_0000 + destination : { all: broadcast, group: 0x0100_5e00_0001, reserved: 0x0180_c200_000e }[destination]
        const frame = plain(0x0200_0000_0000 + source, mac, [number])
        expect(machines[from]!.net.send(frame)).toBe(true)
        // The model: a list, searched from end to end.
        const expected = new Set<number>()
        if (destination !== 'reserved') {
          const same = heard.find((entry) => entry.mac === source && entry.port === from)
          if (same !== undefined) {
            same.at = times[from]!
          } else {
            heard = heard.filter((entry) => entry.mac !== source)
            const own = heard.filter(({ port }) => port === from)
            if (own.length === 2) heard.splice(heard.indexOf(own[0]!), 1)
            heard.push({ mac: source, port: from, at: times[from]! })
          }
          const known = heard.find((entry) => entry.mac === destination && times[entry.port]! - entry.at <= 300)
          heard = heard.filter((entry) => entry.mac !== destination || entry === known)
          for (const to of [0, 1, 2, 3]) {
            if (to !== from && (known === undefined || known.port === to) && !(isolated[from]! && isolated[to]!)) expected.add(to)
          }
        }
        for (const [index, machine] of machines.entries()) expect([number, index, machine.take()]).toEqual([number, index, expected.has(index) ? [frame] : []])
      }
    }), { numRuns: 300 })
  })

  it('has no more memory than its bounds, and no port takes that of another', () => {
    const lan = virtualSwitch({ addressesPerPort: 8 })
    const victim = machineAt(lan.port({ name: 'victim', queueFrames: 4 }))
    const attacker = machineAt(lan.port({ name: 'attacker' }))
    victim.net.send(plain(0x0200_0000_0001, broadcast))
    for (let index = 0; index < 1000; index++) attacker.net.send(plain(0x0200_1000_0000 + index, 0x0200_0000_0001))
    expect(lan.addresses.size).toBe(9)
    expect(lan.addresses.get(0x0200_0000_0001)).toBe('victim')
    expect(victim.queue.length).toBe(1) // one notification for all
    expect(victim.take()).toHaveLength(4)
  })

  it('lets nobody pass for another where sources are fixed', () => {
    const lan = virtualSwitch()
    const fixed = machineAt(lan.port({ sources: ['02:00:00:00:00:01'] }))
    const other = machineAt(lan.port())
    fixed.net.send(plain(0x0200_0000_0002, broadcast))
    fixed.net.send(plain(0x0200_0000_0001, broadcast))
    expect(other.take().map(({ bytes }) => macAt(bytes, ethernet.source))).toEqual([0x0200_0000_0001])
  })

  it('protects the address that a device has by its own configuration, as long as no port was given it', () => {
    const lan = virtualSwitch()
    const deliver = (callback: () => void): void => { callback() }
    const [victim, other, hostile] = ['victim', 'other', 'hostile'].map((name) => lan.port({ name }))
    const [ours, theirs, evil] = [victim, other, hostile].map((port) => port?.connect(deliver))
    if (victim === undefined || ours === undefined || theirs === undefined || evil === undefined) throw new Error('they were made')
    const mac = 0x0200_0000_00aa
    const frame = (): Frame => {
      const bytes = new Uint8Array(60).fill(0xff, 0, 6)
      bytes.set([2, 0, 0, 0, 0, 0xaa], 6)
      return { bytes }
    }
    evil.send(frame())
    expect(lan.addresses.get(mac)).toBe('hostile')
    ours.claim?.('02:00:00:00:00:aa')
    expect(lan.addresses.get(mac)).toBe(undefined)
    evil.send(frame())
    expect(lan.addresses.get(mac)).toBe(undefined)
    ours.send(frame())
    expect(lan.addresses.get(mac)).toBe('victim')
    // Nor can a definition take what a port was given.
    const gateway = lan.port({ name: 'gateway', address: '02:00:00:00:00:bb' }).connect(deliver)
    theirs.claim?.('02:00:00:00:00:bb')
    const from = frame()
    from.bytes[11] = 0xbb
    theirs.send({ ...from, bytes: from.bytes.slice() })
    expect(lan.addresses.get(0x0200_0000_00bb)).toBe(undefined)
    gateway.send(from)
    expect(lan.addresses.get(0x0200_0000_00bb)).toBe('gateway')
    // With the port the claim goes.
    victim.close()
    evil.send(frame())
    expect(lan.addresses.get(mac)).toBe('hostile')
  })

  it('gives a claimed address to a port that was given it, and a copy that claims its own back leaves the original its address', () => {
    const lan = virtualSwitch()
    const deliver = (callback: () => void): void => { callback() }
    const [x, y] = ['02:00:00:00:00:aa', '02:00:00:00:00:cc'] as const
    const from = (last: number): Frame => {
      const bytes = new Uint8Array(60).fill(0xff, 0, 6)
      bytes.set([2, 0, 0, 0, 0, last], 6)
      return { bytes }
    }
    const at = (last: number): string | undefined => lan.addresses.get(0x0200_0000_0000 + last)
    const original = lan.port({ name: 'original' }).connect(deliver)
    const copy = lan.port({ name: 'copy', address: y }).connect(deliver)
    const hostile = lan.port({ name: 'hostile' }).connect(deliver)
    original.claim?.(x)
    copy.claim?.(x)
    copy.send(from(0xaa))
    copy.claim?.(y)
    expect(at(0xaa)).toBe(undefined)
    for (const sender of [hostile, copy]) sender.send(from(0xaa))
    hostile.send(from(0xcc))
    expect([at(0xaa), at(0xcc)]).toEqual([undefined, undefined])
    original.send(from(0xaa))
    copy.send(from(0xcc))
    expect([at(0xaa), at(0xcc)]).toEqual(['original', 'copy'])
    const gateway = lan.port({ name: 'gateway', address: x }).connect(deliver)
    original.send(from(0xaa))
    expect(at(0xaa)).toBe(undefined)
    gateway.send(from(0xaa))
    expect(at(0xaa)).toBe('gateway')
  })

  it('lets nobody have the address that another port was given, from the start and until that has gone; all others are for who uses them', () => {
    const lan = virtualSwitch()
    const given = ['02:00:00:00:00:01', '02:00:00:00:00:02'].map((address, index) => lan.port({ address, name: `given${String(index)}` }))
    const ports = [...given, lan.port({ name: 'another' })]
    const one = 0x0200_0000_0001
    // Before it is there, one that nobody has is anybody's.
    const early = machineAt(ports[2]!)
    early.net.send(plain(one, broadcast))
    expect(lan.addresses.get(one)).toBe('another')
    const [first, second] = given.map((port) => machineAt(port))
    expect(lan.addresses.get(one)).toBe(undefined)
    for (const thief of [early, second!]) {
      thief.net.send(plain(one, broadcast))
      thief.net.send(plain(one, 0x0200_0000_0002))
    }
    expect([first!, second!, early].map((machine) => machine.take().length)).toEqual([0, 0, 0])
    early.net.send(plain(0x0200_0000_0099, one))
    expect([first!, second!].map((machine) => machine.take().length)).toEqual([1, 1])
    first!.net.send(plain(one, broadcast))
    early.net.send(plain(one, broadcast))
    early.take()
    second!.take()
    second!.net.send(plain(0x0200_0000_0098, one))
    expect([first!, early].map((machine) => machine.take().length)).toEqual([1, 0])
    // Of a machine that moves there are two ports for a while, and the last to say something has it.
    const moved = machineAt(lan.port({ address: '02:00:00:00:00:01', name: 'moved' }))
    moved.net.send(plain(one, broadcast))
    expect(lan.addresses.get(one)).toBe('moved')
    given[0]!.close()
    early.net.send(plain(one, broadcast))
    expect(lan.addresses.get(one)).toBe('moved')
    // What nobody was given moves about, as addresses of routers do that stand in for each other.
    for (const machine of [early, second!]) machine.net.send(plain(0x0000_5e00_0101, broadcast))
    expect(lan.addresses.get(0x0000_5e00_0101)).toBe('given1')
  })

  it('gives a restored port no address that is another\'s', () => {
    const lan = virtualSwitch()
    machineAt(lan.port({ address: '02:00:00:00:00:01' }))
    const port = lan.port({ name: 'restored' })
    port.restore?.({ kind: 'stations', version: 1, state: { stations: [[0x0200_0000_0001, 0], [0x0200_0000_0003, 0]] } }, 'net')
    machineAt(port)
    expect([...lan.addresses.keys()]).toEqual([0x0200_0000_0003])
  })

  it('cuts and fills in what a machine does not take over', () => {
    const lan = virtualSwitch()
    const [one, two, three] = [machineAt(lan.port()), machineAt(lan.port()), machineAt(lan.port({ mtu: 1000 }))]
    two.net.accept(allOffloads)
    const frame = ipFrame({ version: 4, payload: new Uint8Array(10_000), segment: 1400, destination: broadcast })
    one.net.send(frame)
    expect(two.take()).toEqual([frame])
    two.net.accept({ ...allOffloads, tcp4: false, checksum: false })
    one.net.send(frame)
    const list = two.take()
    expect(list).toHaveLength(8)
    expect(list.every(({ bytes }) => checksumsHold(bytes))).toBe(true)
    expect(three.take()).toEqual([]) // longer than its link allows
  })

  it('survives anything', () => {
    fc.assert(fc.property(fc.array(fc.record({
      bytes: fc.oneof(fc.uint8Array({ maxLength: 100 }), fc.constant(new Uint8Array(70_000))), from: fc.nat(2),
      start: fc.integer(), offset: fc.integer(), size: fc.oneof(fc.integer(), fc.double()), headerLength: fc.integer(), how: fc.nat(2),
    }), { maxLength: 50 }), (list) => {
      const lan = virtualSwitch({ addressesPerPort: 3 })
      const machines = [0, 1, 2].map(() => machineAt(lan.port()))
      machines[1]!.net.accept(allOffloads)
      for (const { bytes, from, start, offset, size, headerLength, how } of list) {
        const checksum = { start, offset }
        machines[from]!.net.send({ bytes, ...(how > 0 && { checksum }), ...(how > 1 && { segmentation: { kind: 'udp', size, headerLength, ecn: false } }) })
        for (const machine of machines) machine.run()
      }
      for (const { got } of machines) for (const { bytes } of got) expect(bytes.length).toBeGreaterThanOrEqual(14)
    }))
  })

  it('refuses what cannot be', () => {
    const lan = virtualSwitch()
    for (const options of [{ mtu: 10 }, { queueFrames: 0 }, { queueBytes: 1 }, { sendLimit: { rate: 1 } }, { sources: ['nobody'] }, { sources: ['01:00:00:00:00:00'] }]) {
      expect(codeOf(() => lan.port(options)), JSON.stringify(options)).toBe('port-option')
    }
    expect(codeOf(() => virtualSwitch({ addressesPerPort: 0 }))).toBe('port-option')
    const port = lan.port()
    machineAt(port)
    expect(codeOf(() => machineAt(port))).toBe('port-in-use')
    expect(codeOf(() => machineAt(lan.port({ sendLimit: { rate: 5000 } }), { clocked: false }))).toBe('port-clock')
  })
})

describe('a port', () => {
  it('passes no more than its limits, and wastes nothing of them', () => {
    const lan = virtualSwitch()
    const one = machineAt(lan.port({ sendLimit: { rate: 60_000, burst: 600 } }))
    const two = machineAt(lan.port({ receiveLimit: { rate: 30_000, burst: 60 } }))
    let sent = 0
    const push = (): void => {
      while (one.net.send(plain(1, broadcast))) sent++
      one.events.length = 0
    }
    push()
    expect(sent).toBe(10)
    for (let step = 0; step < 1000; step++) {
      one.pass(1e6)
      two.pass(1e6)
      if (one.events.includes('writable')) push()
      two.run()
    }
    expect(sent).toBeGreaterThanOrEqual(10 + 999)
    expect(sent).toBeLessThanOrEqual(10 + 1001)
    expect(two.got.length).toBeGreaterThanOrEqual(499)
    expect(two.got.length).toBeLessThanOrEqual(502)
  })

  it('shows its carrier, and drops what comes without', () => {
    const lan = virtualSwitch()
    const port = lan.port()
    const [one, two] = [machineAt(lan.port()), machineAt(port)]
    expect(two.net.link).toBe(true)
    one.net.send(plain(1, broadcast))
    port.setLink(false)
    port.setLink(false)
    expect(two.net.link).toBe(true) // until it comes through the gate
    two.run()
    expect([two.net.link, two.events, two.got.splice(0).length]).toEqual([false, ['down'], 1])
    one.net.send(plain(1, broadcast))
    two.net.send(plain(2, broadcast))
    expect([two.take(), one.take()]).toEqual([[], []])
    port.setLink(true)
    expect([two.take(), two.events, two.net.link]).toEqual([[], ['down', 'up'], true])
    expect(port.stats).toMatchObject({ dropped: 2 })
  })

  it('of a machine that is gone does nothing', () => {
    const lan = virtualSwitch()
    const port = lan.port()
    const [one, old] = [machineAt(lan.port()), machineAt(port)]
    one.net.send(plain(1, broadcast))
    port.close()
    expect([old.take(), old.net.link, old.net.send(plain(2, broadcast)), one.take(), lan.addresses.size]).toEqual([[], false, true, [], 1])
    expect(machineAt(port).take()).toEqual([])
  })
})

it('a cable carries while both machines are there and both ends are in', () => {
  const [left, right] = cable()
  const one = machineAt(left)
  one.run()
  expect(one.net.link).toBe(false)
  const two = machineAt(right)
  const settle = (): boolean[] => {
    one.run()
    two.run()
    return [one.net.link, two.net.link]
  }
  expect(settle()).toEqual([true, true])
  const frame = plain(1, 2)
  one.net.send(frame)
  expect(two.take()).toEqual([frame])
  left.setLink(false)
  expect(settle()).toEqual([false, false])
  left.setLink(true)
  expect(settle()).toEqual([true, true])
  right.close()
  expect(settle()).toEqual([false, false])
})

it('two switches that are joined are one network, until they are taken apart', () => {
  const [here, there] = [virtualSwitch(), virtualSwitch()]
  const queue: (() => void)[] = []
  const settle = (): void => { for (let next = queue.shift(); next !== undefined; next = queue.shift()) next() }
  const [left, right] = [here.port({ queueFrames: 4096 }), there.port()]
  const part = join(left, right, { deliver: (callback) => { queue.push(callback) } })
  const [one, two] = [machineAt(here.port({ queueFrames: 4096 })), machineAt(there.port({ queueFrames: 4096 }))]
  const frames = Array.from({ length: 1000 }, (_, index) => plain(1, broadcast, [index, index >> 8]))
  for (const frame of frames) one.net.send(frame)
  settle()
  expect(two.take()).toEqual(frames)
  two.net.send(plain(2, 1))
  settle()
  expect([one.take().length, there.addresses.size]).toEqual([1, 2])
  one.net.send(plain(1, 2))
  part()
  settle()
  expect([two.take(), left.stats.dropped]).toEqual([[], 0])
  const twice = machineAt(left)
  expect(codeOf(() => join(right, left, { deliver: () => undefined }))).toBe('port-in-use')
  expect([twice.net.link, machineAt(right).net.link]).toEqual([true, true])
})

it('a capture is pcapng that says which way each frame went, when, and how much of it there was', () => {
  const parts: Uint8Array[] = []
  const capture = new Capture((bytes) => parts.push(bytes), { snapLength: 64 })
  const lan = virtualSwitch()
  const [one, two] = [machineAt(lan.port({ name: 'a', capture })), machineAt(lan.port({ name: 'bc', capture }))]
  one.pass(2 ** 33 + 5)
  two.pass(7)
  const frame = { bytes: new Uint8Array(99).fill(2) }
  frame.bytes.set(macBytes(broadcast))
  one.net.send(frame)
  const file = Buffer.concat(parts)
  const blocks: Buffer[] = []
  for (let at = 0; at < file.length;) {
    const length = file.readUInt32LE(at + 4)
    expect([length % 4, file.readUInt32LE(at + length - 4)]).toEqual([0, length])
    blocks.push(file.subarray(at, at += length))
  }
  expect(blocks.map((block) => block.readUInt32LE(0))).toEqual([0x0a0d0d0a, 1, 1, 6, 6])
  expect(blocks[0]!.readUInt32LE(8)).toBe(0x1a2b3c4d)
  expect(blocks[2]!.subarray(16, 22)).toEqual(Buffer.from([2, 0, 2, 0, 98, 99]))
  const packets = blocks.slice(3).map((block) => ({
    port: block.readUInt32LE(8), at: block.readUInt32LE(12) * 2 ** 32 + block.readUInt32LE(16), kept: block.readUInt32LE(20), length: block.readUInt32LE(24),
    bytes: [...block.subarray(28, 28 + 64)], flags: block.readUInt32LE(28 + 64 + 4),
  }))
  const common = { kept: 64, length: 99, bytes: [...frame.bytes.subarray(0, 64)] }
  expect(packets).toEqual([{ ...common, port: 0, at: 2 ** 33 + 5, flags: 2 }, { ...common, port: 1, at: 7, flags: 1 }])
})
