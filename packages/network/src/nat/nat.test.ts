import { BlockList, isIP } from 'node:net'
import { allOffloads, isMachinistError, type NetPort, noOffloads } from '@machinist/api'
import { fillChecksum, fillHeaderChecksum, macBytes, set16 } from '@machinist/packets'
import { expect, test } from 'vitest'
import { type Address, addressText, contains, parseAddress, parsePrefix } from './address.ts'
import { nat } from './nat.ts'
import { natSettings } from './options.ts'
import { fragments, newPacket } from './packet.ts'
import { Policy, reservedPrefixes } from './policy.ts'
import { Reassembly } from './reassembly.ts'
import type { Endpoint, HostSockets, StreamEvents } from './sockets.ts'

/** Numbers that look random, the same for each seed. */
function random(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}

const address = (text: string): Address => parseAddress(text)!

test('addresses are read and written as Node.js does', () => {
  const below = random(1)
  for (let round = 0; round < 3000; round++) {
    const bytes = Uint8Array.from({ length: below(2) * 12 + 4 }, () => (below(3) === 0 ? below(256) : 0))
    const text = addressText(bytes)
    expect(isIP(text)).toBe(bytes.length === 4 ? 4 : 6)
    expect(parseAddress(text)).toEqual(bytes)
    if (bytes.length === 16 && !text.includes('.')) expect(new URL(`http://[${text}]`).hostname).toBe(`[${text}]`)
    // Damaged text is an address exactly where Node.js takes it for one.
    const at = below(text.length)
    const damaged = text.slice(0, at) + '0:.1g/f'[below(7)]! + text.slice(at + below(2))
    expect(parseAddress(damaged) !== null, damaged).toBe(isIP(damaged) !== 0)
  }
})

test('prefixes contain what the block lists of Node.js contain', () => {
  const below = random(2)
  for (let round = 0; round < 500; round++) {
    const six = below(2) === 1
    const size = six ? 16 : 4
    const bits = below(size * 8 + 1)
    const base = Uint8Array.from({ length: size }, () => below(256))
    const list = new BlockList()
    list.addSubnet(addressText(base), bits, six ? 'ipv6' : 'ipv4')
    const near = base.slice()
    for (let flips = below(3); flips >= 0; flips--) near[below(size)]! ^= 1 << below(8)
    expect(contains({ address: base, bits }, near)).toBe(list.check(addressText(near), six ? 'ipv6' : 'ipv4'))
  }
})

test('nobody reaches the host, link-local addresses or groups, whatever form the address has, unless a rule names them', () => {
  const policy = (rules: string[], otherwise: 'allow' | 'deny' = 'allow'): Policy =>
    new Policy({ rules: natSettings({ rules }).rules, otherwise, own: () => [address('192.168.7.7'), address('2001:db8::7')] })
  const closed = [
    '127.0.0.1', '127.8.8.8', '0.0.0.0', '0.1.2.3', '169.254.169.254', '224.0.0.1', '255.255.255.255', '240.1.1.1', '192.168.7.7', '100.100.100.200', '168.63.129.16',
    '::', '::1', '::7f00:1', '::ffff:127.0.0.1', '::ffff:169.254.169.254', '::ffff:192.168.7.7', '64:ff9b::7f00:1', '64:ff9b::a9fe:a9fe', '2002:7f00:1::1', '2001::1',
    'fe80::1', 'fd00:ec2::254', 'ff02::1', '2001:db8::7',
  ]
  for (const rules of [[], ['allow any'], ['allow 0.0.0.0/0', 'allow [::/0]:1-65535']]) {
    for (const text of closed) expect(policy(rules).allows({ protocol: 'tcp', address: address(text), port: 80 }), `${text} ${rules.join()}`).toBe(false)
    for (const text of ['1.1.1.1', '192.168.7.8', '10.0.0.1', '2606:4700::1', '64:ff9b::101:101']) {
      expect(policy(rules).allows({ protocol: 'tcp', address: address(text), port: 80 }), text).toBe(true)
    }
  }
  expect(policy(['allow tcp:127.0.0.1:80']).allows({ protocol: 'tcp', address: address('127.0.0.1'), port: 80 })).toBe(true)
  expect(policy(['allow tcp:127.0.0.1:80']).allows({ protocol: 'tcp', address: address('127.0.0.1'), port: 81 })).toBe(false)
  expect(policy(['allow tcp:127.0.0.1:80']).allows({ protocol: 'udp', address: address('127.0.0.1'), port: 80 })).toBe(false)
  expect(policy(['allow 192.168.7.0/24']).allows({ protocol: 'tcp', address: address('192.168.7.7'), port: 80 })).toBe(false)
  expect(policy(['allow 192.168.7.7']).allows({ protocol: 'tcp', address: address('192.168.7.7'), port: 80 })).toBe(true)
  expect(policy(['deny 10.1.0.0/16', 'allow 10.0.0.0/8'], 'deny').allows({ protocol: 'tcp', address: address('10.1.2.3'), port: 1 })).toBe(false)
  expect(policy(['deny 10.1.0.0/16', 'allow 10.0.0.0/8'], 'deny').allows({ protocol: 'tcp', address: address('10.2.2.3'), port: 1 })).toBe(true)
  expect(reservedPrefixes).toHaveLength(15)
})

test('what does not make sense in options is refused, with its name', () => {
  for (const options of [
    { network: '10.0.2.1/24' }, { network: '10.0.2.0/30' }, { network6: 'fd00::/48' }, { mtu: 1000 }, { mac: '33:33:00:00:00:01' }, { mode: 'x' as 'nat' },
    { forward: ['tcp:2222'] }, { forward: ['tcp:127.0.0.1:1-9.9.9.9:1'] }, { service: ['tcp::80-127.0.0.1:80'] }, { rules: ['allow 10.0.0.1/8'] }, { rules: ['allow any:9-1'] },
    { mode: 'isolated' as const, forward: ['tcp::1-:1'] },
  ]) {
    let code = ''
    try {
      natSettings(options)
    } catch (error) {
      code = isMachinistError(error) ? error.code : String(error)
    }
    expect(code, JSON.stringify(options)).toBe('nat-option')
  }
  expect(parsePrefix('fd00::/8')?.bits).toBe(8)
})

test('fragments come together in any order, and those that overlap do not', () => {
  const below = random(3)
  for (let round = 0; round < 120; round++) {
    const six = round % 2 === 1
    const [source, destination] = six ? [address('fd00::15'), address('fd00::2')] : [address('10.0.2.15'), address('10.0.2.2')]
    const { bytes, transport } = newPacket({ source, destination, protocol: 17, sourceMac: 2, destinationMac: 0 }, 1300 + below(60_000))
    for (let at = transport; at < bytes.length; at++) bytes[at] = below(256)
    const pieces = fragments(bytes, 1280, round)
    const reassembly = new Reassembly()
    const results: Uint8Array[] = []
    const take = (piece: Uint8Array): void => {
      const whole = reassembly.take(piece, 14, piece.length, six ? 6 : 4, 0)
      if (whole !== null) results.push(whole)
    }
    const order = pieces.map((piece) => ({ piece, key: below(1000) })).sort((one, other) => one.key - other.key).map(({ piece }) => piece)
    if (below(3) === 0 && pieces.length > 2) {
      // A piece of another size in the same place.
      take(order[0]!)
      const bad = order[0]!.slice(0, order[0]!.length - 8)
      if (six) set16(bad, 18, bad.length - 54)
      else {
        set16(bad, 16, bad.length - 14)
        fillHeaderChecksum(bad, 14)
      }
      take(bad)
      for (const piece of order.slice(1)) take(piece)
      expect(results).toEqual([])
    } else {
      for (const piece of [order[0]!, ...order]) take(piece)
      expect(results).toHaveLength(1)
      expect(Buffer.compare(results[0]!.subarray(transport), bytes.subarray(transport))).toBe(0)
    }
    reassembly.expire(1e9)
    expect(reassembly.size).toBe(0)
  }
})

/** A host that does at random what hosts do. */
function fakeHost(below: (limit: number) => number): { sockets: HostSockets; play(): void; open(): number } {
  const streams = new Map<object, { events: StreamEvents; credit: number }>()
  const later: (() => void)[] = []
  const stream = (events: StreamEvents): ReturnType<HostSockets['connect']> => {
    const self = {
      write(bytes: Uint8Array) { later.push(() => { if (streams.has(self)) events.sent(bytes.length) }) },
      grant(count: number) {
        const known = streams.get(self)
        if (known !== undefined) known.credit += count
      },
      end() { later.push(() => { if (streams.delete(self)) events.closed(null) }) },
      abort() { streams.delete(self) },
    }
    streams.set(self, { events, credit: 0 })
    return self
  }
  const datagrams = (): { send(bytes: Uint8Array, to?: Endpoint): void; close(): void } => ({ send() {}, close() {} })
  return {
    open: () => streams.size,
    play() {
      for (const call of later.splice(0)) call()
      for (const [self, state] of [...streams]) {
        const what = below(12)
        if (what === 0) state.events.open()
        else if (what === 1) state.events.end()
        else if (what === 2) {
          streams.delete(self)
          state.events.closed(below(2) === 0 ? 'reset' : 'unreachable')
        } else if (what < 6 && state.credit > 0) {
          const bytes = new Uint8Array(1 + below(60_000))
          state.credit -= bytes.length
          state.events.data(bytes)
        }
      }
    },
    sockets: {
      connect: (_to, events) => stream(events),
      listen: (_at, accept) => {
        later.push(() => {
          const events: { current: StreamEvents | null } = { current: null }
          const inner = stream({
            open() {}, data: (bytes) => { events.current?.data(bytes) }, end: () => { events.current?.end() },
            sent: (count) => { events.current?.sent(count) }, closed: (error) => { events.current?.closed(error) },
          })
          events.current = accept({ address: address('127.0.0.1'), port: 9 }, inner)
        })
        return { port: 1, close() {} }
      },
      datagrams: (_to, events) => {
        later.push(() => { events.message(new Uint8Array(below(70_000)), { address: address('9.9.9.9'), port: 9 }) })
        return datagrams()
      },
      bind: (_at, events) => {
        later.push(() => { events.message(new Uint8Array(10), { address: address('127.0.0.1'), port: 9 }) })
        return datagrams()
      },
      resolve: (query, done) => { later.push(() => { done(below(2) === 0 ? null : query) }) },
      ping: (_to, _payload, done) => {
        later.push(() => { done(true) })
        return below(4) > 0 || later.pop() === undefined
      },
      addresses: () => [],
      after: (_ms, callback) => {
        later.push(callback)
        return () => {}
      },
      random: () => below(2 ** 32),
      close() {},
    },
  }
}

test.each([1, 2, 3])('hostile frames neither throw nor stay: flows, queues and clocks are bounded (%i)', (seed) => {
  const below = random(seed)
  const host = fakeHost(below)
  const network = nat(host.sockets, { connections: 20, conversations: 10, forward: ['tcp::1000-:22', 'udp::1000-:53'], service: ['tcp:10.0.2.100:80-127.0.0.1:80'] })
  let queue: (() => void)[] = []
  const port: NetPort = network.connect((callback) => { queue.push(callback) })
  const guest = ['10.0.2.15', '10.0.2.16', 'fd00:6d61:6368:696e::15', 'fe80::15', '9.9.9.9'].map(address)
  const remote = ['10.0.2.2', '10.0.2.3', '10.0.2.100', '1.1.1.1', '255.255.255.255', '127.0.0.1', 'fd00:6d61:6368:696e::2', 'ff02::1', '2606:4700::1'].map(address)
  const frame = (): Uint8Array => {
    const source = guest[below(guest.length)]!
    const destination = remote.filter(({ length }) => length === source.length)[below(3)]!
    const six = source.length === 16
    const protocol = [6, 6, 17, 17, six ? 58 : 1, six ? 44 : 47][below(6)]!
    const length = below(10) === 0 ? below(60_000) : below(120)
    const { bytes, transport } = newPacket({ source, destination, protocol, sourceMac: 0x5254_0012_3400 + below(3), destinationMac: 0x5255_0a00_0202, hops: below(3) === 0 ? 255 : below(5) }, length)
    for (let at = transport; at < bytes.length && at < transport + 200; at++) bytes[at] = below(256)
    if (below(8) === 0) bytes.set(macBytes(0xffff_ffff_ffff))
    if (below(12) === 0) set16(bytes, 12, 0x0806)
    if (protocol === 6 || protocol === 17) {
      set16(bytes, transport, 4000 + below(30))
      set16(bytes, transport + 2, [80, 53, 67, 443][below(4)]!)
      if (protocol === 6 && length >= 20) {
        bytes[transport + 12] = below(4) === 0 ? below(256) : 0x50
        bytes[transport + 13] = [2, 2, 16, 24, 17, 4, below(256)][below(7)]!
      } else if (length >= 8) set16(bytes, transport + 4, below(4) === 0 ? below(65_536) : length)
    } else if (length > 0) bytes[transport] = [8, 128, 133, 135, below(256)][below(5)]!
    if (below(6) === 0) bytes[14 + below(40)] = below(256)
    return bytes
  }
  for (let round = 0; round < 6000; round++) {
    const bytes = frame()
    const open = below(6) === 0 ? undefined : { start: 34, offset: below(20) }
    if (below(40) === 0) port.accept(below(2) === 0 ? allOffloads : noOffloads)
    if (open !== undefined && below(3) === 0 && bytes.length > 60) fillChecksum(bytes, open)
    port.send({
      bytes: below(20) === 0 ? bytes.subarray(0, below(bytes.length)) : bytes,
      ...(below(2) === 0 && { trusted: true }),
      ...(below(4) === 0 && open !== undefined && { checksum: open }),
      ...(below(8) === 0 && open !== undefined && { segmentation: { kind: (['tcp4', 'tcp6', 'udp'] as const)[below(3)]!, size: below(2000), headerLength: below(100), ecn: false } }),
    })
    if (below(3) === 0) for (let count = below(40); count > 0 && port.receive() !== null; count--);
    if (below(4) === 0) host.play()
    for (const callback of queue.splice(0)) callback()
    queue = queue.slice()
    expect(network.stats.connections).toBeLessThanOrEqual(20)
    expect(network.stats.conversations).toBeLessThanOrEqual(10)
  }
  expect(network.stats.dropped).toBeGreaterThan(100)
  network.close()
  expect(host.open()).toBeLessThanOrEqual(1)
})
