import type { Frame, Offloads } from '@machinist/api'
import { allOffloads, isMachinistError, noOffloads } from '@machinist/api'
import { adapt, broadcast, isGroup, macAt, macBytes, macText } from '@machinist/packets'
import { ipFrame } from '@machinist/packets/testing'
import { fakeNet, testDevice } from '@machinist/registers/testing'
import type { FakeNet } from '@machinist/registers/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { virtioNet } from '../index.ts'
import { VirtioDriver } from '../testing.ts'
import type { DriverOptions, DriverRequest } from '../testing.ts'
import { gsoType, netFeature as F, packetFlag, packetHeader } from './layout.ts'

const mac = '02:00:00:00:00:01'

function make(config: object = {}, options: DriverOptions = {}, net: FakeNet = fakeNet()) {
  const dut = testDevice(virtioNet, { mac, ...config }, { name: 'net0', backends: { net }, memorySize: 1 << 24 })
  const driver = new VirtioDriver(dut, options)
  expect(driver.start()).toBe(15)
  const command = (kind: number, which: number, data: readonly number[], queue = driver.queues.length - 1): number | undefined => {
    const request = driver.submit(queue, [Uint8Array.of(kind, which), Uint8Array.from(data)], [1])
    driver.notify(queue)
    driver.collect(queue)
    return request.answers[0]?.[0]
  }
  return { dut, driver, net, command }
}

/** What the driver writes before a frame. */
function headerOf({ checksum, segmentation }: Frame): Uint8Array {
  const bytes = new Uint8Array(packetHeader.size)
  const view = new DataView(bytes.buffer)
  if (checksum !== undefined) {
    bytes[0] = packetFlag.needsCsum
    view.setUint16(packetHeader.csumStart, checksum.start, true)
    view.setUint16(packetHeader.csumOffset, checksum.offset, true)
  }
  if (segmentation !== undefined) {
    bytes[1] = { tcp4: gsoType.tcp4, tcp6: gsoType.tcp6, udp: gsoType.udpL4 }[segmentation.kind] | (segmentation.ecn ? gsoType.ecn : 0)
    view.setUint16(packetHeader.gsoSize, segmentation.size, true)
    view.setUint16(packetHeader.hdrLen, 9999, true) // not to be believed (5.1.6.2.1)
  }
  return bytes
}

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = []
  let at = 0
  for (const size of sizes) pieces.push(bytes.subarray(at, at += size))
  return [...pieces, bytes.subarray(Math.min(at, bytes.length))].filter(({ length }) => length > 0)
}

const offloads: fc.Arbitrary<Offloads> = fc.record({ checksum: fc.boolean(), tcp4: fc.boolean(), tcp6: fc.boolean(), udp: fc.boolean(), ecn: fc.boolean() })
  .map((each) => each.checksum ? { ...each, ecn: each.ecn && (each.tcp4 || each.tcp6) } : noOffloads)
const frames = fc.array(fc.record({
  version: fc.constantFrom<4 | 6>(4, 6), protocol: fc.constantFrom<'tcp' | 'udp'>('tcp', 'udp'), payload: fc.uint8Array({ minLength: 60, maxLength: 4000 }),
  flags: fc.constantFrom(16, 16 | 128), how: fc.constantFrom('plain', 'open', 'segment'),
}).map(({ how, ...rest }) => ipFrame({ ...rest, ...(how === 'open' && { open: true }), ...(how === 'segment' && { segment: 500 }) })), { maxLength: 10 })

const kinds: Readonly<Record<number, 'tcp4' | 'tcp6' | 'udp'>> = { [gsoType.tcp4]: 'tcp4', [gsoType.tcp6]: 'tcp6', [gsoType.udpL4]: 'udp' }
const plainBytes = (list: readonly Frame[]): number[][] => list.map(({ bytes }) => [...bytes])
const common = [F.mac, F.status, F.mtu, F.ctrlVq, F.ctrlRx]

it('sends frames as they are, and does for the network what it does not', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 5 })
  fc.assert(fc.property(frames, offloads, sizes, fc.boolean(), (list, taken, pieces, indirect) => {
    const { driver, net } = make({}, { indirect }, fakeNet({ offloads: taken }))
    for (const frame of list) {
      driver.submit(1, cut(Uint8Array.from([...headerOf(frame), ...frame.bytes]), pieces), [])
      driver.notify(1)
      expect(driver.collect(1)).toBe(1)
    }
    expect(plainBytes(net.sent)).toEqual(plainBytes(list.flatMap((frame) => adapt(frame, taken))))
    expect(net.sent.every(({ checksum, segmentation }) => (checksum === undefined || taken.checksum) && (segmentation === undefined || taken[segmentation.kind]))).toBe(true)
  }), { numRuns: 60 })
})

describe('receives frames', () => {
  const features = (taken: Offloads, mergeable: boolean): number[] => [
    ...common, ...(taken.checksum ? [F.guestCsum] : []), ...(taken.tcp4 ? [F.guestTso4] : []), ...(taken.tcp6 ? [F.guestTso6] : []),
    ...(taken.udp ? [F.guestUso4, F.guestUso6] : []), ...(taken.ecn ? [F.guestEcn] : []), ...(mergeable ? [F.mrgRxbuf] : []),
  ]
  it('in any buffers, and does for the driver what it does not', () => {
    const size = fc.oneof(fc.integer({ min: 12, max: 3000 }), fc.constant(6000))
    fc.assert(fc.property(frames, offloads, fc.array(size, { minLength: 30, maxLength: 40 }), fc.boolean(), fc.boolean(), (list, taken, sizes, mergeable, early) => {
      const { driver, net } = make({ queueSize: 64 }, { features: features(taken, mergeable), queueSize: 64 })
      expect(net.accepted).toEqual(taken)
      if (early) net.give(...list)
      const requests = sizes.map((length) => driver.submit(0, [], [length]))
      driver.notify(0)
      if (!early) net.give(...list)
      driver.collect(0)
      const used = requests.filter(({ written }) => written !== null)
      const got: Frame[] = []
      for (let at = 0; at < used.length;) {
        const first = used[at]!
        const header = new DataView(first.answers[0]!.buffer)
        const count = header.getUint16(packetHeader.numBuffers, true)
        expect(count).toBeGreaterThan(0)
        if (!mergeable) expect(count).toBe(1)
        const parts = used.slice(at, at += count)
        for (const [index, { written, answers }] of parts.entries()) expect(index === parts.length - 1 || written === answers[0]!.length).toBe(true)
        const bytes = Uint8Array.from(parts.flatMap(({ written, answers }) => [...answers[0]!.subarray(0, written!)])).subarray(packetHeader.size)
        const needs = (header.getUint8(0) & packetFlag.needsCsum) !== 0
        const type = header.getUint8(1)
        const ecn = (type & gsoType.ecn) !== 0
        got.push({
          bytes,
          ...(needs && { checksum: { start: header.getUint16(packetHeader.csumStart, true), offset: header.getUint16(packetHeader.csumOffset, true) } }),
          ...(type !== 0 && { segmentation: {
            kind: kinds[type & 0x7f]!, size: header.getUint16(packetHeader.gsoSize, true), headerLength: header.getUint16(packetHeader.hdrLen, true), ecn } }),
        })
      }
      const all = list.flatMap((frame) => adapt(frame, taken))
      if (!mergeable) {
        // One that does not fit is dropped: a plain model of that.
        const fitting: Frame[] = []
        for (const frame of all) {
          const buffer = sizes[fitting.length]
          if (buffer !== undefined && buffer >= 12 + frame.bytes.length) fitting.push(frame)
          else if (buffer === undefined) break
        }
        expect(got).toEqual(fitting)
      } else {
        let left = sizes.slice()
        const fitting: Frame[] = []
        for (const frame of all) {
          let room = 0
          let count = 0
          while (room < 12 + frame.bytes.length && count < left.length) room += left[count++]!
          if (room < 12 + frame.bytes.length) break
          fitting.push(frame)
          left = left.slice(count)
        }
        expect(got).toEqual(fitting)
      }
    }), { numRuns: 80 })
  })

  it('later, when it has no buffers, and none while there is no driver', () => {
    const { dut, driver, net } = make()
    const [one, two] = [ipFrame({ version: 4, payload: new Uint8Array(9) }), ipFrame({ version: 6 })]
    net.give(one, two)
    expect(net.waiting).toBe(1) // one is in the device's hand
    const requests = [driver.submit(0, [], [200]), driver.submit(0, [], [200])]
    driver.notify(0)
    driver.collect(0)
    expect(requests.map(({ written }) => written)).toEqual([12 + one.bytes.length, 12 + two.bytes.length])
    dut.write(0x070, 0)
    net.give(one, two)
    expect(net.waiting).toBe(0)
  })

  it('not in a first buffer that has no room for a header, which comes back empty', () => {
    const { driver, net } = make({}, { features: [...common, F.mrgRxbuf] })
    const requests = [11, 200, 200].map((length) => driver.submit(0, [], [length]))
    driver.notify(0)
    const frame = ipFrame({ version: 4 })
    net.give(frame, frame)
    driver.collect(0)
    expect(requests.map(({ written }) => written)).toEqual([0, 12 + frame.bytes.length, null])
  })

  it('says that a checksum holds only when somebody said so', () => {
    for (const [trusted, taken, flags] of [[true, allOffloads, packetFlag.dataValid], [false, allOffloads, 0], [true, noOffloads, 0]] as const) {
      const { driver, net } = make({}, { features: features(taken, false) })
      const request = driver.submit(0, [], [2000])
      driver.notify(0)
      net.give({ ...ipFrame({ version: 4 }), trusted })
      driver.collect(0)
      expect(request.answers[0]![0]).toBe(flags)
    }
  })
})

it('refuses frames whose offloads do not fit, and goes on', () => {
  const { driver, net } = make({}, {}, fakeNet({ offloads: allOffloads }))
  const good = ipFrame({ version: 4, payload: new Uint8Array(3000), segment: 1000 })
  const send = (header: Uint8Array, bytes: Uint8Array): void => {
    driver.submit(1, [header, bytes], [])
    driver.notify(1)
    expect(driver.collect(1)).toBe(1)
  }
  for (const [at, value] of [[0, 0], [1, 2], [1, 3], [1, 4], [1, 0x85], [1, 0xff], [4, 0], [6, 0], [6, 200], [8, 6], [9, 200]] as const) {
    const header = headerOf(good)
    header[at] = value
    if (at === 4) header[5] = 0
    send(header, good.bytes)
  }
  for (const length of [0, 1, 13]) send(new Uint8Array(12), new Uint8Array(length))
  send(new Uint8Array(12), new Uint8Array(70_000))
  driver.submit(1, [new Uint8Array(5)], [])
  driver.submit(1, [], [100])
  driver.notify(1)
  expect(driver.collect(1)).toBe(2)
  expect(net.sent).toEqual([])
  send(headerOf(good), good.bytes)
  expect(net.sent).toEqual([{ ...good, trusted: true }])
})

it('waits for a network that is full, and loses nothing', () => {
  const { driver, net } = make()
  net.room = 2
  const frame = ipFrame({ version: 4, payload: new Uint8Array(3000), segment: 1000 })
  for (let index = 0; index < 4; index++) driver.submit(1, [headerOf(frame), frame.bytes], [])
  driver.notify(1)
  expect([net.sent.length, driver.collect(1)]).toEqual([2, 1])
  net.drain(2)
  expect([net.sent.length, driver.collect(1)]).toEqual([4, 1])
  net.drain(100)
  expect(plainBytes(net.sent)).toEqual(plainBytes([frame, frame, frame, frame].flatMap((each) => adapt(each, noOffloads))))
  expect(driver.collect(1)).toBe(2)
})

describe('its configuration', () => {
  const readMac = (driver: VirtioDriver): string => macText([0, 1, 2, 3, 4, 5].reduce((sum, at) => sum * 256 + driver.readConfig(at, 1), 0))
  it('tells address, link, size and speed', () => {
    const { driver } = make({ pairs: 4, speed: 10_000 }, {}, fakeNet({ mtu: 9000 }))
    expect([readMac(driver), driver.readConfig(6, 2), driver.readConfig(8, 2), driver.readConfig(10, 2), driver.readConfig(12, 4), driver.readConfig(16, 1)])
      .toEqual([mac, 1, 4, 9000, 10_000, 1])
    expect(driver.has(F.mq) && driver.has(F.speedDuplex)).toBe(true)
    expect([F.mq, F.speedDuplex].some((bit) => make().driver.has(bit))).toBe(false)
  })

  it('has an address of its own when nobody gives one', () => {
    expect(readMac(make({ mac: null }, {}, fakeNet({ address: '02:aa:00:00:00:07' })).driver)).toBe('02:aa:00:00:00:07')
    const own = readMac(make({ mac: null }).driver)
    expect(own).toMatch(/^[0-9a-f][26ae]:/)
    expect(readMac(make({ mac: null }).driver)).toBe(own)
  })

  it('is refused when it cannot be', () => {
    for (const config of [{ mac: '03:00:00:00:00:01' }, { mac: 'ff:ff:ff:ff:ff:ff' }, { mac: '00:00:00:00:00:00' }, { mac: 'x' }, { mac: 7 }, { pairs: 0 }, { pairs: 9 }, { queueSize: 100 }, { speed: -1 }, { maac: mac }]) {
      try {
        make(config)
        expect.unreachable()
      } catch (error) {
        expect([isMachinistError(error) && error.code, config]).toEqual(['config', config])
      }
    }
  })

  it('refuses features that need others', () => {
    for (const features of [[F.guestTso4], [F.hostTso6], [F.guestEcn, F.guestCsum], [F.ctrlRx], [F.hostUso]]) {
      const dut = testDevice(virtioNet, { mac }, { backends: { net: fakeNet() }, memorySize: 1 << 20 })
      expect(new VirtioDriver(dut, { features }).start() & 8).toBe(0)
    }
  })

  it('shows the link come and go', () => {
    const { dut, driver, net } = make()
    const before = dut.read(0x0fc)
    net.plug(false)
    expect([driver.readConfig(6, 2), dut.read(0x060) & 2, dut.read(0x0fc) === before]).toEqual([0, 2, false])
    net.plug(true)
    expect(driver.readConfig(6, 2)).toBe(1)
  })
})

describe('control commands', () => {
  it('choose which frames come', () => {
    const { driver, net, command } = make()
    const passes = (destination: number, vlan?: number): boolean => {
      const request: DriverRequest = driver.submit(0, [], [2000])
      driver.notify(0)
      net.give(ipFrame({ version: 4, destination, ...(vlan !== undefined && { vlan }) }))
      const came = driver.collect(0) === 1
      if (!came) {
        // The buffer is still there: something that surely comes takes it.
        command(0, 0, [1])
        net.give(ipFrame({ version: 4 }))
        expect([driver.collect(0), request.written !== null]).toEqual([1, true])
        command(0, 0, [0])
      }
      return came
    }
    const [own, other, group, listed] = [0x0200_0000_0001, 0x0200_0000_0009, 0x0100_5e00_0001, 0x0100_5e00_0002]
    expect([own, other, group, broadcast].map((each) => passes(each))).toEqual([true, true, true, true])
    expect(command(0, 0, [0])).toBe(0)
    expect([own, other, group, broadcast].map((each) => passes(each))).toEqual([true, false, false, true])
    const table = (...macs: number[]): number[] => [macs.length, 0, 0, 0, ...macs.flatMap((each) => [...macBytes(each)])]
    expect(command(1, 0, [...table(other), ...table(listed)])).toBe(0)
    expect([own, other, group, listed].map((each) => passes(each))).toEqual([true, true, false, true])
    for (const [mode, expected] of [[1, [true, true, true, true]], [3, [true, true, false, true]], [4, [false, false, false, true]], [5, [true, true, false, false]]] as const) {
      expect(command(0, mode, [1])).toBe(0)
      expect([mode, [own, other, group, broadcast].map((each) => passes(each))]).toEqual([mode, expected])
      expect(command(0, mode, [0])).toBe(0)
    }
    const many = Array.from({ length: 65 }, (_, index) => index)
    expect(command(1, 0, [...table(), ...table(...many)])).toBe(0) // too many: all of that kind
    expect([own, other, group].map((each) => passes(each))).toEqual([true, false, true])
    expect(command(1, 1, [...macBytes(other)])).toBe(0)
    expect([own, other].map((each) => passes(each))).toEqual([false, true])
    expect([passes(other, 5), command(2, 0, [5, 0]), passes(other, 5), passes(other, 6), command(2, 1, [5, 0]), passes(other, 5)]).toEqual([false, 0, true, false, 0, false])
  })

  it('that make no sense are refused, and change nothing', () => {
    const { driver, net, command } = make({ pairs: 2 })
    for (const [kind, which, data] of [
      [0, 0, []], [0, 0, [1, 1]], [0, 6, [1]], [1, 0, []], [1, 0, [0, 0, 0, 0]], [1, 0, [2, 0, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0]], [1, 0, [255, 255, 255, 255, 0, 0, 0, 0]],
      [1, 0, [0, 0, 0, 0, 0, 0, 0, 0, 0]], [1, 1, [1, 0, 0, 0, 0, 1]], [1, 1, [0, 0, 0, 0, 0, 0]], [1, 1, [2, 0]], [2, 0, [0, 0x10]], [2, 2, [1, 0]], [2, 0, [1]], [3, 1, []], [4, 0, [0, 0]],
      [4, 0, [3, 0]], [4, 1, [1, 0]], [5, 0, [0]], [5, 0, [0, 0, 0, 0x80, 0, 0, 0, 0]], [9, 0, []],
    ] as const) expect([kind, which, data, command(kind, which, data)]).toEqual([kind, which, data, 1])
    const short = driver.submit(4, [Uint8Array.of(0)], [1])
    driver.notify(4)
    driver.collect(4)
    expect(short.answers[0]![0]).toBe(1)
    expect(net.accepted).toEqual(allOffloads)
  })

  it('turn offloads off and on', () => {
    const { net, command } = make()
    expect(net.accepted).toEqual(allOffloads)
    expect(command(5, 0, [2, 0, 0, 0, 0, 0, 0, 0])).toBe(0)
    expect(net.accepted).toEqual({ ...noOffloads, checksum: true })
    expect(command(5, 0, [0x82, 0, 0, 0, 0, 0, 0, 0])).toBe(0)
    expect(net.accepted).toEqual({ ...noOffloads, checksum: true, tcp4: true })
  })

  it('come on the third queue when there is one pair in use only', () => {
    const { net, command } = make({ pairs: 4 }, { features: [...common, F.guestCsum, F.ctrlGuestOffloads] })
    expect(command(5, 0, [0, 0, 0, 0, 0, 0, 0, 0], 2)).toBe(0)
    expect(net.accepted).toEqual(noOffloads)
  })
})

it('answers come to the pair of queues that the question went through', () => {
  const { driver, net, command } = make({ pairs: 4 })
  const question = (port: number): Frame => ipFrame({ version: 4, ports: [port, 80] })
  const buffers = (): DriverRequest[] => [0, 2, 4, 6].map((queue) => {
    const request = driver.submit(queue, [], [200])
    driver.notify(queue)
    return request
  })
  const where = (frame: Frame): number => {
    const list = buffers()
    net.give(frame)
    for (const queue of [0, 2, 4, 6]) driver.collect(queue)
    return list.findIndex(({ written }) => written !== null)
  }
  expect([1, 2, 3, 4].map((port) => where(question(port)))).toEqual([0, 0, 0, 0]) // one pair until told
  driver.start()
  expect(command(4, 0, [4, 0])).toBe(0)
  for (let port = 1000; port < 1040; port++) {
    driver.start()
    command(4, 0, [4, 0])
    const pair = port % 4
    driver.submit(2 * pair + 1, [new Uint8Array(12), question(port).bytes], [])
    driver.notify(2 * pair + 1)
    expect(where(question(port))).toBe(pair)
  }
})

it('is the same after saving and restoring, and announces itself', () => {
  const { dut, driver, net, command } = make({ pairs: 2 })
  command(0, 0, [0])
  command(2, 0, [7, 0])
  command(1, 1, [...macBytes(0x0200_0000_0077)])
  command(4, 0, [2, 0])
  command(5, 0, [2, 0, 0, 0, 0, 0, 0, 0])
  const state = dut.device.save()
  const other = testDevice(virtioNet, { mac, pairs: 2 }, { name: 'net0', backends: { net: fakeNet() }, memorySize: 1 << 24 })
  other.context.memory.set(dut.context.memory)
  other.device.restore(structuredClone(state))
  expect(other.device.save()).toEqual(state)
  expect((other.context.backends.net as FakeNet).accepted).toEqual(net.accepted)
  other.advance(1)
  expect(other.read(0x106, 2)).toBe(1)
  other.device.forked?.({ number: 1, meets: () => false })
  other.advance(1)
  expect(other.read(0x106, 2)).toBe(3)
  expect(other.read(0x060) & 2).toBe(2)
  const after = other.device.save().core.device
  const frame = { bytes: new Uint8Array(60), trusted: false }
  const pieces = { frame, offloads: noOffloads, at: 0 }
  for (const bad of [
    { receive: { ...pieces, frame: { ...frame, bytes: new Uint8Array(13) } } }, { receive: { ...pieces, frame: { ...frame, bytes: new Uint8Array(70_000) } } }, { receive: { ...pieces, at: -1 } },
    { transmit: [{ ...pieces, frame: { ...frame, checksum: { start: 59, offset: 9 } } }] }, { transmit: [{ ...pieces, offloads: null }] }, { flows: [2048, 1] }, { announce: 2 }, { copied: 1 }, { copied: { address: 0, driver: null } }, { copied: { address: 2, driver: -1 } }, { copied: { address: 2 } },
    { mac: -1 }, { pairs: 3 }, { guestOffloads: [64] }, { guestOffloads: 5 }, { filter: null }, { filter: { ...state.core.device.filter, vlans: [] } }, { more: 1 },
  ]) {
    const device = { ...state.core.device, ...bad }
    expect(() => { other.device.restore({ ...state, core: { ...state.core, device } } as typeof state) }, JSON.stringify(bad)).toThrow(/net0/)
    expect(other.device.save().core.device).toEqual(after)
  }
  dut.write(0x070, 0)
  expect([driver.readConfig(5, 1), net.accepted]).toEqual([1, noOffloads])
})

describe('in a copy that can meet the machine', () => {
  const [own, stranger] = [0x0200_0000_0001, 0x0200_0000_0009]
  /** A device whose driver has begun, and that learns that it is a copy's. */
  function copied(suggested?: string, meets = true, driven = true) {
    const net = fakeNet(suggested === undefined ? {} : { address: suggested })
    const dut = testDevice(virtioNet, { mac }, { name: 'net0', backends: { net }, memorySize: 1 << 24 })
    const driver = new VirtioDriver(dut)
    if (driven) driver.start()
    dut.device.forked?.({ number: 1, meets: (port) => meets && port === 'net' })
    return { dut, driver, net }
  }
  const readMac = (driver: VirtioDriver): number => [0, 1, 2, 3, 4, 5].reduce((sum, at) => sum * 256 + driver.readConfig(at, 1), 0)
  const sends = (driver: VirtioDriver, net: FakeNet, source: number, destination: number): number[] => {
    driver.submit(1, [new Uint8Array(12), ipFrame({ version: 4, source, destination }).bytes], [])
    driver.notify(1)
    driver.collect(1)
    const { bytes } = net.sent.at(-1)!
    return [macAt(bytes, 6), macAt(bytes, 0)]
  }
  const gets = (driver: VirtioDriver, net: FakeNet, source: number, destination: number): number[] => {
    const request = driver.submit(0, [], [2000])
    driver.notify(0)
    net.give(ipFrame({ version: 4, source, destination }))
    driver.collect(0)
    const bytes = request.answers[0]!.subarray(12)
    return [macAt(bytes, 6), macAt(bytes, 0)]
  }

  it('has another address, by which its driver goes before it knows', () => {
    const { dut, driver, net } = copied()
    const address = readMac(driver)
    expect([address === own, isGroup(address)]).toEqual([false, false])
    // The machine's is the copy's new one to the guest of the copy: so both can talk.
    expect(sends(driver, net, own, stranger)).toEqual([address, stranger])
    expect(sends(driver, net, own, address)).toEqual([address, own])
    expect(gets(driver, net, own, address)).toEqual([address, own])
    expect(gets(driver, net, stranger, broadcast)).toEqual([stranger, broadcast])
    // Saved and restored, it is the same; what knew nothing of copies restores one that is none.
    const again = testDevice(virtioNet, { mac }, { name: 'net0', backends: { net: fakeNet() }, memorySize: 1 << 24 })
    const state = dut.device.save()
    again.device.restore(structuredClone(state))
    expect(again.device.save()).toEqual(state)
    const { copied: _, ...before } = state.core.device
    again.device.restore({ ...state, core: { ...state.core, device: before } } as typeof state)
    expect(again.device.save().core.device).toEqual(before)
    // A copy of the copy is a third.
    dut.device.forked?.({ number: 1, meets: () => true })
    expect(new Set([own, address, readMac(driver)]).size).toBe(3)
    expect(sends(driver, net, own, stranger)).toEqual([readMac(driver), stranger])
    // A driver that begins anew knows it.
    const last = readMac(driver)
    expect(driver.start()).toBe(15)
    expect([readMac(driver), ...sends(driver, net, last, own)]).toEqual([last, last, own])
  })

  it('claims the address that it has as a copy, after a restore too, and a reset leaves it that', () => {
    const claims: string[] = []
    const make = () => testDevice(virtioNet, { mac }, { name: 'net0', backends: { net: Object.assign(fakeNet({ address: '02:aa:00:00:00:07' }), { claim: (address: string) => { claims.push(address) } }) }, memorySize: 1 << 24 })
    const dut = make()
    const driver = new VirtioDriver(dut)
    driver.start()
    dut.device.forked?.({ number: 1, meets: () => true })
    expect(claims).toEqual([mac, '02:aa:00:00:00:07'])
    const state = structuredClone(dut.device.save())
    driver.start()
    expect(claims.at(-1)).toBe('02:aa:00:00:00:07')
    make().device.restore(state)
    expect(claims.slice(-2)).toEqual([mac, '02:aa:00:00:00:07'])
  })

  it('takes what the network suggests, and leaves a driver in peace that chooses an address itself', () => {
    const { driver, net } = copied('02:aa:00:00:00:07')
    const command = (data: readonly number[]): void => {
      driver.submit(driver.queues.length - 1, [Uint8Array.of(1, 1), Uint8Array.from(data)], [1])
      driver.notify(driver.queues.length - 1)
      driver.collect(driver.queues.length - 1)
    }
    expect(readMac(driver)).toBe(0x02aa_0000_0007)
    command([...macBytes(own)])
    expect(sends(driver, net, own, stranger)).toEqual([0x02aa_0000_0007, stranger])
    command([...macBytes(0x0200_0000_0077)])
    expect([readMac(driver), ...sends(driver, net, 0x0200_0000_0077, own)]).toEqual([0x0200_0000_0077, 0x0200_0000_0077, own])
  })

  it('needs no readdressing before a driver has looked; and nothing changes where they cannot meet', () => {
    const fresh = copied(undefined, true, false)
    expect(fresh.dut.device.save().core.device.copied).toEqual({ address: readMac(fresh.driver), driver: null })
    expect(readMac(fresh.driver)).not.toBe(own)
    const apart = copied(undefined, false)
    expect([readMac(apart.driver), ...sends(apart.driver, apart.net, own, stranger)]).toEqual([own, own, stranger])
  })
})

it('has a short header for drivers from before version 1.0 that do not merge buffers', () => {
  const frame = ipFrame({ version: 4, protocol: 'udp', payload: new Uint8Array(100).fill(7), flags: 0 })
  for (const [firstWord, mergeable, size] of [[true, false, 10], [true, true, 12], [false, false, 12]] as const) {
    const { driver, net } = make({}, { features: [...common, ...(mergeable ? [F.mrgRxbuf] : [])], firstWord })
    driver.submit(1, [new Uint8Array(size), frame.bytes], [])
    driver.notify(1)
    expect([driver.collect(1), net.sent.map(({ bytes }) => bytes)]).toEqual([1, [frame.bytes]])
    const request = driver.submit(0, [], [size + frame.bytes.length])
    driver.notify(0)
    net.give(frame)
    expect([driver.collect(0), request.written]).toEqual([1, size + frame.bytes.length])
    expect(request.answers[0]?.subarray(size)).toEqual(frame.bytes)
  }
})
