/** Several machines behind one NAT: what one does to have more than the others, or to pass for them. */
import type { BackendClock, NetPort } from '@machinist/api'
import { get16, ipProtocol, macAt, macBytes, set16 } from '@machinist/packets'
import { expect, test } from 'vitest'
import { type Address, addressText, parseAddress } from './address.ts'
import { nat } from './nat.ts'
import type { NatOptions } from './options.ts'
import { newPacket } from './packet.ts'
import type { HostDatagrams } from './sockets.ts'

const address = (text: string): Address => parseAddress(text)!
const GATEWAY = 0x5255_0a00_0202
const WORLD = '192.0.2.1'
/** Ethernet addresses of two machines; the second digit from the right is free for each of them. */
const [BAD, GOOD] = [0x0200_0000_0000, 0x0200_0000_1000]

function bench(options: NatOptions = {}) {
  const calls: { readonly port: number; granted: number; ended: boolean }[] = []
  const talks: { readonly port: number; answer(): void; ended: boolean }[] = []
  let now = 0
  let alarm: { at: number, expired: () => void } = { at: Infinity, expired: () => {} }
  const clock: BackendClock = { now: () => now, timer: (expired) => ({ arm(at) { alarm = { at, expired } }, cancel() { alarm = { at: Infinity, expired } } }) }
  const network = nat({
    connect: (to) => {
      const call = { port: to.port, granted: 0, ended: false }
      calls.push(call)
      return { write() {}, end() {}, grant(count) { call.granted += count }, abort() { call.ended = true } }
    },
    listen: () => ({ port: 1, close() {} }),
    datagrams: (to, events): HostDatagrams => {
      const talk = { port: to.port, ended: false, answer: () => { events.message(Uint8Array.of(42), to) } }
      talks.push(talk)
      return { send() {}, close() { talk.ended = true } }
    },
    bind: () => ({ send() {}, close() {} }),
    resolve() {}, addresses: () => [], after: () => () => {}, random: () => 1, close() {},
  }, { shared: true, machineAt: (mac) => Math.floor(mac / 0x1000), ...options })
  const queue: (() => void)[] = []
  const port: NetPort = network.connect((work) => { queue.push(work) }, clock)
  const settle = (): void => { while (queue.length > 0) queue.shift()?.() }
  const send = (mac: number, source: string, protocol: number, body: Uint8Array, to: string = source.includes(':') ? '2001:db8::1' : WORLD, hops?: number): void => {
    const { bytes, transport } = newPacket({ source: address(source), destination: address(to), protocol, sourceMac: mac, destinationMac: GATEWAY, ...(hops !== undefined && { hops }) }, body.length)
    bytes.set(body, transport)
    port.send({ bytes, trusted: true })
    settle()
  }
  const ports = (from: number, remote: number, length: number): Uint8Array => {
    const bytes = new Uint8Array(length)
    set16(bytes, 0, from)
    set16(bytes, 2, remote)
    return bytes
  }
  return {
    network, calls, talks, send,
    udp(mac: number, source: string, from: number, remote: number) {
      const bytes = ports(from, remote, 9)
      set16(bytes, 4, 9)
      send(mac, source, ipProtocol.udp, bytes)
    },
    call(mac: number, source: string, from: number, remote: number) {
      const bytes = ports(from, remote, 20)
      bytes.set([0x50, 2, 255, 255], 12)
      send(mac, source, ipProtocol.tcp, bytes)
    },
    frames(): { readonly to: number; readonly bytes: Uint8Array }[] {
      settle()
      const all: { readonly to: number; readonly bytes: Uint8Array }[] = []
      for (let frame = port.receive(); frame !== null; frame = port.receive()) all.push({ to: macAt(frame.bytes, 0), bytes: frame.bytes })
      return all
    },
    pass(seconds: number) {
      const end = now + seconds * 1e9
      while (alarm.at <= end) {
        now = Math.max(now, alarm.at)
        const { expired } = alarm
        alarm = { at: Infinity, expired }
        expired()
        settle()
      }
      now = end
    },
  }
}

const bad = (index: number): [number, string] => [BAD + index, `10.0.2.${String(100 + index)}`]

test('one machine may have all conversations, and gives them away when others want some, whatever addresses it uses', () => {
  const { talks, udp, frames } = bench({ conversations: 8 })
  for (let index = 0; index < 8; index++) udp(...bad(index), 1, 1000 + index)
  expect(talks.filter(({ ended }) => !ended).length).toBe(8)
  udp(GOOD, '10.0.2.15', 1, 53_000)
  udp(GOOD, '10.0.2.15', 1, 53_001)
  for (let index = 0; index < 200; index++) udp(...bad(index % 100), 2, 2000 + index)
  const open = talks.filter(({ ended }) => !ended).map(({ port }) => port)
  expect([open.length, open.filter((port) => port >= 53_000)]).toEqual([8, [53_000, 53_001]])
  frames()
  talks.find(({ port }) => port === 53_000)!.answer()
  expect(frames().map(({ to }) => to)).toEqual([GOOD])
  // The longest silent of its own, when it has as much as its part.
  for (let index = 0; index < 9; index++) udp(GOOD, '10.0.2.15', 3, 54_000 + index)
  const mine = talks.filter(({ ended, port }) => !ended && port >= 53_000).map(({ port }) => port)
  expect([mine.length >= 4, mine.length <= 5, mine.at(-1), mine.includes(53_001)]).toEqual([true, true, 54_008, false])
})

test('one machine may have all connections, and loses those it has too many of when others want some', () => {
  const { calls, call, network } = bench({ connections: 8 })
  for (let index = 0; index < 12; index++) call(...bad(index), 1, 1000 + index)
  expect([calls.length, network.stats.connections]).toEqual([8, 8])
  for (let index = 0; index < 12; index++) call(GOOD, '10.0.2.15', 1 + index, 80)
  for (let index = 0; index < 12; index++) call(...bad(index), 2, 2000 + index)
  const open = calls.filter(({ ended }) => !ended).map(({ port }) => port)
  expect([open.length, open.filter((port) => port === 80).length]).toEqual([8, 4])
  // The oldest went, and nobody lost one who had no more than others.
  expect(open.filter((port) => port !== 80)).toEqual([1004, 1005, 1006, 1007])
})

test('connections of one machine leave room in the buffers for those of others', () => {
  const { call, calls } = bench()
  call(GOOD, '10.0.2.15', 1, 80)
  for (let index = 0; index < 500; index++) call(...bad(index % 50), 1 + index, 80)
  call(GOOD, '10.0.2.15', 1, 443)
  // What the host may send before the guest has taken any of it.
  expect(calls.at(-1)!.granted).toBeGreaterThanOrEqual(calls[0]!.granted / 4)
})

test('leases are taken from who has most of them, and not by asking in the name of others', () => {
  const { send, frames } = bench({ network: '10.0.2.0/27' })
  const ask = (mac: number, client: number, type: number): string | null => {
    const bytes = new Uint8Array(308)
    bytes.set([0, 68, 0, 67, 1, 52])
    bytes.set([1, 1, 6], 8)
    bytes.set(macBytes(client), 36)
    bytes.set([0x63, 0x82, 0x53, 0x63, 53, 1, type, 255], 244)
    send(mac, '0.0.0.0', ipProtocol.udp, bytes, '255.255.255.255')
    const [answer] = frames()
    if (answer === undefined) return null
    return addressText(answer.bytes.slice(14 + 20 + 8 + 16, 14 + 20 + 8 + 20))
  }
  const given = ask(GOOD, GOOD, 1)
  expect(given).toBe('10.0.2.15')
  for (let index = 0; index < 100; index++) ask(BAD, BAD + 16 + index, 1)
  ask(BAD, GOOD, 1)
  for (let index = 0; index < 100; index++) ask(BAD, 0x0200_0077_0000 + index, 1)
  expect(ask(GOOD, GOOD, 1)).toBe(given)
})

test('an IPv6 address that is made of an Ethernet address is that one\'s; another stays with the station that has it, as long as that answers', () => {
  const { udp, talks, frames, send, pass } = bench()
  const made = 'fd00:6d61:6368:696e:0:ff:fe00:1000'
  const used = (mac: number, source: string, remote: number): boolean => {
    udp(mac, source, 1, remote)
    return talks.some(({ port }) => port === remote)
  }
  expect([used(BAD, made, 10), used(GOOD, made, 11), used(BAD, made, 12)]).toEqual([false, true, false])
  const free = 'fd00:6d61:6368:696e::77'
  expect([used(GOOD, free, 20), used(BAD, free, 21)]).toEqual([true, false])
  // The station that has it is asked, and answers (RFC 4861, 7.2.4).
  const asked = (): number => frames().filter(({ bytes }) => get16(bytes, 12) === 0x86dd && bytes[54] === 135 && addressText(bytes.slice(62, 78)) === free).length
  expect(asked()).toBe(1)
  const advertisement = new Uint8Array(24)
  advertisement[0] = 136
  advertisement.set(address(free), 8)
  const answers = (): void => { send(GOOD, free, ipProtocol.icmpv6, advertisement, 'fd00:6d61:6368:696e::2', 255) }
  answers()
  for (let second = 0; second < 300; second += 2) {
    pass(2)
    expect(used(BAD, free, 100 + second)).toBe(false)
    if (asked() > 0) answers()
  }
  expect(used(GOOD, free, 400)).toBe(true)
  talks.find(({ port }) => port === 400)!.answer()
  expect(frames().map(({ to }) => to)).toEqual([GOOD])
  // It has gone.
  for (let second = 0; second < 5; second++) {
    pass(2)
    used(BAD, free, 500)
  }
  expect(used(BAD, free, 501)).toBe(true)
  talks.find(({ port }) => port === 501)!.answer()
  expect(frames().map(({ to }) => to).filter((to) => to === BAD || to === GOOD)).toEqual([BAD])
})

test('without anything that tells machines apart each Ethernet address is one', () => {
  const { talks, udp } = bench({ conversations: 4, machineAt: () => null })
  udp(GOOD, '10.0.2.15', 1, 53_000)
  for (let index = 0; index < 40; index++) udp(BAD, '10.0.2.100', 1, 1000 + index)
  expect(talks.filter(({ ended }) => !ended).map(({ port }) => port)).toContain(53_000)
})
