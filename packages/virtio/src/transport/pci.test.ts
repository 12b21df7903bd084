import type { MsiPort, Width } from '@machinist/api'
import { pciHost } from '@machinist/bus'
import { fakeBlock, fakeContext, fakeEntropy, testDevice } from '@machinist/registers/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { blockDevice, deviceStatus, entropyDevice, virtioBlock, virtioFeature, virtioPci } from '../index.ts'
import type { BlockBackends, VirtioPciIrq, VirtioSpec } from '../index.ts'
import { type DriverTarget, VirtioDriver } from '../testing.ts'

const virtioBlockPci = virtioPci(blockDevice)

/** Where the MMIO transport has a register, and where PCI has its like. */
const likes: ReadonlyMap<number, readonly [offset: number, width: Width]> = new Map([
  [0x010, [4, 4]], [0x014, [0, 4]], [0x020, [12, 4]], [0x024, [8, 4]], [0x030, [22, 2]], [0x034, [24, 2]], [0x038, [24, 2]], [0x044, [28, 2]],
  [0x060, [0x1000, 1]], [0x070, [20, 1]], [0x080, [32, 4]], [0x084, [36, 4]], [0x090, [40, 4]], [0x094, [44, 4]], [0x0a0, [48, 4]], [0x0a4, [52, 4]],
  [0x0c0, [58, 2]], [0x0fc, [21, 1]],
] as const)

/** A PCI device with the face of an MMIO one, for the driver of the tests. */
function faced(read: (offset: number, width: Width) => number, write: (offset: number, width: Width, value: number) => void, context: DriverTarget['context']): DriverTarget {
  return {
    context,
    read(offset, width = 4) {
      const like = likes.get(offset)
      return offset >= 0x100 ? read(0x2000 + offset - 0x100, width) : like === undefined ? 0 : read(...like)
    },
    write(offset, value, width = 4) {
      const like = likes.get(offset)
      if (offset >= 0x100) write(0x2000 + offset - 0x100, width, value)
      // Reading the ISR acknowledges all that it shows.
      else if (offset === 0x064) read(0x1000, 1)
      else if (offset === 0x050) write(0x3000 + 4 * (value & 0xff), 2, value & 0xffff)
      else if (like !== undefined && offset !== 0x060) write(like[0], like[1], value % 2 ** (8 * like[1]))
    },
  }
}

/** Vectors sent so far. */
function fakeMsi(vectors: number): MsiPort & { readonly sent: number[] } {
  const sent: number[] = []
  return { vectors, sent, send: (index) => { sent.push(index) } }
}

function make<Config, S>(spec: VirtioSpec<Config, S, BlockBackends>, input: unknown = {}) {
  const disk = fakeBlock({ size: 1 << 16 })
  const device = virtioPci(spec)
  const config = device.configure(input, 'dut')
  const context = fakeContext<VirtioPciIrq, BlockBackends>({ irqs: ['intx'], backends: { disk }, memorySize: 1 << 14 })
  const msi = fakeMsi(64)
  const made = device.create(config, { ...context, msi })
  context.attach(made)
  made.reset('cold')
  const read = (offset: number, width: Width = 4): number => made.read(0, offset, width)
  const write = (offset: number, width: Width, value: number): void => { made.write(0, offset, width, value) }
  const target = faced(read, write, context)
  return { disk, device: made, context, msi, read, write, target }
}

/** A read of sector 0. */
const request = (driver: VirtioDriver, queue = 0) => driver.submit(queue, [new Uint8Array(16)], [512, 1])

function same(a: Uint8Array, b: Uint8Array): boolean {
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false
  return true
}

describe('the PCI transport', () => {
  it('does what the MMIO transport does, whatever a driver writes', () => {
    const value = fc.oneof(fc.nat(0x40), fc.nat(0xffff).map((n) => 0x8000_0000 + n), fc.nat(0xfff).map((n) => 0x8000_0000 + n * 16), fc.constantFrom(1, 2, 4, 8, 16, 0xffff_ffff), fc.nat(0xffff_ffff))
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('write'), offset: fc.constantFrom(0x014, 0x020, 0x024, 0x030, 0x038, 0x050, 0x064, 0x070, 0x080, 0x084, 0x090, 0x0a0, 0x0c0, 0x120), value }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('enable', 'read', 'save', 'reset'), offset: fc.constantFrom(0x010, 0x044, 0x070, 0x100, 0x104, 0x120), value: fc.constantFrom(8, 16, 16, 256, 0, 3, 512) }) },
      { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('start', 'session', 'session', 'request', 'notify', 'complete', 'collect', 'time'), offset: fc.constant(0), value: fc.nat(3) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('scribble'), offset: fc.nat(0x3fff), value: fc.nat(255) }) },
    )
    let answered = 0
    /** A driver that was reset by other hands may go on without the features that it remembers. */
    const notify = (device: { save(): unknown }, driver: VirtioDriver, target: DriverTarget, queue: number): void => {
      const { core: { features: [, high = 0] } } = device.save() as { readonly core: { readonly features: readonly number[] } }
      if ((high & 1 << virtioFeature.notificationData - 32) !== 0) driver.notify(queue)
      else target.write(0x050, queue)
    }
    fc.assert(fc.property(fc.array(step, { minLength: 10, maxLength: 60 }), (more) => {
      const steps = [{ kind: 'start', offset: 0, value: 0 }, ...more]
      const pci = make(blockDevice)
      const disk = fakeBlock({ size: 1 << 16 })
      const mmio = testDevice(virtioBlock, {}, { backends: { disk }, memorySize: 1 << 14 })
      const both = [
        { target: pci.target, driver: new VirtioDriver(pci.target), disk: pci.disk, device: pci.device, context: pci.context },
        { target: mmio as DriverTarget, driver: new VirtioDriver(mmio), disk, device: mmio.device, context: mmio.context },
      ] as const
      for (const { kind, offset, value } of steps) {
        const results = both.map(({ target, driver, disk: drive, device, context }): unknown => {
          try {
            switch (kind) {
              case 'write': {
                // The size has 16 bits here and 32 there.
                target.write(offset, offset === 0x064 ? 3 : offset === 0x038 ? value & 0xffff : offset === 0x070 ? value & 0xff : offset === 0x030 ? value & 0xffff : value)
                return null
              }
              case 'enable': {
                // Until it is chosen, the size is the largest here and 0 there.
                target.write(0x038, value)
                target.write(0x044, 1)
                return null
              }
              case 'read': return target.read(offset)
              case 'save': {
                const state = structuredClone(device.save())
                device.reset('cold')
                device.restore(state as never)
                expect(device.save()).toEqual(state)
                return null
              }
              case 'reset': device.reset('warm'); return null
              case 'start': return driver.start()
              case 'request': request(driver); notify(device, driver, target, 0); return null
              case 'notify': notify(device, driver, target, value); return null
              case 'session': {
                request(driver)
                notify(device, driver, target, 0)
                drive.complete()
                return driver.collect(0)
              }
              case 'complete': drive.complete(value); return null
              case 'collect': return driver.collect(0)
              case 'time': context.advance(1); return null
              default: context.memory[offset] = value; return null
            }
          } catch (error) {
            // The driver of the test noticed that a ring is nonsense.
            if (error instanceof RangeError) return 'nonsense'
            throw error
          }
        })
        expect(results[0], kind).toEqual(results[1])
        if ((kind === 'collect' || kind === 'session') && typeof results[0] === 'number') answered += results[0]
        expect(same(pci.context.memory, mmio.context.memory)).toBe(true)
        expect([pci.context.irq.intx.level, pci.target.read(0x070)]).toEqual([mmio.context.irq.irq.level, mmio.read(0x070)])
      }
    }), { numRuns: 200 })
    expect(answered).toBeGreaterThan(50)
  })

  it('sends a vector for each queue and the configuration, and shows ISR until it is read', () => {
    const { disk, msi, context, read, write, target, device } = make({ ...blockDevice, configure: () => blockDevice.configure({ queues: 2 }, 'dut') })
    const driver = new VirtioDriver(target)
    driver.start()
    write(16, 2, 5)
    for (const [queue, vector] of [[0, 63], [1, 7]] as const) {
      write(22, 2, queue)
      write(26, 2, vector)
      expect(read(26, 2)).toBe(vector)
    }
    for (const queue of [1, 0]) {
      request(driver, queue)
      driver.notify(queue)
    }
    disk.complete()
    expect(msi.sent).toEqual([7, 63])
    expect([read(0x1000, 1), context.irq.intx.level, read(0x1000, 1)]).toEqual([1, false, 0])
    driver.collect(0)
    // No such vector: none, which the driver sees.
    write(22, 2, 0)
    for (const wrong of [64, 0xfffe, 0xffff]) {
      write(26, 2, wrong)
      expect(read(26, 2)).toBe(0xffff)
    }
    request(driver)
    driver.notify(0)
    disk.complete()
    expect([msi.sent, context.irq.intx.level]).toEqual([[7, 63], true])
    // The rules broken: a configuration notification.
    driver.makeAvailable(driver.queue(1), 0xffff)
    const state = device.save()
    device.reset('cold')
    expect([read(16, 2), context.irq.intx.level]).toEqual([0xffff, false])
    device.restore(structuredClone(state))
    driver.notify(1)
    expect([msi.sent, read(0x1000, 1)]).toEqual([[7, 63, 5], 3])
    expect(read(20, 1) & deviceStatus.needsReset).toBe(deviceStatus.needsReset)
    write(20, 1, 0)
    expect([read(16, 2), read(24, 2)]).toEqual([0xffff, 256])
  })

  it('resets queues alone, and never clears queue_enable otherwise', () => {
    const { disk, read, write, target } = make(blockDevice)
    const driver = new VirtioDriver(target, { features: [virtioFeature.ringReset] })
    driver.start()
    write(22, 2, 0)
    write(28, 2, 0)
    expect(read(28, 2)).toBe(1)
    const lost = request(driver)
    driver.notify(0)
    write(58, 2, 1)
    expect([read(58, 2), read(28, 2)]).toEqual([0, 0])
    disk.complete()
    expect(lost.written).toBe(null)
    driver.setUp(0, 8)
    const kept = request(driver)
    driver.notify(0)
    disk.complete()
    driver.collect(0)
    expect(kept.written).toBe(513)
  })

  it('checks saved states, and a bad one changes nothing', () => {
    const { device, target } = make(blockDevice)
    new VirtioDriver(target).start()
    const good = device.save()
    for (const bad of [null, {}, { ...good, selectors: [0, 0] }, { ...good, vectors: [0] }, { ...good, vectors: [0, 65536] }, { ...good, staged: [[0]] }, { ...good, access: {} }, { ...good, core: { ...good.core, status: 256 } }, { ...good, more: 1 }]) {
      expect(() => { device.restore(bad as typeof good) }).toThrow(/dut/)
      expect(device.save()).toEqual(good)
    }
  })
})

describe('as a PCI function', () => {
  const window = 0x4000_0000
  const config = 1 << 15
  const plugged = (spec = virtioBlockPci) => {
    const host = testDevice(pciHost, {}, { backends: {} })
    const at = make(blockDevice)
    const about = spec.pci?.(spec.configure({}, 'dut'))
    if (about === undefined) throw new Error('not a PCI function')
    host.device.pci?.plug({ device: 1, function: 0 }, about, spec.regions(spec.configure({}, 'dut')), {
      name: 'dut', interrupts: true, dma: at.context.dma, message() {},
      read: (region, offset, width) => at.device.read(region, offset, width), write: (region, offset, width, value) => { at.device.write(region, offset, width, value) },
    })
    return { host, ...at }
  }

  it('identifies itself as a modern device', () => {
    const { host } = plugged()
    expect([host.read(config), host.read(config + 8), host.read(config + 0x2c)]).toEqual([0x1042_1af4, 0x0100_0001, 0x1042_1af4])
    const rng = virtioPci(entropyDevice).pci?.({ ring: 'split' })
    expect([rng?.deviceId, rng?.classCode]).toEqual([0x1044, 0x00_ff00])
    expect([virtioBlockPci.kind, virtioBlockPci.irqs(virtioBlockPci.configure({}, 'x'))]).toEqual(['virtio-blk-pci', ['intx']])
    expect(fakeEntropy).toBeDefined()
  })

  it('a driver that knows the specification alone finds its structures, by BAR and by configuration access', () => {
    const { host, disk, context } = plugged()
    // 4.1.4: walk the list.
    const found = new Map<number, { readonly at: number; readonly bar: number; readonly offset: number; readonly length: number }>()
    let msix = 0
    for (let at = host.read(config + 0x34, 1), left = 48; at !== 0 && left > 0; at = host.read(config + at + 1, 1), left--) {
      if (host.read(config + at, 1) === 0x11) msix = at
      if (host.read(config + at, 1) !== 9) continue
      found.set(host.read(config + at + 3, 1), { at, bar: host.read(config + at + 4, 1), offset: host.read(config + at + 8), length: host.read(config + at + 12) })
    }
    expect([...found.keys()]).toEqual([1, 2, 3, 4, 5])
    expect(msix).toBeGreaterThan(0)
    const common = found.get(1)
    const notify = found.get(2)
    const isr = found.get(3)
    const specific = found.get(4)
    const access = found.get(5)
    if (common === undefined || notify === undefined || isr === undefined || specific === undefined || access === undefined) throw new Error('a structure is missing')
    expect(host.read(config + notify.at + 16)).toBe(4)
    host.write(config + 0x10, 0xffff_ffff)
    expect(host.read(config + 0x10)).toBe(0xffff_c004)
    host.write(config + 0x10, window)
    host.write(config + 0x14, 0)
    host.write(config + 4, 6, 2)

    const byBar = { read: (offset: number, width: Width) => host.read(offset, width, 2), write: (offset: number, width: Width, value: number) => { host.write(offset, value, width, 2) } }
    const select = (offset: number, width: Width): void => {
      host.write(config + access.at + 4, 0, 1)
      host.write(config + access.at + 8, offset)
      host.write(config + access.at + 12, width)
    }
    const byAccess = {
      read(offset: number, width: Width) {
        select(offset, width)
        return host.read(config + access.at + 16, width)
      },
      write(offset: number, width: Width, value: number) {
        select(offset, width)
        host.write(config + access.at + 16, value, width)
      },
    }
    for (const { read, write } of [byBar, byAccess]) {
      expect(read(common.offset + 18, 2)).toBe(1)
      expect(read(specific.offset, 4)).toBe((1 << 16) / 512)
      const driver = new VirtioDriver(faced(read, write, context))
      expect(driver.start()).toBe(15)
      const answer = request(driver)
      driver.notify(0)
      disk.complete()
      expect(context.irq.intx.level).toBe(true)
      expect(driver.collect(0)).toBe(1)
      expect([answer.written, context.irq.intx.level, read(isr.offset, 1)]).toEqual([513, false, 0])
    }
    // What may not be reached is not reached.
    for (const [bar, offset, length] of [[4, 0, 4], [0, 0x4000, 4], [0, 1, 4], [0, 0x3ffe, 4], [0, 0, 3], [0, 0, 0], [0, 0xffff_fffc, 4], [255, 0, 8]] as const) {
      host.write(config + access.at + 4, bar, 1)
      host.write(config + access.at + 8, offset)
      host.write(config + access.at + 12, length)
      expect(host.read(config + access.at + 16)).toBe(0)
      host.write(config + access.at + 16, 0xffff_ffff)
    }
    expect(byBar.read(20, 1)).toBe(15)
  })
})
