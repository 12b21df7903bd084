import { describe, expect, it } from 'vitest'
import { fakeNet, testDevice, type FakeNet } from '@machinist/registers/testing'
import { virtioNet } from '@machinist/virtio'
import { FuzzRandom } from '@machinist/virtio/testing'
import { join, virtualSwitch } from '@machinist/network'
import type { NetPort } from '@machinist/api'
import { alone, type FakeHardware } from '../../../test/fake-hardware.ts'
import { REGISTER } from './registers.ts'
import { VirtioNet } from './net.ts'

const SEED = Number(process.env['MACHINIST_SEED'] ?? 1)
const MAC = '52:54:00:12:34:56'

interface Bench {
  readonly wire: FakeNet
  readonly driver: VirtioNet
  readonly hardware: FakeHardware
  readonly memory: Uint8Array
  readonly calls: string[]
  readonly port: NetPort
  /** Interrupts and callbacks, until there are none. */
  run(): void
}

function bench(config: object = {}): Bench {
  const wire = fakeNet()
  const model = testDevice(virtioNet, { mac: MAC, ...config }, { backends: { net: wire }, memorySize: 1 << 21 })
  const { hardware, memory, range } = alone(model)
  const driver = new VirtioNet(hardware, memory, range, 'net')
  const calls: string[] = []
  const queue: (() => void)[] = []
  const port = driver.connect((callback) => { queue.push(callback) })
  port.listen({ readable: () => calls.push('readable'), writable: () => calls.push('writable'), linkChanged: () => calls.push('link') })
  return {
    wire, driver, hardware, memory: model.context.memory, calls, port,
    run() {
      model.advance(1)
      while (model.context.irq.irq.level || queue.length > 0) {
        if (model.context.irq.irq.level) expect(driver.interrupt()).toBe(true)
        queue.shift()?.()
        model.advance(1)
      }
    },
  }
}

/** A frame for everybody, of so many bytes, that says who it is. */
function frameOf(random: FuzzRandom, length: number): Uint8Array {
  const bytes = random.bytes(length)
  bytes.set([255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 0])
  return bytes
}

describe('a virtio network device of the hardware', () => {
  it('knows its address, its MTU and its link', () => {
    const { port, driver } = bench()
    expect([driver.address, port.address, port.mtu, port.link]).toEqual([MAC, MAC, 1500, true])
  })

  it('carries frames of any length, in both directions, in their order, none lost, whoever waits for whom', () => {
    const random = new FuzzRandom(SEED)
    const { wire, port, run } = bench()
    const [sent, given, got]: [Uint8Array[], Uint8Array[], Uint8Array[]] = [[], [], []]
    let held: Uint8Array | null = null
    let refused = 0
    for (let turn = 0; turn < 2000; turn++) {
      const what = random.below(4)
      if (what === 0) for (let count = random.below(80); count > 0; count--) {
        held ??= frameOf(random, 14 + random.below(1501))
        if (!port.send({ bytes: held })) {
          refused++
          break
        }
        sent.push(held)
        held = null
      } else if (what === 1) {
        const frames = Array.from({ length: random.below(20) }, () => frameOf(random, 14 + random.below(1501)))
        given.push(...frames)
        wire.give(...frames.map((bytes) => ({ bytes })))
      } else if (what === 2) {
        wire.room = random.below(100)
        wire.drain(0)
        run()
      } else for (let frame = port.receive(); frame !== null && !random.chance(0.05); frame = port.receive()) got.push(frame.bytes)
    }
    wire.drain(Infinity)
    for (let turn = 0; turn < 100; turn++) {
      run()
      for (let frame = port.receive(); frame !== null; frame = port.receive()) got.push(frame.bytes)
    }
    expect(refused).toBeGreaterThan(10)
    const texts = (frames: readonly Uint8Array[]): string[] => frames.map((bytes) => Buffer.from(bytes).toString('latin1'))
    expect(texts(wire.sent.map(({ bytes }) => bytes))).toEqual(texts(sent))
    // What was taken by the loop that ended by chance was not noted.
    expect(got.length).toBeGreaterThan(given.length / 2)
    const all = texts(given)
    let from = 0
    for (const text of texts(got)) {
      from = all.indexOf(text, from) + 1
      expect(from).toBeGreaterThan(0)
    }
  })

  it('calls once for many frames, and again when there is room', () => {
    const random = new FuzzRandom(SEED)
    const { wire, port, run, calls } = bench()
    wire.give(...Array.from({ length: 3 }, () => ({ bytes: frameOf(random, 60) })))
    run()
    expect(calls).toEqual(['readable'])
    wire.room = 0
    while (port.send({ bytes: frameOf(random, 60) }));
    run()
    expect(calls).not.toContain('writable')
    wire.drain(1000)
    run()
    expect(calls).toContain('writable')
  })

  it('sees its cable come and go', () => {
    const { wire, port, run, calls } = bench()
    wire.plug(false)
    run()
    expect([port.link, calls]).toEqual([false, ['link']])
    wire.plug(true)
    run()
    expect([port.link, calls]).toEqual([true, ['link', 'link']])
  })

  it('puts guests of a switch on the wire', () => {
    const random = new FuzzRandom(SEED)
    const wire = fakeNet()
    const model = testDevice(virtioNet, { mac: MAC }, { backends: { net: wire }, memorySize: 1 << 21 })
    const { hardware, memory, range } = alone(model)
    const uplink = new VirtioNet(hardware, memory, range, 'net')
    const queue: (() => void)[] = []
    const deliver = (callback: () => void): void => { queue.push(callback) }
    const lan = virtualSwitch()
    const guests = [lan.port(), lan.port()].map((port) => port.connect(deliver))
    join(lan.port({ name: 'uplink' }), uplink, { deliver })
    const run = (): void => {
      for (let quiet = 0; quiet < 5; quiet++) {
        model.advance(1)
        while (model.context.irq.irq.level) uplink.interrupt()
        for (const call of queue.splice(0)) {
          call()
          quiet = 0
        }
      }
    }
    const out = frameOf(random, 100)
    guests[0]!.send({ bytes: out })
    run()
    expect(wire.sent.map(({ bytes }) => bytes)).toEqual([out])
    expect(guests[1]!.receive()?.bytes).toEqual(out)
    const back = frameOf(random, 200)
    back.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9])
    wire.give({ bytes: back })
    run()
    expect([guests[0]!.receive()?.bytes, guests[1]!.receive()]).toEqual([back, null])
  })

  it('drops what no wire takes', () => {
    const { port, wire, run, driver } = bench()
    expect([port.send({ bytes: new Uint8Array(13) }), port.send({ bytes: new Uint8Array(1519) })]).toEqual([true, true])
    run()
    expect([wire.sent, driver.stats.dropped]).toEqual([[], 2])
  })
})

describe('a network device that dies or lies', () => {
  it('is given up when it does not send, and its link is down', () => {
    const { wire, port, driver, hardware, run, calls } = bench()
    wire.room = 0
    for (let count = 0; count < 5; count++) port.send({ bytes: new Uint8Array(60) })
    run()
    hardware.time = 29e9
    driver.poll()
    expect(driver.error).toBeNull()
    hardware.time = 31e9
    driver.poll()
    run()
    expect(driver.error).toMatchObject({ code: 'hardware-broken', part: 'net' })
    expect([port.link, calls.at(-1), port.send({ bytes: new Uint8Array(60) }), port.receive()]).toEqual([false, 'link', true, null])
  })

  it('at random, in rings and registers, never throws and never gives a frame longer than it may be', () => {
    let broken = 0
    for (let round = 0; round < 60; round++) {
      const random = new FuzzRandom(SEED * 1000 + round)
      const { wire, port, driver, hardware, memory } = bench()
      const view = new DataView(memory.buffer)
      hardware.spy = (address, value) => (address & 0xfff) !== REGISTER.magicValue && random.chance(0.01) ? random.u32() : value
      for (let step = 0; step < 40; step++) {
        if (random.chance(0.5)) view.setUint16(2 * random.below(1800), random.u32() & 0xffff, true)
        wire.give({ bytes: frameOf(random, 60 + random.below(1000)) })
        port.send({ bytes: frameOf(random, 60) })
        driver.interrupt()
        driver.poll()
        for (let frame = port.receive(); frame !== null; frame = port.receive()) expect(frame.bytes.length).toBeLessThanOrEqual(1518)
      }
      if (driver.error === null) continue
      expect(driver.error).toMatchObject({ code: 'hardware-broken' })
      broken++
    }
    expect(broken).toBeGreaterThan(10)
  })
})
