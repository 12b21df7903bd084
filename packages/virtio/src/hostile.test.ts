import { describe, expect, it } from 'vitest'
import type { BackendWants, Device, DeviceSpec, DmaSpace, PortsOf, Width } from '@machinist/api'
import { allOffloads } from '@machinist/api'
import { fakeBlock, fakeChar, fakeContext, fakeEntropy, fakeNet } from '@machinist/registers/testing'
import { files, memoryTree } from '@machinist/storage'
import { consoleWith, deviceStatus, virtio9p, virtioBlock, virtioConsole, virtioEntropy, virtioMmio, virtioNet, virtioVsock } from './index.ts'
import type { MmioState, VirtioIrq } from './index.ts'
import { VirtioDriver } from './testing.ts'
import type { DriverQueue } from './testing.ts'

/** A device whose use of guest memory is counted. */
function make<Config, S, Wants extends BackendWants>(spec: DeviceSpec<Config, MmioState<S>, VirtioIrq, Wants>, backends: PortsOf<Wants>, memorySize = 1 << 18) {
  const config = spec.configure({}, 'dut')
  const context = fakeContext<VirtioIrq, Wants>({ irqs: spec.irqs(config), backends, memorySize })
  const count = { accesses: 0, bytes: 0, writes: 0 }
  const dma: DmaSpace = {
    read(address, into) {
      count.accesses += 1
      count.bytes += into.length
      return context.dma.read(address, into)
    },
    write(address, from) {
      count.accesses += 1
      count.writes += 1
      count.bytes += from.length
      return context.dma.write(address, from)
    },
    map(address, length, access) {
      count.accesses += 1
      return context.dma.map(address, length, access)
    },
  }
  const device: Device<MmioState<S>> = spec.create(config, { ...context, dma })
  context.attach(device)
  device.reset('cold')
  const dut = {
    device, context, count,
    read: (offset: number, width: Width = 4) => device.read(0, offset, width),
    write: (offset: number, value: number, width: Width = 4) => { device.write(0, offset, width, value) },
  }
  return { dut, count, context, device, driver: (options = {}) => new VirtioDriver(dut, options) }
}

describe('a driver that breaks the rules', () => {
  type Break = (driver: VirtioDriver, queue: DriverQueue, buffer: number) => void
  const available = (driver: VirtioDriver, queue: DriverQueue, head: number): void => { driver.makeAvailable(queue, head) }
  const next = 1
  const write = 2
  const indirect = 4
  const far = 2 ** 52

  const cases: Readonly<Record<string, Break>> = {
    'a loop of one': (driver, queue, buffer) => {
      driver.setDescriptor(queue.desc, 0, buffer, 16, next, 0)
      available(driver, queue, 0)
    },
    'a loop of all': (driver, queue, buffer) => {
      for (let index = 0; index < queue.size; index++) driver.setDescriptor(queue.desc, index, buffer, 16, next | write, (index + 1) % queue.size)
      available(driver, queue, 3)
    },
    'a next that does not exist': (driver, queue, buffer) => {
      driver.setDescriptor(queue.desc, 0, buffer, 16, next, queue.size)
      available(driver, queue, 0)
    },
    'a head that does not exist': (driver, queue) => { available(driver, queue, 0xffff) },
    'the same head twice': (driver, queue, buffer) => {
      driver.setDescriptor(queue.desc, 0, buffer, 16, next, 1)
      driver.setDescriptor(queue.desc, 1, buffer, 513, write, 0)
      available(driver, queue, 0)
      available(driver, queue, 0)
    },
    'readable after writable': (driver, queue, buffer) => {
      driver.setDescriptor(queue.desc, 0, buffer, 16, next | write, 1)
      driver.setDescriptor(queue.desc, 1, buffer, 16, 0, 0)
      available(driver, queue, 0)
    },
    'more than 2^32 bytes': (driver, queue, buffer) => {
      for (let index = 0; index < 4; index++) driver.setDescriptor(queue.desc, index, buffer, 0xffffffff, index < 3 ? next : 0, index + 1)
      available(driver, queue, 0)
    },
    'an index that jumps': (driver, queue) => { driver.set16(queue.avail + 2, queue.size + 1) },
    'an index that goes back': (driver, queue) => { driver.set16(queue.avail + 2, 0xffff) },
    'a nested indirect table': (driver, queue, buffer) => {
      driver.setDescriptor(queue.desc, 0, buffer, 32, indirect, 0)
      driver.setDescriptor(buffer, 0, buffer, 32, indirect, 0)
      available(driver, queue, 0)
    },
    'an indirect table in the middle': (driver, queue, buffer) => {
      driver.setDescriptor(queue.desc, 0, buffer, 32, indirect | next, 1)
      available(driver, queue, 0)
    },
    'an indirect table of 15 bytes': (driver, queue, buffer) => {
      driver.setDescriptor(queue.desc, 0, buffer, 15, indirect, 0)
      available(driver, queue, 0)
    },
    'an empty indirect table': (driver, queue, buffer) => {
      driver.setDescriptor(queue.desc, 0, buffer, 0, indirect, 0)
      available(driver, queue, 0)
    },
    'an indirect table longer than the queue': (driver, queue, buffer) => {
      driver.setDescriptor(queue.desc, 0, buffer, 16 * 100, indirect, 0)
      for (let index = 0; index < 100; index++) driver.setDescriptor(buffer, index, buffer, 16, next, index + 1)
      available(driver, queue, 0)
    },
    'a huge indirect table that loops': (driver, queue, buffer) => {
      driver.setDescriptor(queue.desc, 0, buffer, 0xfffffff0, indirect, 0)
      driver.setDescriptor(buffer, 0, buffer, 16, next, 0)
      available(driver, queue, 0)
    },
    'an indirect table that leaves itself': (driver, queue, buffer) => {
      driver.setDescriptor(queue.desc, 0, buffer, 16, indirect, 0)
      driver.setDescriptor(buffer, 0, buffer, 16, next, 1)
      available(driver, queue, 0)
    },
    'an indirect table outside RAM': (driver, queue) => {
      driver.setDescriptor(queue.desc, 0, far, 32, indirect, 0)
      available(driver, queue, 0)
    },
    'a request without header': (driver, queue, buffer) => {
      driver.setDescriptor(queue.desc, 0, buffer, 15, next, 1)
      driver.setDescriptor(queue.desc, 1, buffer, 16, write, 0)
      available(driver, queue, 0)
    },
    'a request without status': (driver, queue, buffer) => {
      driver.setDescriptor(queue.desc, 0, buffer, 16, next, 1)
      driver.setDescriptor(queue.desc, 1, buffer, 0, write, 0)
      available(driver, queue, 0)
    },
  }

  for (const [name, attack] of Object.entries(cases)) {
    it(name, () => {
      const disk = fakeBlock({ size: 1 << 20 })
      const { dut, count, context, driver: begin } = make(virtioBlock, { disk })
      const driver = begin({ queueSize: 16 })
      expect(driver.start()).toBe(15)
      const queue = driver.queue(0)
      attack(driver, queue, driver.allocate(4096))
      const before = count.accesses
      driver.notify(0)
      expect(count.accesses - before).toBeLessThan(100)
      expect(dut.read(0x070)).toBe(15 | deviceStatus.needsReset)
      expect(dut.read(0x060) & 2).toBe(2)
      expect(context.irq.irq.level).toBe(true)
      expect(context.warnings.length).toBe(1)
      // It stops: nothing more happens to memory, whatever the guest or the host does.
      const writes = count.writes
      for (let again = 0; again < 10; again++) driver.notify(0)
      disk.complete()
      expect(count.writes).toBe(writes)
      // And starts anew.
      expect(driver.start()).toBe(15)
      const request = driver.submit(0, [new Uint8Array(16)], [512, 1])
      driver.notify(0)
      disk.complete()
      driver.collect(0)
      expect(request.written).toBe(513)
    })
  }

  it('queues of impossible sizes and places', () => {
    const settings: Readonly<Record<string, (driver: VirtioDriver, set: (offset: number, value: number) => void) => void>> = {
      'size 0': (_driver, set) => { set(0x038, 0) },
      'size 3': (_driver, set) => { set(0x038, 3) },
      'size 2^31': (_driver, set) => { set(0x038, 2 ** 31) },
      'more than offered': (_driver, set) => { set(0x038, 512) },
      'table not aligned': (_driver, set) => { set(0x080, 0x8000_0008) },
      'available ring not aligned': (_driver, set) => { set(0x090, 0x8000_1001) },
      'used ring not aligned': (_driver, set) => { set(0x0a0, 0x8000_1002) },
    }
    for (const [name, break_] of Object.entries(settings)) {
      const { dut, context, driver: begin } = make(virtioBlock, { disk: fakeBlock({ size: 1 << 20 }) })
      const driver = begin()
      driver.start()
      const set = (offset: number, value: number): void => { dut.write(offset, value) }
      set(0x030, 0)
      set(0x044, 0)
      break_(driver, set)
      set(0x044, 1)
      expect([name, dut.read(0x044), dut.read(0x070) & deviceStatus.needsReset]).toEqual([name, 0, deviceStatus.needsReset])
      expect(context.warnings.length).toBe(1)
    }
  })

  it('rings outside RAM', () => {
    for (const register of [0x080, 0x090, 0x0a0]) {
      for (const high of [0, 1, 0x001f_ffff, 0xffff_ffff]) {
        const { dut, driver: begin } = make(virtioBlock, { disk: fakeBlock({ size: 1 << 20 }) })
        const driver = begin()
        driver.start()
        const request = driver.submit(0, [new Uint8Array(16)], [512, 1])
        dut.write(0x030, 0)
        dut.write(0x044, 0)
        dut.write(register, 0x1000)
        dut.write(register + 4, high)
        dut.write(0x044, 1)
        driver.notify(0)
        expect(dut.read(0x070) & deviceStatus.needsReset).toBe(deviceStatus.needsReset)
        expect(request.written).toBe(null)
      }
    }
  })

  it('buffers outside RAM are I/O errors, and nothing worse', () => {
    const disk = fakeBlock({ size: 1 << 20 })
    const { dut, driver: begin } = make(virtioBlock, { disk })
    const driver = begin()
    driver.start()
    const queue = driver.queue(0)
    const request = driver.submit(0, [new Uint8Array(16)], [512, 1])
    // The middle descriptor: the data.
    driver.setDescriptor(queue.desc, 1, 2 ** 63, 512, 3, 2)
    driver.notify(0)
    disk.complete()
    driver.collect(0)
    expect(request.answers[1]?.[0]).toBe(1)
    expect(dut.read(0x070)).toBe(15)
  })

  it('notifications for queues that are not there', () => {
    const { dut, driver: begin } = make(virtioBlock, { disk: fakeBlock({ size: 1 << 20 }) })
    begin().start()
    for (const index of [1, 2, 0xffff, 0xffffffff]) dut.write(0x050, index)
    expect(dut.read(0x070)).toBe(15)
  })
})

describe('a guest that does anything at all', () => {
  function generator(seed: number): (below: number) => number {
    let state = seed >>> 0
    return (below) => {
      state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0
      return Math.floor(((state ^ (state >>> 13)) >>> 0) / 2 ** 32 * below)
    }
  }

  interface Subject {
    readonly make: () => ReturnType<typeof make>
    readonly host: () => void
    /** A block request means nothing to it. */
    readonly silent?: true
  }
  const subjects: Readonly<Record<string, () => Subject>> = {
    block: () => {
      const disk = fakeBlock({ size: 1 << 16 })
      return { make: () => make(virtioBlock, { disk }) as unknown as ReturnType<typeof make>, host: () => { disk.complete(3) } }
    },
    console: () => {
      const char = fakeChar()
      char.room = 10
      return {
        make: () => make(virtioConsole, { console: char }) as unknown as ReturnType<typeof make>,
        host: () => {
          char.sent.length = 0
          if (char.waiting < 1000) char.type('some input')
          char.drain(1000)
        },
      }
    },
    ports: () => {
      const ports = { a: fakeChar(), b: fakeChar() }
      return {
        make: () => make(virtioMmio(consoleWith('virtio-serial', ['a', 'b'])), ports) as unknown as ReturnType<typeof make>,
        host: () => { for (const port of [ports.a, ports.b]) if (port.waiting < 1000) port.type('x') },
      }
    },
    '9p': () => {
      const port = files(memoryTree()).connect((callback) => { callback() })
      return { make: () => make(virtio9p, { files: port }) as unknown as ReturnType<typeof make>, host: () => undefined, silent: true }
    },
    vsock: () => ({ silent: true,  make: () => make(virtioVsock, { host: { connect: (_, done) => { done(null) }, listen() {} } }) as unknown as ReturnType<typeof make>, host: () => undefined }),
    net: () => {
      const net = fakeNet({ offloads: allOffloads })
      return {
        make: () => make(virtioNet, { net }) as unknown as ReturnType<typeof make>,
        host: () => {
          net.sent.length = 0
          if (net.waiting < 100) net.give({ bytes: new Uint8Array(60 + net.waiting * 100) })
          net.drain(net.waiting)
        },
      }
    },
    entropy: () => ({ make: () => make(virtioEntropy, { entropy: fakeEntropy() }) as unknown as ReturnType<typeof make>, host: () => undefined }),
  }

  for (const [name, subject] of Object.entries(subjects)) {
    it(`${name}: never throws, works within bounds, and stops when it says so`, () => {
      let failures = 0
      let completed = 0
      for (let seed = 1; seed <= 12; seed++) {
        const random = generator(seed * 7919)
        const { make: build, host } = subject()
        const { dut, count, context, driver: begin } = build()
        const driver = begin({ queueSize: 8, indirect: seed % 2 === 0 })
        driver.start()
        const { memory, memoryBase } = context
        const interesting = [0, 1, 2, 3, 7, 8, 15, 16, 64, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff]
        const value = (): number => random(3) === 0 ? random(2 ** 32) : random(2) === 0 ? interesting[random(interesting.length)] ?? 0 : memoryBase + random(memory.length)

        for (let step = 0; step < 300; step++) {
          const before = { ...count }
          const stopped = (dut.read(0x070) & deviceStatus.needsReset) !== 0
          const queue = driver.queues[random(driver.queues.length)]
          let fresh = false
          switch (random(12)) {
            case 0: dut.write(random(0x140), value(), ([1, 2, 4] as const)[random(3)]); break
            case 1: dut.read(random(0x140), ([1, 2, 4] as const)[random(3)]); break
            case 2: if (queue !== undefined) dut.write(0x050, driver.queues.indexOf(queue)); break
            case 3: case 4: case 5:
              if (queue !== undefined) {
                for (let slot = 0; slot < queue.size; slot++) {
                  driver.setDescriptor(queue.desc, slot, value() + (random(20) === 0 ? 2 ** 60 : 0), random(3) === 0 ? value() : random(2000), random(8), random(queue.size + 1))
                }
                driver.makeAvailable(queue, random(queue.size + (random(10) === 0 ? 1 : 0)))
                driver.notify(driver.queues.indexOf(queue))
              }
              break
            case 6: if (queue !== undefined && random(8) === 0) driver.set16(queue.avail + 2, value() & 0xffff); break
            case 7: host(); break
            case 8: context.advance(1); break
            case 9: memory[random(memory.length)] = random(256); break
            case 10:
              if (random(6) === 0) dut.device.restore(structuredClone(dut.device.save()))
              break
            case 11:
              if (stopped || random(10) === 0) {
                fresh = true
                driver.start()
                try {
                  driver.submit(0, [new Uint8Array(16)], [600, 1])
                  driver.notify(0)
                  host()
                  completed += driver.collect(0)
                } catch (error) {
                  // The driver of the test noticed that a ring is nonsense.
                  if (!(error instanceof RangeError)) throw error
                }
              }
              break
          }
          // A ring of 8 chains of 8 buffers, each moved in pieces; at most some transfers complete at once.
          expect(count.accesses - before.accesses).toBeLessThan(5000)
          expect(count.bytes - before.bytes).toBeLessThan(12 << 20)
          if (stopped && !fresh && (dut.read(0x070) & deviceStatus.needsReset) !== 0) expect(count.writes).toBe(before.writes)
        }
        failures += context.warnings.filter((message) => message.includes('needs a reset')).length
      }
      // It met the bad cases, and recovered from them.
      expect(failures).toBeGreaterThan(20)
      if (subject().silent !== true) expect(completed).toBeGreaterThan(20)
    })
  }
})
