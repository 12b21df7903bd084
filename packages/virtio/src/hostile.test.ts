import { describe, expect, it } from 'vitest'
import type { BackendWants, Device, DeviceSpec, DmaSpace, PortsOf, Width } from '@machinist/api'
import { fakeBlock, fakeContext } from '@machinist/registers/testing'
import { deviceStatus, virtioBlock } from './index.ts'
import type { MmioState, RingFormat, VirtioIrq } from './index.ts'
import { PackedDriverRing, VirtioDriver } from './testing.ts'
import type { DriverQueue } from './testing.ts'

/** A device whose use of guest memory is counted. */
function make<Config, S, Wants extends BackendWants>(spec: DeviceSpec<Config, MmioState<S>, VirtioIrq, Wants>, backends: PortsOf<Wants>, ring: RingFormat = 'split', memorySize = 1 << 18) {
  const config = spec.configure({ ring }, 'dut')
  const context = fakeContext<VirtioIrq, Wants>({ irqs: spec.irqs(config), backends, memorySize })
  const count = { accesses: 0, bytes: 0, writes: 0 }
  const note = (bytes: number, writes: 0 | 1): void => {
    count.accesses += 1
    count.writes += writes
    count.bytes += bytes
  }
  const dma: DmaSpace = {
    read(address, into) {
      note(into.length, 0)
      return context.dma.read(address, into)
    },
    write(address, from) {
      note(from.length, 1)
      return context.dma.write(address, from)
    },
    read16(address) {
      note(2, 0)
      return context.dma.read16(address)
    },
    read32(address) {
      note(4, 0)
      return context.dma.read32(address)
    },
    readWords(address, into) {
      note(4 * into.length, 0)
      return context.dma.readWords(address, into)
    },
    write16(address, value) {
      note(2, 1)
      return context.dma.write16(address, value)
    },
    write32(address, value) {
      note(4, 1)
      return context.dma.write32(address, value)
    },
    map(address, length, access) {
      count.accesses += 1
      return context.dma.map(address, length, access)
    },
    release: (address, length) => context.dma.release(address, length),
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

  const packed: Readonly<Record<string, (driver: VirtioDriver, ring: PackedDriverRing, buffer: number) => void>> = {
    'a chain without end': (driver, ring, buffer) => {
      for (let slot = 0; slot < ring.size; slot++) ring.put(driver.ram, buffer, 16, 0, next)
    },
    'a chain around the ring, over one in flight': (driver, ring, buffer) => {
      ring.put(driver.ram, buffer, 16, 1, next)
      ring.put(driver.ram, buffer, 513, 1, write)
      driver.notify(0)
      for (let slot = 0; slot < ring.size - 2; slot++) ring.put(driver.ram, buffer, 16, 2, next)
      ring.put(driver.ram, buffer, 513, 2, write)
    },
    'an id in flight twice': (driver, ring, buffer) => {
      for (const id of [7, 7]) {
        ring.put(driver.ram, buffer, 16, id, next)
        ring.put(driver.ram, buffer, 513, id, write)
      }
    },
    'readable after writable': (driver, ring, buffer) => {
      ring.put(driver.ram, buffer, 16, 0, next | write)
      ring.put(driver.ram, buffer, 16, 0, 0)
    },
    'more than 2^32 bytes': (driver, ring, buffer) => {
      for (let slot = 0; slot < 4; slot++) ring.put(driver.ram, buffer, 0xffffffff, 0, slot < 3 ? next : 0)
    },
    'an indirect table at the end of a chain': (driver, ring, buffer) => {
      driver.ram.setDescriptor(buffer, 0, buffer, 513, 0, write)
      ring.put(driver.ram, buffer, 16, 0, next)
      ring.put(driver.ram, buffer, 16, 0, indirect)
    },
    'an indirect table that goes on': (driver, ring, buffer) => {
      driver.ram.setDescriptor(buffer, 0, buffer, 16, 0, 0)
      ring.put(driver.ram, buffer, 16, 0, indirect | next)
      ring.put(driver.ram, buffer, 513, 0, write)
    },
    'an indirect table of 15 bytes': (driver, ring, buffer) => { ring.put(driver.ram, buffer, 15, 0, indirect) },
    'an empty indirect table': (driver, ring, buffer) => { ring.put(driver.ram, buffer, 0, 0, indirect) },
    'a huge indirect table': (driver, ring, buffer) => { ring.put(driver.ram, buffer, 0xfffffff0, 0, indirect) },
    'an indirect table outside RAM': (driver, ring) => { ring.put(driver.ram, far, 32, 0, indirect) },
    'a request without header': (driver, ring, buffer) => {
      ring.put(driver.ram, buffer, 15, 0, next)
      ring.put(driver.ram, buffer, 16, 0, write)
    },
  }
  const onPacked = Object.entries(packed).map(([name, attack]) => ['packed', name, (driver: VirtioDriver, queue: DriverQueue, buffer: number) => {
    if (queue instanceof PackedDriverRing) attack(driver, queue, buffer)
  }] as const)

  it.each([...Object.entries(cases).map(([name, attack]) => ['split', name, attack] as const), ...onPacked])('%s: %s', (format, _name, attack) => {
    const disk = fakeBlock({ size: 1 << 20 })
    const { dut, count, context, driver: begin } = make(virtioBlock, { disk }, format)
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

  it('wrap counters of another lap are no request', () => {
    const { dut, count, driver: begin } = make(virtioBlock, { disk: fakeBlock({ size: 1 << 20 }) }, 'packed')
    const driver = begin({ queueSize: 5 })
    driver.start()
    const { desc } = driver.queue(0)
    for (const flags of [0, 0x8000, 0x8080]) {
      driver.ram.setDescriptor(desc, 0, 0x8000_0000, 16, 0, flags | next)
      const { accesses } = count
      driver.notify(0)
      expect([dut.read(0x070), count.accesses - accesses < 5]).toEqual([15, true])
    }
    expect(count.writes).toBe(1) // that it wants to be notified
  })

  it('a queue made ready before its format was chosen is no more', () => {
    const { dut, device } = make(virtioBlock, { disk: fakeBlock({ size: 1 << 20 }) }, 'packed')
    dut.write(0x070, 3)
    for (const [register, value] of [[0x030, 0], [0x038, 16], [0x080, 0x8000_0000], [0x090, 0x8000_1002], [0x0a0, 0x8000_2000], [0x044, 1]] as const) dut.write(register, value)
    expect(dut.read(0x044)).toBe(1)
    dut.write(0x024, 1)
    dut.write(0x020, 1 | 1 << 2)
    device.restore(device.save()) // written is not chosen
    expect(dut.read(0x044)).toBe(1)
    dut.write(0x070, 11)
    expect([dut.read(0x070), dut.read(0x044)]).toEqual([11, 0])
  })

  it('queues of impossible sizes and places', () => {
    const settings: Readonly<Record<string, (driver: VirtioDriver, set: (offset: number, value: number) => void) => void>> = {
      'size 0': (_driver, set) => { set(0x038, 0) },
      'size 2^31': (_driver, set) => { set(0x038, 2 ** 31) },
      'more than offered': (_driver, set) => { set(0x038, 512) },
      'table not aligned': (_driver, set) => { set(0x080, 0x8000_0008) },
      'available ring not aligned': (_driver, set) => { set(0x090, 0x8000_1001) },
      'used ring not aligned': (_driver, set) => { set(0x0a0, 0x8000_1002) },
    }
    const both = (['split', 'packed'] as const).flatMap((ring) => Object.entries(settings).map(([name, break_]) => ({ ring, name, break_ })))
    const notPower = { ring: 'split', name: 'size 3', break_: (_driver: VirtioDriver, set: (offset: number, value: number) => void): void => { set(0x038, 3) } } as const
    for (const { ring, name, break_ } of [...both, notPower]) {
      const { dut, context, driver: begin } = make(virtioBlock, { disk: fakeBlock({ size: 1 << 20 }) }, ring)
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
    const registers = (['split', 'packed'] as const).flatMap((ring) => [0x080, 0x090, 0x0a0].map((register) => ({ ring, register })))
    for (const { ring, register } of registers) {
      for (const high of [0, 1, 0x001f_ffff, 0xffff_ffff]) {
        const disk = fakeBlock({ size: 1 << 20 })
        const { dut, driver: begin } = make(virtioBlock, { disk }, ring)
        const driver = begin()
        driver.start()
        const request = driver.submit(0, [new Uint8Array(16)], [512, 1])
        dut.write(0x030, 0)
        dut.write(0x044, 0)
        dut.write(register, 0x1000)
        dut.write(register + 4, high)
        dut.write(0x044, 1)
        driver.notify(0)
        disk.complete()
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
