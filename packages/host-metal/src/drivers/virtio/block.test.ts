import { describe, expect, it } from 'vitest'
import { fakeBlock, testDevice, type FakeBlock } from '@machinist/registers/testing'
import { virtioBlock } from '@machinist/virtio'
import { FuzzRandom } from '@machinist/virtio/testing'
import { raw } from '@machinist/storage'
import { alone, type FakeHardware } from '../../../test/fake-hardware.ts'
import { REGISTER } from './registers.ts'
import { SECTOR, VirtioBlock, type VirtioBlockOptions } from './block.ts'
import { virtioKind } from './transport.ts'

const SEED = Number(process.env['MACHINIST_SEED'] ?? 1)
const MiB = 2 ** 20

const same = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0

interface Bench {
  readonly disk: FakeBlock
  readonly driver: VirtioBlock
  readonly hardware: FakeHardware
  readonly memory: Uint8Array
  /** Has the device finish requests, and the driver hear of it. */
  run(count?: number): void
  /** All that is under way, and what follows from it. */
  settle<T>(work: PromiseLike<T>): Promise<T>
}

function bench(size = MiB, config: object = {}, options: VirtioBlockOptions = {}, readOnly = false): Bench {
  const disk = fakeBlock({ size, readOnly })
  const model = testDevice(virtioBlock, config, { backends: { disk }, memorySize: 4 * MiB })
  const { hardware, memory, range } = alone(model)
  const driver = new VirtioBlock(hardware, memory, range, 'disk', options)
  const run = (count?: number): void => {
    disk.complete(count)
    while (model.context.irq.irq.level) expect(driver.interrupt()).toBe(true)
  }
  return {
    disk, driver, hardware, memory: model.context.memory, run,
    async settle(work) {
      let done = false
      const ended = Promise.resolve(work).finally(() => { done = true })
      ended.catch(() => undefined)
      for (let turn = 0; !done && turn < 10_000; turn++) {
        run()
        await Promise.resolve()
      }
      return ended
    },
  }
}

describe('a virtio block device of the hardware', () => {
  it('is a file of bytes: random reads, writes, flushes and zeroes at once, against an array', async () => {
    for (const [round, config] of [{}, { blockSize: 4096 }, { queueSize: 4 }].entries()) {
      const random = new FuzzRandom(SEED * 10 + round)
      const size = 256 * 1024
      const { disk, driver, run } = bench(size, config, { depth: 1 + random.below(16), transfer: random.pick([4096, 65536]) })
      expect(driver.size).toBe(size)
      const model = random.bytes(size)
      disk.data.set(model)
      let operations = 0
      for (let turn = 0; turn < 30; turn++) {
        // Ranges that do not overlap, as the contract of files has it.
        const cuts = [...new Set(Array.from({ length: 8 }, () => random.chance(0.4) ? random.below(size / SECTOR) * SECTOR : random.below(size)))].sort((a, b) => a - b)
        const work = cuts.slice(1).map(async (end, index) => {
          const start = cuts[index]!
          operations++
          const what = random.below(10)
          if (what < 4) {
            const into = new Uint8Array(end - start)
            expect(await driver.read(start, into)).toBe(end - start)
            expect(same(into, model.subarray(start, end)), `bytes ${start} to ${end}`).toBe(true)
          } else if (what < 8) {
            const from = random.bytes(end - start)
            await driver.write(start, from)
            model.set(from, start)
          } else if (what < 9) {
            await driver.discard!(start, end - start)
            model.fill(0, start, end)
          } else await driver.flush()
        })
        const all = Promise.all(work)
        let done = false
        all.then(() => { done = true }, () => { done = true })
        for (let step = 0; !done && step < 100_000; step++) {
          if (random.chance(0.5)) run(random.below(5))
          await Promise.resolve()
        }
        await all
      }
      expect(same(disk.data, model)).toBe(true)
      expect(operations).toBeGreaterThan(100)
      expect(driver.deadline).toBe(Infinity)
    }
  })

  it('carries the project\'s disks', async () => {
    const { driver, disk, settle } = bench()
    const port = raw(driver).connect((callback) => { callback() })
    const statuses: string[] = []
    port.write(4096, [new Uint8Array(512).fill(7)], (status) => statuses.push(status))
    port.flush((status) => statuses.push(status))
    port.read(MiB, [new Uint8Array(512)], (status) => statuses.push(status))
    await settle(new Promise<void>((resolve) => { port.read(0, [new Uint8Array(512)], () => { resolve() }) }))
    expect(statuses.sort()).toEqual(['ok', 'ok', 'out-of-range'])
    expect(disk.data[4096]).toBe(7)
  })

  it('ends where it ends, and says so', async () => {
    const { driver, settle } = bench(1024)
    expect(await settle(driver.read(1000, new Uint8Array(100)))).toBe(24)
    expect(await driver.read(1024, new Uint8Array(1))).toBe(0)
    await expect(driver.write(1020, new Uint8Array(5))).rejects.toMatchObject({ code: 'file-enospc' })
  })

  it('that is read-only is never written', async () => {
    const { driver } = bench(1024, {}, {}, true)
    expect([driver.writable, driver.discard]).toEqual([false, undefined])
    await expect(driver.write(0, new Uint8Array(512))).rejects.toMatchObject({ code: 'file-erofs' })
  })

  it('whose medium fails tells what failed, and goes on', async () => {
    const { driver, disk, settle } = bench()
    disk.failures.push('io-error', 'unsupported')
    const [first, second, third] = await settle(Promise.allSettled([driver.read(0, new Uint8Array(512)), driver.write(512, new Uint8Array(512)), driver.read(1024, new Uint8Array(512))]))
    expect([first, second, third]).toMatchObject([{ status: 'rejected', reason: { code: 'file-eio' } }, { status: 'rejected', reason: { code: 'file-enotsup' } }, { status: 'fulfilled', value: 512 }])
    expect(driver.error).toBeNull()
  })

  it('keeps as many requests under way as it may, and no more', async () => {
    const { driver, disk, settle } = bench(MiB, {}, { depth: 3, transfer: 512 })
    const work = driver.read(0, new Uint8Array(10 * 512))
    expect(disk.pending).toBe(3)
    await settle(work)
  })
})

describe('a device that dies', () => {
  it('fails what it had and what follows, at its deadline and not before', async () => {
    const { driver, disk, hardware } = bench(MiB, {}, { depth: 2 })
    const work = Promise.allSettled(Array.from({ length: 4 }, (_, index) => driver.read(index * 512, new Uint8Array(512))))
    hardware.time = 29e9
    driver.poll()
    expect(driver.error).toBeNull()
    expect(driver.deadline).toBeLessThan(31e9)
    hardware.time = 31e9
    driver.poll()
    expect(driver.error).toMatchObject({ code: 'hardware-broken', part: 'disk' })
    for (const result of await work) expect(result).toMatchObject({ status: 'rejected', reason: { code: 'hardware-broken' } })
    await expect(driver.write(0, new Uint8Array(512))).rejects.toMatchObject({ code: 'hardware-broken' })
    await expect(driver.flush()).rejects.toMatchObject({ code: 'hardware-broken' })
    disk.complete()
    driver.poll()
    expect(driver.interrupt()).toBe(false)
  })

  it('and does not even reset itself ends all the same', () => {
    const { driver, hardware } = bench()
    driver.read(0, new Uint8Array(512)).then(() => undefined, () => undefined)
    hardware.spy = (address, value) => (address & 0xfff) === REGISTER.status ? 15 : value
    hardware.time = 31e9
    driver.poll()
    expect(driver.error).toMatchObject({ code: 'hardware-broken' })
    expect(hardware.time).toBeLessThan(33e9)
  })
})

describe('a device that lies', () => {
  it.each([
    ['more requests than it has', (view: DataView, used: number) => { view.setUint16(used + 2, 9, true) }],
    ['a request that it does not have', (view: DataView, used: number) => { view.setUint32(used + 4, 77, true) }],
    ['more bytes than it may', (view: DataView, used: number) => { view.setUint32(used + 8, 100_000, true) }],
  ])('with %s is given up', async (_, lie) => {
    const { driver, disk, memory } = bench(MiB)
    const work = Promise.allSettled([driver.read(0, new Uint8Array(512))])
    disk.complete()
    // The used ring is the third piece that the driver took.
    const view = new DataView(memory.buffer)
    const used = 64 * 16 + Math.ceil((64 * 2 + 6) / 64) * 64
    expect(view.getUint16(used + 2, true), 'the used ring is where it is taken to be').toBe(1)
    lie(view, used)
    driver.interrupt()
    expect(driver.error).toMatchObject({ code: 'hardware-broken' })
    expect(await work).toMatchObject([{ status: 'rejected', reason: { code: 'hardware-broken' } }])
  })

  it('with less than was asked for fails that request, and gives nothing of another', async () => {
    const { driver, disk, memory } = bench(MiB)
    disk.data.fill(7)
    const into = new Uint8Array(512)
    const work = Promise.allSettled([driver.read(0, into)])
    disk.complete()
    new DataView(memory.buffer).setUint32(64 * 16 + Math.ceil((64 * 2 + 6) / 64) * 64 + 8, 100, true)
    driver.interrupt()
    expect(await work).toMatchObject([{ status: 'rejected', reason: { code: 'file-eio' } }])
    expect([into.every((byte) => byte === 0), driver.error]).toEqual([true, null])
  })

  it('at random, in rings and registers, never hangs, never leads astray, and ends in typed errors', async () => {
    let broken = 0
    for (let round = 0; round < 80; round++) {
      const random = new FuzzRandom(SEED * 1000 + round)
      const { driver, disk, hardware, memory } = bench(64 * 1024)
      hardware.spy = (_, value) => random.chance(0.02) ? random.u32() : value
      const view = new DataView(memory.buffer)
      const results: PromiseLike<unknown>[] = []
      for (let step = 0; step < 30; step++) {
        const length = 512 * (1 + random.below(8))
        results.push(random.chance(0.5) ? driver.read(512 * random.below(100), new Uint8Array(length)) : driver.write(512 * random.below(100), random.bytes(length)))
        if (random.chance(0.3)) view.setUint16(2 * random.below(1200), random.u32() & 0xffff, true)
        try {
          disk.complete(random.below(3))
        } catch {
          // The model is not on trial.
        }
        driver.interrupt()
        driver.poll()
        await Promise.resolve()
      }
      hardware.spy = undefined
      hardware.time += 60e9
      driver.poll()
      hardware.time += 60e9
      driver.poll()
      for (const result of await Promise.allSettled(results)) {
        if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: expect.stringMatching(/^(hardware-broken|file-)/) })
      }
      if (driver.error !== null) broken++
    }
    expect(broken).toBeGreaterThan(20)
  })
})

describe('what is at a place of the transport', () => {
  it('is told, and a legacy device is refused with what to do', () => {
    const model = testDevice(virtioBlock, {}, { backends: { disk: fakeBlock({ size: 512 }) } })
    const { hardware, range } = alone(model)
    expect(virtioKind(hardware, range, 'disk')).toBe('block')
    const old = alone(testDevice(virtioBlock, { legacy: true }, { backends: { disk: fakeBlock({ size: 512 }) } }))
    expect(() => virtioKind(old.hardware, old.range, 'disk')).toThrow(expect.objectContaining({ code: 'virtio-legacy', message: expect.stringContaining('force-legacy=false') }))
    hardware.spy = () => 0
    expect(() => virtioKind(hardware, range, 'disk')).toThrow(expect.objectContaining({ code: 'hardware-unsupported' }))
  })

  it('that does not reset itself, or denies what it has to offer, is refused when it is opened', () => {
    const open = (spy: FakeHardware['spy']): VirtioBlock => {
      const model = testDevice(virtioBlock, {}, { backends: { disk: fakeBlock({ size: 512 }) }, memorySize: 4 * MiB })
      const { hardware, memory, range } = alone(model)
      hardware.spy = spy
      return new VirtioBlock(hardware, memory, range, 'disk')
    }
    const register = (address: number): number => address & 0xfff
    expect(() => open((address, value) => register(address) === REGISTER.status ? 1 : value)).toThrow(expect.objectContaining({ code: 'hardware-broken' }))
    expect(() => open((address, value) => register(address) === REGISTER.deviceFeatures ? 0 : value)).toThrow(expect.objectContaining({ code: 'hardware-unsupported' }))
    expect(() => open((address, value) => register(address) === REGISTER.queueNumMax ? 0 : value)).toThrow(expect.objectContaining({ code: 'hardware-unsupported' }))
    let reads = 0
    expect(() => open((address, value) => register(address) === REGISTER.configGeneration ? reads++ : value)).toThrow(expect.objectContaining({ code: 'hardware-broken' }))
    expect(() => open((address, value) => register(address) === REGISTER.config + 4 ? 0xffff_ffff : value)).toThrow(expect.objectContaining({ code: 'hardware-broken' }))
  })
})
