import { describe, expect, it } from 'vitest'
import type { VsockPort, VsockStream } from '@machinist/api'
import { testDevice } from '@machinist/registers/testing'
import { VirtioDriver, type DriverRequest } from '../testing.ts'
import { creditSize } from './connection.ts'
import { operation as op, packet, readHeader, shutdownFlag } from './layout.ts'
import { virtioVsock } from './vsock.ts'

function generator(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0
    return Math.floor(((state ^ (state >>> 13)) >>> 0) / 2 ** 32 * below)
  }
}

/** The host's end of a stream, moved by a test. */
class FakeStream implements VsockStream {
  room = Infinity
  readonly got: number[] = []
  readonly give: number[] = []
  ended = false
  fate: 'open' | 'closed' | 'destroyed' = 'open'
  guestEnded = false
  listener: { readable(): void, writable(): void, failed(): void } | null = null
  get readable(): boolean { return this.give.length > 0 }
  write(bytes: Uint8Array): number {
    const count = Math.min(this.room, bytes.length)
    this.room -= count
    this.got.push(...bytes.subarray(0, count))
    return count
  }
  read(into: Uint8Array): number {
    const some = this.give.splice(0, into.length)
    into.set(some)
    return some.length
  }
  end(): void { this.guestEnded = true }
  close(): void { this.fate = 'closed' }
  destroy(): void { this.fate = 'destroyed' }
  listen(listener: { readable(): void, writable(): void, failed(): void }): void { this.listener = listener }
}

interface Packet { readonly header: ReturnType<typeof readHeader>, readonly data: Uint8Array }

/** A guest's kernel, as far as sockets go. */
function guest(listening: (port: number) => FakeStream | null = () => null) {
  let accept: Parameters<VsockPort['listen']>[0] | null = null
  const pendingConnects: (() => void)[] = []
  const host: VsockPort = {
    connect(port, done) { pendingConnects.push(() => { done(listening(port)) }) },
    listen(to) { accept = to },
  }
  const dut = testDevice(virtioVsock, {}, { backends: { host }, memorySize: 1 << 20 })
  const driver = new VirtioDriver(dut)
  expect(driver.start()).toBe(15)
  let waiting: DriverRequest[] = []
  const post = (count: number, size = 1024): void => {
    for (; count > 0; count--) waiting.push(driver.submit(0, [], [size]))
    driver.notify(0)
  }
  const packetOf = (guestPort: number, hostPort: number, what: number, fields: { flags?: number, allocated?: number, forwarded?: number, length?: number, cid?: bigint } = {}, data = new Uint8Array(0)): Uint8Array => {
    const bytes = new Uint8Array(packet.size + data.length)
    const view = new DataView(bytes.buffer)
    view.setBigUint64(packet.sourceCid, fields.cid ?? 3n, true)
    view.setBigUint64(packet.destinationCid, 2n, true)
    view.setUint32(packet.sourcePort, guestPort, true)
    view.setUint32(packet.destinationPort, hostPort, true)
    view.setUint32(packet.length, fields.length ?? data.length, true)
    view.setUint16(packet.type, 1, true)
    view.setUint16(packet.operation, what, true)
    view.setUint32(packet.flags, fields.flags ?? 0, true)
    view.setUint32(packet.allocated, fields.allocated ?? 4096, true)
    view.setUint32(packet.forwarded, fields.forwarded ?? 0, true)
    bytes.set(data, packet.size)
    return bytes
  }
  const send = (...args: Parameters<typeof packetOf>): void => {
    driver.submit(1, [packetOf(...args)], [])
    driver.notify(1)
    for (const connect of pendingConnects.splice(0)) connect()
    dut.advance(1)
    driver.collect(1)
  }
  /** What came, with the buffers given back. */
  const take = (): Packet[] => {
    dut.advance(1)
    driver.collect(0)
    const done = waiting.filter(({ written }) => written !== null)
    waiting = waiting.filter(({ written }) => written === null)
    return done.map(({ answers, written }) => {
      const bytes = answers[0]!.subarray(0, written ?? 0)
      const view = new DataView(bytes.buffer, bytes.byteOffset)
      expect([view.getBigUint64(0, true), view.getBigUint64(8, true)]).toEqual([2n, 3n])
      return { header: readHeader(bytes, 3), data: bytes.slice(packet.size) }
    })
  }
  return { dut, driver, post, send, take, ask: (port: number, stream: FakeStream, answered: (port: number | null) => void) => { accept?.(port, stream, answered) } }
}

describe('sockets', () => {
  it('connect from either side, and are refused where nobody listens', () => {
    const stream = new FakeStream()
    const { send, take, post, ask, driver } = guest((port) => (port === 80 ? stream : null))
    expect([0, 1, 2, 3, 4, 5, 6, 7].map((at) => driver.readConfig(at, 1))).toEqual([3, 0, 0, 0, 0, 0, 0, 0])
    post(8)
    send(1000, 81, op.request)
    send(1000, 80, op.request)
    send(1001, 9, op.data, {}, Uint8Array.of(1))
    expect(take().map(({ header }) => [header.operation, header.sourcePort, header.destinationPort])).toEqual([[op.reset, 81, 1000], [op.response, 80, 1000], [op.reset, 9, 1001]])
    const mine = new FakeStream()
    let port: number | null | undefined
    ask(7, mine, (given) => { port = given })
    const [request] = take()
    expect([request?.header.operation, request?.header.destinationPort, port]).toEqual([op.request, 7, undefined])
    send(7, request!.header.sourcePort, op.response)
    expect(port).toBe(request!.header.sourcePort)
    const refused = new FakeStream()
    ask(8, refused, (given) => { port = given })
    const [second] = take()
    send(8, second!.header.sourcePort, op.reset)
    expect([port, refused.fate]).toEqual([null, 'destroyed'])
    // The guest closes: what it sent is with the host first.
    mine.room = 2
    send(7, request!.header.sourcePort, op.data, {}, Uint8Array.of(1, 2, 3))
    send(7, request!.header.sourcePort, op.shutdown, { flags: shutdownFlag.both })
    expect([mine.fate, take().length]).toEqual(['open', 0])
    mine.room = 9
    mine.listener?.writable()
    expect([mine.got, mine.guestEnded, mine.fate]).toEqual([[1, 2, 3], true, 'closed'])
    expect(take().map(({ header }) => header.operation)).toEqual([op.reset])
    // The host closes its half.
    stream.give.push(5)
    stream.ended = true
    stream.listener?.readable()
    expect(take().map(({ header, data }) => [header.operation, header.flags, ...data])).toEqual([[op.data, 0, 5], [op.shutdown, shutdownFlag.send]])
  })

  it('carry every byte, in order, and neither side beyond its credit', () => {
    for (let seed = 1; seed <= 3; seed++) {
      const random = generator(seed * 7919)
      const streams = new Map<number, FakeStream>()
      const { send, take, post } = guest((port) => {
        const stream = new FakeStream()
        stream.room = 0
        streams.set(port, stream)
        return stream
      })
      post(4)
      const allocated = 1000 + random(5000)
      const connections = [1, 2, 3].map((port) => {
        send(port, port, op.request, { allocated })
        // The guest's view: what it sent and got, what of that was read, and the host's credit.
        return { port, sent: [] as number[], got: [] as number[], given: [] as number[], read: 0, hostAllocated: 0, hostForwarded: 0 }
      })
      let requests = 0
      for (let step = 0; step < 400; step++) {
        const each = connections[random(3)]!
        const stream = streams.get(each.port)!
        switch (random(6)) {
          case 0: {
            const credit = each.hostAllocated - (each.sent.length - each.hostForwarded)
            const bytes = Uint8Array.from({ length: Math.min(credit, random(3000)) }, () => random(256))
            if (bytes.length === 0) break
            each.sent.push(...bytes)
            send(each.port, each.port, op.data, { allocated, forwarded: each.read }, bytes)
            break
          }
          case 1: {
            const bytes = Array.from({ length: random(3000) }, () => random(256))
            stream.give.push(...bytes)
            each.given.push(...bytes)
            stream.listener?.readable()
            break
          }
          case 2:
            stream.room = random(5000)
            stream.listener?.writable()
            break
          case 3:
            each.read += random(each.got.length - each.read + 1)
            send(each.port, each.port, op.creditUpdate, { allocated, forwarded: each.read })
            break
          default: {
            const packets = take()
            post(packets.length, 200 + random(2000))
            for (const { header, data } of packets) {
              const to = connections.find(({ port }) => port === header.destinationPort)!
              to.hostAllocated = header.allocated
              to.hostForwarded = header.forwarded
              expect(header.allocated).toBe(creditSize)
              expect([op.response, op.data, op.creditUpdate, op.creditRequest]).toContain(header.operation)
              if (header.operation === op.creditRequest) requests++
              to.got.push(...data)
              expect(to.got.length - to.read).toBeLessThanOrEqual(allocated)
            }
          }
        }
      }
      for (let round = 0; round < 4000 && connections.some((each) => each.got.length < each.given.length || streams.get(each.port)!.got.length < each.sent.length); round++) {
        for (const each of connections) {
          const stream = streams.get(each.port)!
          stream.room = 1e6
          stream.listener?.writable()
          each.read = each.got.length
          send(each.port, each.port, op.creditUpdate, { allocated, forwarded: each.read })
        }
        const packets = take()
        post(packets.length)
        for (const { header, data } of packets) connections.find(({ port }) => port === header.destinationPort)!.got.push(...data)
      }
      for (const each of connections) {
        expect(each.got).toEqual(each.given)
        expect(streams.get(each.port)!.got).toEqual(each.sent)
        expect(each.sent.length).toBeGreaterThan(2000)
      }
      expect(requests).toBeGreaterThan(0)
    }
  })

  it('end when the guest sends more than it may, and after a restore, of which it is told', () => {
    const stream = new FakeStream()
    stream.room = 0
    const { send, take, post, driver, dut } = guest(() => stream)
    post(14)
    send(1, 1, op.request)
    for (let sent = 0; sent < creditSize; sent += 65536) send(1, 1, op.data, {}, new Uint8Array(65536))
    expect(stream.fate).toBe('open')
    send(1, 1, op.data, {}, new Uint8Array(1))
    expect(stream.fate).toBe('destroyed')
    expect(take().map(({ header }) => header.operation)).toEqual([op.response, op.reset])

    stream.fate = 'open'
    send(1, 1, op.request)
    const event = driver.submit(2, [], [4])
    driver.notify(2)
    driver.collect(2)
    expect(event.written).toBe(null)
    dut.device.restore(structuredClone(dut.device.save()))
    dut.advance(1)
    expect(stream.fate).toBe('destroyed')
    driver.collect(2)
    expect([event.written, ...event.answers[0]!]).toEqual([4, 0, 0, 0, 0])
  })

  it('hold no more for the guest than a bounded number of packets', () => {
    const { driver, dut, send, take, post } = guest()
    let sent = 0
    for (; sent < 5000 && driver.queue(1).room > 0; sent++) send(sent, 1, op.data)
    // Refusals of which none can be sent: the rest waits in the guest's own ring.
    expect(sent).toBe(1024 + 16)
    expect(dut.read(0x070)).toBe(15)
    let count = 0
    for (let round = 0; round < 400; round++) {
      post(driver.queue(0).room)
      count += take().length
      driver.collect(1)
    }
    expect(count).toBe(sent)
  })
})
