import type { Frame } from '@machinist/api'
import { allOffloads, noOffloads } from '@machinist/api'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  adapt, broadcast, checksum, flowHash, get16, get32, isGroup, macAt, macBytes, macOfName, macText, mostSegments, offloadsFit, parseIp, parseMac, segments, tcp, tcpFlag, udp,
} from './index.ts'
import { checksumsHold, ipFrame } from './testing.ts'

const frame = fc.record({
  version: fc.constantFrom<4 | 6>(4, 6),
  protocol: fc.constantFrom<'tcp' | 'udp'>('tcp', 'udp'),
  options: fc.constantFrom(0, 8, 24),
  payload: fc.uint8Array({ maxLength: 3000 }),
  flags: fc.integer({ min: 0, max: 255 }),
  sequence: fc.constantFrom(0, 1, 0xffff_ff00),
  ports: fc.tuple(fc.integer({ min: 0, max: 65535 }), fc.integer({ min: 0, max: 65535 })),
  vlan: fc.constantFrom(undefined, 5),
}, { requiredKeys: ['version'] }).map(({ vlan, ...rest }) => vlan === undefined ? rest : { ...rest, vlan })

describe('addresses', () => {
  it('are the same in every notation', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: broadcast }), (mac) => {
      expect(macAt(macBytes(mac), 0)).toBe(mac)
      expect(parseMac(macText(mac))).toBe(mac)
      expect(isGroup(mac)).toBe((macBytes(mac)[0]! & 1) === 1)
    }))
    expect(macText(macOfName('net0'))).toMatch(/^[0-9a-f][26ae]:/)
    expect(new Set(Array.from({ length: 1000 }, (_, index) => macOfName(`switch.port${index}`))).size).toBe(1000)
    expect(macText(0x5254_0012_3456)).toBe('52:54:00:12:34:56')
    expect(['', '52:54:00:12:34', '52:54:00:12:34:5g', '52-54:00:12:34:56', '525400123456', '52:54:00:12:34:56:78'].map(parseMac)).toEqual(Array(6).fill(null))
  })
})

describe('checksums', () => {
  it('are those of RFC 1071, 3', () => {
    expect(checksum(Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7), 0, 8)).toBe(0xddf2 ^ 0xffff)
  })

  it('hold in what is filled in, and catch a changed bit', () => {
    fc.assert(fc.property(frame, fc.nat(), (options, place) => {
      const [filled] = adapt(ipFrame({ ...options, open: true }), noOffloads)
      const { bytes } = filled!
      expect(filled).toEqual(ipFrame(options))
      expect(checksumsHold(bytes)).toBe(true)
      const packet = parseIp(bytes)!
      const at = packet.transport! + place % (packet.end - packet.transport!)
      bytes[at] = bytes[at]! ^ 0x10
      expect(checksumsHold(bytes)).toBe(false)
    }))
  })

  it('of long frames do not overflow', () => {
    const { bytes } = ipFrame({ version: 4, payload: new Uint8Array(65000).fill(0xff) })
    expect(checksumsHold(bytes)).toBe(true)
  })
})

describe('segmentation', () => {
  it('gives packets that are right by themselves and hold together what was sent', () => {
    fc.assert(fc.property(frame, fc.integer({ min: 1, max: 1500 }), fc.boolean(), fc.boolean(), (options, segment, open, ecn) => {
      const made = ipFrame({ ...options, segment: Math.max(segment, 3) })
      const whole = { ...made, segmentation: { ...made.segmentation!, ecn } }
      expect(offloadsFit(whole)).toBe(true)
      const before = whole.bytes.slice()
      const list = segments(whole, open)
      expect(whole.bytes).toEqual(before)
      const size = whole.segmentation!.size
      const payload = options.payload ?? new Uint8Array(0)
      expect(list.length).toBe(Math.max(1, Math.ceil(payload.length / size)))
      const together: number[] = []
      const original = parseIp(whole.bytes)!
      const tcpFlags = whole.bytes[original.transport! + tcp.flags]!
      for (const [index, part] of list.entries()) {
        const bytes = open ? adapt(part, noOffloads)[0]!.bytes : part.bytes
        expect(part.checksum).toEqual(open ? whole.checksum : undefined)
        expect(checksumsHold(bytes)).toBe(true)
        const packet = parseIp(bytes)!
        expect(packet.end).toBe(bytes.length)
        together.push(...bytes.subarray(packet.payload!))
        if (packet.version === 4) expect(get16(bytes, packet.network + 4)).toBe((0xfffe + index) & 0xffff)
        if (whole.segmentation!.kind === 'udp') {
          expect(get16(bytes, packet.transport! + udp.size)).toBe(bytes.length - packet.transport!)
          continue
        }
        expect(get32(bytes, packet.transport! + tcp.sequence)).toBe(((options.sequence ?? 1) + index * size) >>> 0)
        // Without ECN as it was, CWR is for every segment: it means something else then.
        const only = (index === 0 || !whole.segmentation!.ecn ? tcpFlag.cwr : 0) | (index === list.length - 1 ? tcpFlag.fin | tcpFlag.psh : 0)
        const some = tcpFlag.cwr | tcpFlag.fin | tcpFlag.psh
        expect(bytes[packet.transport! + tcp.flags]).toBe(tcpFlags & (~some | only))
      }
      expect(together).toEqual([...payload])
    }))
  })

  it('is done exactly where the taker does not', () => {
    const long = ipFrame({ version: 4, payload: new Uint8Array(3000), segment: 1000 })
    const cwr = ipFrame({ version: 4, payload: new Uint8Array(3000), segment: 1000, flags: tcpFlag.cwr })
    expect(adapt(long, allOffloads)).toEqual([long])
    expect(adapt(long, { ...allOffloads, ecn: false, tcp6: false, udp: false })).toEqual([long])
    expect(adapt(cwr, { ...allOffloads, ecn: false }).map(({ checksum }) => checksum === undefined)).toEqual([false, false, false])
    expect(adapt(long, { ...allOffloads, tcp4: false })).toHaveLength(3)
    // Segmentation without checksums is no such thing.
    expect(adapt(long, { ...allOffloads, checksum: false }).every(({ bytes }) => checksumsHold(bytes))).toBe(true)
    const plain = ipFrame({ version: 6 })
    expect(adapt(plain, noOffloads)[0]).toBe(plain)
  })

  it('of nonsense gives nothing, never throws, and never gives more than its bound', () => {
    const nonsense: Partial<NonNullable<Frame['segmentation']>>[] = [
      { size: 0 }, { size: -1 }, { size: NaN }, { size: 1.5 }, { headerLength: 0 }, { headerLength: 70_000 }, { kind: 'tcp6' }, { kind: 'udp' }]
    const good = ipFrame({ version: 4, payload: new Uint8Array(5000), segment: 1000 })
    for (const change of nonsense) {
      const bad = { ...good, segmentation: { ...good.segmentation!, ...change } }
      expect([offloadsFit(bad), adapt(bad, noOffloads)]).toEqual([false, []])
    }
    for (const checksum of [{ start: 0, offset: 16 }, { start: 34, offset: 6 }, { start: 34, offset: 70_000 }]) {
      expect(adapt({ ...good, checksum }, noOffloads)).toEqual([])
    }
    expect(segments({ ...good, segmentation: { ...good.segmentation!, size: 4 } })).toHaveLength(1250)
    expect(segments({ ...good, segmentation: { ...good.segmentation!, size: 3 } })).toEqual([])
    fc.assert(fc.property(frame, fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { minLength: 1, maxLength: 4 }), fc.nat(5000), fc.integer({ min: -1, max: 100 }), (options, changes, cut, size) => {
      const whole = ipFrame({ ...options, segment: 100 })
      for (const [at, value] of changes) if (at < whole.bytes.length) whole.bytes[at] = value
      const bad = { ...whole, bytes: whole.bytes.subarray(0, cut), segmentation: { ...whole.segmentation!, size } }
      const list = adapt(bad, noOffloads)
      expect(list.length).toBeLessThanOrEqual(mostSegments)
      expect(list.length > 0).toBe(offloadsFit(bad))
      flowHash(bad.bytes)
    }))
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const packet = parseIp(bytes)
      if (packet !== null) for (const at of [packet.network, packet.end, packet.transport, packet.payload]) expect(at ?? 0).toBeLessThanOrEqual(bytes.length)
    }))
  })
})

describe('flows', () => {
  it('have one number in both directions, and others mostly another', () => {
    const turned = ({ bytes }: Frame): Uint8Array => {
      const packet = parseIp(bytes)!
      const half = packet.version === 4 ? 4 : 16
      const at = packet.network + (packet.version === 4 ? 12 : 8)
      const copy = bytes.slice()
      for (const [start, length] of [[at, half], [packet.transport!, 2]] as const) {
        copy.set(bytes.subarray(start + length, start + 2 * length), start)
        copy.set(bytes.subarray(start, start + length), start + length)
      }
      return copy
    }
    fc.assert(fc.property(frame, (options) => {
      const one = ipFrame(options)
      expect(flowHash(turned(one))).toBe(flowHash(one.bytes))
    }))
    const queues = new Set<number>()
    const counts = [0, 0, 0, 0]
    for (let port = 0; port < 1000; port++) {
      const hash = flowHash(ipFrame({ version: 4, ports: [32768 + port, 80] }).bytes)
      queues.add(hash)
      counts[hash % 4]!++
    }
    expect(queues.size).toBeGreaterThan(995)
    expect(Math.min(...counts)).toBeGreaterThan(150)
  })
})
