import type { Frame } from '@machinist/api'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { arp, broadcast, checksum, etherType, exchangeStations, get16, ipv6, macAt, macBytes, parseIp, pseudoHeaderSum, set16, udp } from './index.ts'
import { checksumsHold, ipFrame } from './testing.ts'

const [one, other, third] = [0x0200_0000_0001, 0x02aa_bbcc_ddee, 0x0200_0000_0003]
const station = fc.constantFrom(one, other, third, broadcast)
const swapped = (mac: number): number => mac === one ? other : mac === other ? one : mac
const vlan = fc.constantFrom(undefined, 7)
const tagged = <T extends object>(options: T, tag: number | undefined): T & { vlan?: number } => tag === undefined ? options : { ...options, vlan: tag }

/** Exchanges, which changes nothing of the frame itself, and twice is not at all. */
function exchanged(frame: Frame): Frame {
  const before = frame.bytes.slice()
  const after = exchangeStations(frame, one, other)
  expect(frame.bytes).toEqual(before)
  return after
}

function header(destination: number, source: number, type: number, tag: number | undefined): number[] {
  return [...macBytes(destination), ...macBytes(source), ...tag === undefined ? [] : [0x81, 0, 0, tag], type >>> 8, type & 0xff]
}

describe('stations are exchanged', () => {
  it('in the header of any frame, and nothing else of one that says nothing of stations', () => {
    fc.assert(fc.property(station, station, fc.constantFrom<4 | 6>(4, 6), fc.constantFrom<'tcp' | 'udp'>('tcp', 'udp'), fc.uint8Array({ maxLength: 300 }), vlan, (destination, source, version, protocol, payload, tag) => {
      const frame = ipFrame(tagged({ version, protocol, destination, source, payload, ports: [5000, 67] }, tag))
      expect(exchanged(frame)).toEqual(ipFrame(tagged({ version, protocol, destination: swapped(destination), source: swapped(source), payload, ports: [5000, 67] }, tag)))
    }))
  })

  it('in ARP', () => {
    fc.assert(fc.property(station, station, station, station, vlan, fc.uint8Array({ minLength: 8, maxLength: 8 }), (destination, source, sender, target, tag, ips) => {
      const make = (map: (mac: number) => number): Frame => ({
        bytes: Uint8Array.from([
          ...header(map(destination), map(source), etherType.arp, tag), 0, 1, 8, 0, 6, 4, 0, 2, ...macBytes(map(sender)), ...ips.subarray(0, 4), ...macBytes(map(target)), ...ips.subarray(4), 0, 0, 0,
        ]),
      })
      expect(exchanged(make((mac) => mac))).toEqual(make(swapped))
    }))
    // Of another kind of hardware, and cut off: nobody's addresses.
    const bytes = Uint8Array.from([...header(broadcast, third, etherType.arp, undefined), 0, 6, 8, 0, 6, 4, 0, 1, ...macBytes(one), 1, 2, 3, 4, ...macBytes(other), 1, 2, 3, 4])
    expect(exchanged({ bytes }).bytes).toBe(bytes)
    bytes[15] = 1
    expect(macAt(exchanged({ bytes }).bytes, 14 + arp.senderMac)).toBe(other)
    const cut = bytes.subarray(0, 41)
    expect(exchanged({ bytes: cut }).bytes).toBe(cut)
  })

  it('in neighbour discovery, whose checksum holds as before', () => {
    const message = fc.constantFrom([133, 8], [134, 16], [135, 24], [136, 24], [137, 40])
    const option = fc.oneof(
      fc.tuple(fc.constantFrom(1, 2), station).map(([type, mac]) => ({ type, mac })), fc.uint8Array({ minLength: 14, maxLength: 14 }).map((bytes) => ({ type: 5, bytes })))
    fc.assert(fc.property(message, fc.array(option, { maxLength: 4 }), station, vlan, fc.boolean(), ([type, length], options, source, tag, right) => {
      const make = (map: (mac: number) => number): Uint8Array => {
        const body = [type!, 0, 0, 0, ...new Array<number>(length! - 4).fill(0x5a), ...options.flatMap((each) => 'mac' in each ? [each.type, 1, ...macBytes(map(each.mac))] : [each.type, 2, ...each.bytes])]
        const ip = [0x60, 0, 0, 0, 0, body.length, 58, 255, ...new Array<number>(32).fill(0xfe)]
        const bytes = Uint8Array.from([...header(0x3333_0000_0001, map(source), etherType.ipv6, tag), ...ip, ...body])
        const packet = parseIp(bytes)!
        const sum = checksum(bytes, packet.transport!, packet.end, pseudoHeaderSum(bytes, packet, body.length))
        set16(bytes, packet.transport! + 2, right ? sum : sum ^ 0x0f00)
        return bytes
      }
      const { bytes } = exchanged({ bytes: make((mac) => mac) })
      const wanted = make(swapped)
      const packet = parseIp(wanted)!
      const valid = checksum(bytes, packet.transport!, packet.end, pseudoHeaderSum(bytes, packet, packet.end - packet.transport!))
      expect(valid === 0).toBe(right)
      // 0 and 0xffff are the same number.
      if (right) set16(wanted, packet.transport! + 2, get16(bytes, packet.transport! + 2))
      else for (const each of [wanted, bytes]) set16(each, packet.transport! + 2, 0)
      expect(bytes).toEqual(wanted)
    }))
  })

  it('in DHCP, as the client and as what it is called, whether its checksum is right, open or absent', () => {
    fc.assert(fc.property(station, station, fc.nat(40), fc.constantFrom('right', 'open', 'absent'), fc.constantFrom([68, 67], [67, 68], [67, 67]), vlan, (client, called, pad, how, ports, tag) => {
      const make = (map: (mac: number) => number): Frame => {
        const payload = new Uint8Array(236 + 4 + pad + 9 + 1 + 20)
        payload.set([1, 1, 6])
        payload.set(macBytes(map(client)), 28)
        payload.set([0x63, 0x82, 0x53, 0x63], 236)
        payload.set([61, 7, 1, ...macBytes(map(called)), 255, ...macBytes(one)], 240 + pad)
        const frame = ipFrame(tagged({ version: 4 as const, protocol: 'udp' as const, destination: broadcast, source: map(client), payload, ports: [ports[0]!, ports[1]!] as const, open: how === 'open' }, tag))
        if (how === 'absent') set16(frame.bytes, parseIp(frame.bytes)!.transport! + udp.checksum, 0)
        return frame
      }
      const after = exchanged(make((mac) => mac))
      expect(after).toEqual(make(swapped))
      if (how === 'right') expect(checksumsHold(after.bytes)).toBe(true)
    }))
  })
})

it('any bytes at all are exchanged within bounds, and back to what they were', () => {
  const pieces = fc.array(fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(one, other).map(macBytes), fc.constantFrom(
    Uint8Array.of(0x08, 0x06, 0, 1, 8, 0, 6, 4), Uint8Array.of(0x86, 0xdd, 0x60, 0, 0, 0, 0, 40, 58, 255), Uint8Array.of(0x81, 0), Uint8Array.of(0x45, 0, 0, 60), Uint8Array.of(135, 0), Uint8Array.of(1, 1), Uint8Array.of(1, 0))), { maxLength: 12 })
  fc.assert(fc.property(pieces, station, station, fc.option(fc.record({ start: fc.nat(60), offset: fc.nat(10) }), { nil: undefined }), (list, destination, source, open) => {
    const bytes = Uint8Array.from([...macBytes(destination), ...macBytes(source), ...list.flatMap((piece) => [...piece])])
    const frame: Frame = { bytes, ...(open !== undefined && { checksum: open }) }
    const there = exchanged(frame)
    expect(there.bytes.length).toBe(bytes.length)
    const back = exchanged(there)
    // But for a checksum, in which 0 and 0xffff are the same number.
    const differing = [...bytes.keys()].filter((at) => bytes[at] !== back.bytes[at])
    expect(differing.length).toBeLessThanOrEqual(2)
    if (bytes.length >= 14) expect([macAt(there.bytes, 0), macAt(there.bytes, 6)]).toEqual([swapped(destination), swapped(source)])
  }), { numRuns: 2000 })
  expect(exchanged({ bytes: new Uint8Array(0) }).bytes.length).toBe(0)
  // Options of length zero, and 64 KiB of the shortest.
  const long = new Uint8Array(65_000)
  long.set([...header(broadcast, one, etherType.ipv6, undefined), 0x60])
  set16(long, 14 + ipv6.payloadLength, long.length - 54)
  long.set([58, 255], 14 + ipv6.nextHeader)
  long[54] = 133
  for (let at = 62; at + 8 <= long.length; at += 8) long.set([1, 1, ...macBytes(one)], at)
  expect(macAt(exchanged({ bytes: long }).bytes, 62 + 8 * 8000 + 2)).toBe(other)
})
