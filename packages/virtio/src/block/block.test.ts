import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { BlockPort, BlockStatus } from '@machinist/api'
import { fakeBlock, testDevice } from '@machinist/registers/testing'
import type { FakeBlock } from '@machinist/registers/testing'
import { blockFeature as F } from './layout.ts'
import { virtioBlock } from '../index.ts'
import { VirtioDriver } from '../testing.ts'
import type { DriverOptions, DriverRequest } from '../testing.ts'

const diskSize = 1 << 20

function header(type: number, sector: number): Uint8Array {
  const bytes = new Uint8Array(16)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, type, true)
  view.setUint32(8, sector % 2 ** 32, true)
  view.setUint32(12, Math.floor(sector / 2 ** 32), true)
  return bytes
}

function range(sector: number, count: number, flags: number = 0): Uint8Array {
  const bytes = header(0, 0)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, sector % 2 ** 32, true)
  view.setUint32(4, Math.floor(sector / 2 ** 32), true)
  view.setUint32(8, count, true)
  view.setUint32(12, flags, true)
  return bytes
}

/** Status byte of a request, 255 while it is not used. */
const statusOf = (request: DriverRequest): number => request.answers.at(-1)?.[0] ?? 255

/** A disk that completes at once, for what does not test ordering. */
function instant(fake: FakeBlock): BlockPort {
  const now = <Rest extends unknown[]>(call: (...rest: Rest) => void) => (...rest: Rest): void => {
    call(...rest)
    fake.complete()
  }
  return { ...fake, read: now(fake.read.bind(fake)), write: now(fake.write.bind(fake)), flush: now(fake.flush.bind(fake)),
    discard: now((offset, length, done) => fake.discard?.(offset, length, done)),
    writeZeroes: now((offset, length, done) => fake.writeZeroes?.(offset, length, done)) }
}

describe.each(['split', 'packed'] as const)('over %s rings', (ring) => {
  function make(config: object = {}, options: DriverOptions = {}, disk: BlockPort = fakeBlock({ size: diskSize })) {
    const dut = testDevice(virtioBlock, { ring, ...config }, { name: 'disk0', backends: { disk }, memorySize: 1 << 24 })
    const driver = new VirtioDriver(dut, options)
    expect(driver.start()).toBe(15)
    const ask = (type: number, sector: number, out: readonly Uint8Array[], answers: readonly number[], queue = 0): DriverRequest => {
      const request = driver.submit(queue, [header(type, sector), ...out], [...answers, 1])
      driver.notify(queue)
      return request
    }
    return { dut, driver, ask, disk }
  }

  it('rests when a full ring is taken, though the driver does not use all queues', () => {
    const { dut, driver } = make({ queues: 2 }, { indirect: true })
    dut.write(0x030, 1)
    dut.write(0x044, 0) // queue 1 is not ready
    for (let sector = 0; sector < 16; sector++) driver.submit(0, [header(0, sector)], [512, 1])
    driver.notify(0)
    dut.advance(1000) // throws when a timer is armed for the present without end
    expect(driver.queue(0).inFlight.size).toBe(16)
  })

  it.each([1, 16])('begins no more than 64 requests at once, and all in the end: %d queues', (queues) => {
    const { dut, driver } = make({ queues, queueSize: 256 }, { queueSize: 256, indirect: true }, instant(fakeBlock({ size: diskSize })))
    for (let sector = 0; sector < 200; sector++) driver.submit(sector % queues, [header(0, sector)], [512, 1])
    const collect = (): number => Array.from({ length: queues }, (_, queue) => driver.collect(queue)).reduce((sum, count) => sum + count, 0)
    driver.notify(0)
    const first = collect()
    // The driver spoke of one queue, and the device looks at all.
    dut.advance(0)
    expect([first, collect()]).toEqual([64 / queues, 200 - 64 / queues])
  })

  describe('configuration space', () => {
    it('describes the disk', () => {
      const { driver } = make({ queues: 2, queueSize: 128 }, {}, fakeBlock({ size: diskSize, blockSize: 4096 }))
      expect([driver.readConfig(0, 4), driver.readConfig(4, 4)]).toEqual([diskSize / 512, 0])
      expect([driver.readConfig(8, 4), driver.readConfig(12, 4), driver.readConfig(20, 4)]).toEqual([1 << 20, 126, 512])
      expect([driver.readConfig(24, 1), driver.readConfig(26, 2), driver.readConfig(32, 1), driver.readConfig(34, 2)]).toEqual([3, 8, 1, 2])
      expect(driver.has(F.multiQueue)).toBe(true)
      expect([F.sizeMax, F.segMax, F.blockSize, F.flush, F.topology, F.configWce, F.discard, F.writeZeroes].every((bit) => driver.has(bit))).toBe(true)
    })

    it('offers what the disk can do, and nothing that writes when it is read-only', () => {
      const fake = fakeBlock({ size: diskSize })
      const bare: BlockPort = { size: fake.size, readOnly: false, blockSize: 512, read: fake.read.bind(fake), write: fake.write.bind(fake), flush: fake.flush.bind(fake) }
      const { driver } = make({}, {}, bare)
      expect([F.discard, F.writeZeroes, F.readOnly, F.multiQueue].some((bit) => driver.has(bit))).toBe(false)
      for (const { driver } of [make({ readOnly: true }), make({}, {}, fakeBlock({ size: diskSize, readOnly: true }))]) {
        expect(driver.has(F.readOnly)).toBe(true)
        expect([F.discard, F.writeZeroes, F.configWce].some((bit) => driver.has(bit))).toBe(false)
      }
    })

    it('is refused when it cannot be', () => {
      for (const config of [{ serial: 'x'.repeat(21) }, { serial: 'é' }, { queues: 0 }, { queueSize: 100 }, { blockSize: 1024 }, { readonly: true }]) {
        expect(() => make(config)).toThrow(/disk0/)
      }
      expect(() => make({ blockSize: 4096 }, {}, fakeBlock({ size: 512 * 9 }))).toThrow(/4096/)
    })
  })

  describe('requests', () => {
    it('read and write what a plain array would, in any cutting', () => {
      const pieces = fc.array(fc.integer({ min: 1, max: 1500 }), { maxLength: 5 })
      const request = fc.record({ write: fc.boolean(), sector: fc.integer({ min: 0, max: 40 }), count: fc.integer({ min: 0, max: 12 }), pieces })
      fc.assert(fc.property(fc.array(request, { maxLength: 30 }), fc.boolean(), (list, indirect) => {
        const fake = fakeBlock({ size: 32 * 512 })
        const { driver, ask } = make({}, { indirect }, instant(fake))
        const model = new Uint8Array(32 * 512)
        let fill = 1
        for (const { write, sector, count, pieces } of list) {
          const length = count * 512
          const cuts: number[] = []
          let left = length
          for (const piece of pieces) {
            cuts.push(Math.min(piece, left))
            left -= cuts.at(-1) ?? 0
          }
          cuts.push(left)
          const inside = sector + count <= 32
          if (write) {
            const bytes = new Uint8Array(length).fill(fill++)
            let at = 0
            const result = ask(1, sector, cuts.map((cut) => bytes.subarray(at, at += cut)), [])
            driver.collect(0)
            expect(statusOf(result)).toBe(inside ? 0 : 1)
            expect(result.written).toBe(inside ? 1 : 1)
            if (inside) model.set(bytes, sector * 512)
          } else {
            const result = ask(0, sector, [], cuts)
            driver.collect(0)
            expect(statusOf(result)).toBe(inside ? 0 : 1)
            if (!inside) continue
            expect(result.written).toBe(length + 1)
            const bytes = result.answers.slice(0, -1).flatMap((answer) => [...answer])
            expect(bytes).toEqual([...model.subarray(sector * 512, sector * 512 + length)])
          }
        }
        expect(Buffer.compare(fake.data, model)).toBe(0)
      }), { numRuns: 30 })
    })

    it('longer than one transfer go piece by piece', () => {
      const size = 5 << 20
      const fake = fakeBlock({ size })
      const { driver, ask } = make({}, {}, instant(fake))
      const bytes = Uint8Array.from({ length: 3 << 20 }, (_, index) => (index >> 9) + index)
      const write = ask(1, 100, [bytes], [])
      driver.collect(0)
      expect(statusOf(write)).toBe(0)
      expect(Buffer.compare(fake.data.subarray(51200, 51200 + bytes.length), bytes)).toBe(0)
      const read = ask(0, 100, [], [bytes.length])
      driver.collect(0)
      expect(read.written).toBe(bytes.length + 1)
      expect(Buffer.compare(read.answers[0] ?? bytes.subarray(0, 1), bytes)).toBe(0)
    })

    it('outside the disk, odd or unknown are answered so', () => {
      const { driver, ask } = make({}, {}, instant(fakeBlock({ size: diskSize })))
      const sectors = diskSize / 512
      const status = (type: number, sector: number, out: Uint8Array[], answers: number[]): number => {
        const request = ask(type, sector, out, answers)
        driver.collect(0)
        return statusOf(request)
      }
      expect(status(0, sectors - 1, [], [512])).toBe(0)
      for (const sector of [sectors, sectors - 1, 2 ** 32, 2 ** 55, 2 ** 63 - 1024, 2 ** 64 - 2048]) {
        expect(status(0, sector, [], [1024])).toBe(1)
        expect(status(1, sector, [new Uint8Array(1024)], [])).toBe(1)
        expect(status(11, 0, [range(sector, 2)], [])).toBe(1)
        expect(status(13, 0, [range(sector, 2)], [])).toBe(1)
      }
      expect(status(0, 0, [], [511])).toBe(1)
      expect(status(1, 0, [new Uint8Array(100)], [])).toBe(1)
      for (const type of [2, 3, 5, 9, 10, 14, 0xffffffff]) expect(status(type, 0, [], [512])).toBe(2)
      expect(status(11, 0, [range(0, 8, 1)], [])).toBe(2)
      expect(status(13, 0, [range(0, 8, 1)], [])).toBe(0)
      expect(status(13, 0, [range(0, 8, 2)], [])).toBe(2)
      expect(status(13, 0, [range(0, 1 << 17)], [])).toBe(1)
      expect(status(13, 0, [range(0, 8), range(8, 8)], [])).toBe(1)
      expect(status(11, 0, [range(0, 8), range(8, 8)], [])).toBe(0)
      expect(status(11, 0, [range(0, 8).subarray(0, 15)], [])).toBe(1)
      expect(status(11, 0, [], [])).toBe(1)
      // Nothing is carried out when one range is wrong.
      expect(status(13, 0, [range(0, 8)], [])).toBe(0)
    })

    it('get the serial number', () => {
      const { driver, ask } = make({ serial: 'MACH-1' })
      const request = ask(8, 0, [], [20])
      driver.collect(0)
      expect(String.fromCharCode(...request.answers[0] ?? [])).toBe('MACH-1'.padEnd(20, '\0'))
      expect([statusOf(request), request.written]).toEqual([0, 21])
    })

    it('fail as the host fails', () => {
      const fake = fakeBlock({ size: diskSize })
      const { driver, ask } = make({}, {}, fake)
      for (const [failure, status] of [['io-error', 1], ['no-space', 1], ['read-only', 1], ['unsupported', 2]] as [BlockStatus, number][]) {
        for (const request of [() => ask(0, 0, [], [512]), () => ask(1, 0, [new Uint8Array(512)], []), () => ask(4, 0, [], []), () => ask(13, 0, [range(0, 1)], [])]) {
          fake.failures.push(failure)
          const made = request()
          fake.complete()
          driver.collect(0)
          expect(statusOf(made)).toBe(status)
        }
      }
    })

    it('writes to a read-only device do not reach the disk', () => {
      const fake = fakeBlock({ size: diskSize })
      const { driver, ask } = make({ readOnly: true }, {}, fake)
      const list = [ask(1, 0, [new Uint8Array(512).fill(1)], []), ask(11, 0, [range(0, 1)], []), ask(13, 0, [range(0, 1)], [])]
      expect(fake.pending).toBe(0)
      driver.collect(0)
      expect(list.map(statusOf)).toEqual([1, 1, 1])
    })

    it('complete in any order, on any queue', () => {
      const done: (() => void)[] = []
      const fake = fakeBlock({ size: diskSize })
      const disk: BlockPort = { ...fake, read: (offset, into, finish) => { done.push(() => { into[0]?.fill(offset / 512); finish('ok') }) } }
      const { driver, ask } = make({ queues: 4 }, {}, disk)
      const requests = [1, 2, 3, 4].map((sector) => ask(0, sector, [], [512], sector - 1))
      for (const finish of done.reverse()) finish()
      for (const queue of [0, 1, 2, 3]) driver.collect(queue)
      expect(requests.map(({ answers }) => answers[0]?.[7])).toEqual([1, 2, 3, 4])
    })
  })

  describe('straight into guest memory', () => {
    /** A disk that reads at once when it is told that it can, and then is done when it is told. */
    function quick() {
      const fake = fakeBlock({ size: diskSize })
      fake.data.forEach((_, at) => { fake.data[at] = at * 7 + (at >>> 8) })
      const log: string[] = []
      const done: (() => void)[] = []
      const state = { able: true }
      const disk: BlockPort = { ...fake,
        read(offset: number, into: readonly Uint8Array[], finish: (status: BlockStatus) => void) {
          log.push('read')
          fake.read(offset, into, finish)
          fake.complete()
        },
        readAtOnce(offset: number, into: readonly Uint8Array[], finish: (status: BlockStatus) => void) {
          log.push('at once')
          for (const buffer of into) {
            buffer.set(fake.data.subarray(offset, offset + buffer.length))
            offset += buffer.length
          }
          if (state.able) done.push(() => { finish('ok') })
          return state.able
        } }
      return { state, log, done, fake, disk }
    }

    it('goes what is large, in however many buffers, and small things go as ever', () => {
      const host = quick()
      const { driver, ask } = make({}, {}, host.disk)
      const lengths = [512, 1, 4096 - 1, 30_000, 700, 54_804]
      const large = ask(0, 3, [], lengths)
      expect(host.log).toEqual(['at once'])
      driver.collect(0)
      expect(statusOf(large)).toBe(255)
      for (const finish of host.done.splice(0)) finish()
      driver.collect(0)
      expect([statusOf(large), large.written]).toEqual([0, lengths.reduce((sum, length) => sum + length, 1)])
      const all = Buffer.concat(large.answers.slice(0, -1))
      expect(Buffer.compare(all, host.fake.data.subarray(3 * 512, 3 * 512 + all.length))).toBe(0)
      const small = ask(0, 5, [], [512])
      driver.collect(0)
      expect([statusOf(small), host.log]).toEqual([0, ['at once', 'read']])
    })

    it('does not go what the disk cannot, and comes by a buffer', () => {
      const host = quick()
      const { driver, ask } = make({}, {}, host.disk)
      host.state.able = false
      const request = ask(0, 3, [], [65536])
      driver.collect(0)
      expect([statusOf(request), host.log]).toEqual([0, ['at once', 'read']])
      expect(Buffer.compare(request.answers[0] ?? Buffer.alloc(0), host.fake.data.subarray(3 * 512, 3 * 512 + 65536))).toBe(0)
    })

    it('is over when a reset comes: nothing is written later', () => {
      const host = quick()
      const { dut, driver, ask } = make({}, {}, host.disk)
      ask(0, 3, [], [65536])
      driver.start()
      dut.context.memory.fill(0xee)
      for (const finish of host.done.splice(0)) finish()
      expect(dut.context.memory.every((byte) => byte === 0xee)).toBe(true)
    })
  })

  describe('flush and caching', () => {
    const calls = (config: object, features: number[] | undefined, set?: number): string[] => {
      const log: string[] = []
      const fake = fakeBlock({ size: diskSize })
      const disk: BlockPort = { ...fake,
        write: (_offset, _from, done) => { log.push('write'); done('ok') },
        flush: (done) => { log.push('flush'); done('ok') } }
      const { driver, ask } = make(config, features === undefined ? {} : { features }, disk)
      if (set !== undefined) driver.writeConfig(32, 1, set)
      const write = ask(1, 0, [new Uint8Array(512)], [])
      driver.collect(0)
      expect(statusOf(write)).toBe(0)
      log.push('|')
      ask(4, 0, [], [])
      driver.collect(0)
      return log
    }

    it('flush reaches the disk, and writes flush only in write-through mode', () => {
      expect(calls({}, undefined)).toEqual(['write', '|', 'flush'])
      expect(calls({}, undefined, 0)).toEqual(['write', 'flush', '|', 'flush'])
      expect(calls({}, undefined, 1)).toEqual(['write', '|', 'flush'])
      expect(calls({}, [])).toEqual(['write', 'flush', '|', 'flush'])
      expect(calls({}, [F.flush])).toEqual(['write', '|', 'flush'])
      expect(calls({}, [F.flush], 0)).toEqual(['write', '|', 'flush'])
      expect(calls({}, [F.configWce])).toEqual(['write', 'flush', '|', 'flush'])
    })

    it('a flush completes when the disk says so', () => {
      const fake = fakeBlock({ size: diskSize })
      const { driver, ask } = make({}, {}, fake)
      const flush = ask(4, 0, [], [])
      expect(driver.collect(0)).toBe(0)
      fake.complete()
      expect(driver.collect(0)).toBe(1)
      expect(statusOf(flush)).toBe(0)
    })
  })

  describe('bounds', () => {
    it('no more than 8 MiB of buffers, whatever the guest asks for and however often it resets', () => {
      const waiting: { readonly bytes: number, readonly done: () => void }[] = []
      let bytes = 0
      const fake = fakeBlock({ size: 1 << 20 })
      const disk: BlockPort = { ...fake, size: 2 ** 40, read: (_offset, into, done) => {
        const count = into.reduce((sum, { length }) => sum + length, 0)
        bytes += count
        waiting.push({ bytes: count, done: () => { bytes -= count; done('ok') } })
      } }
      const { driver, ask } = make({}, { queueSize: 256 }, disk)
      for (let life = 0; life < 5; life++) {
        for (let count = 0; count < 40; count++) ask(0, 0, [], [300 << 10])
        expect(bytes).toBeLessThanOrEqual(8 << 20)
        if (life < 4) driver.start()
      }
      let used = 0
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        next.done()
        expect(bytes).toBeLessThanOrEqual(8 << 20)
        used += driver.collect(0)
      }
      expect(used).toBe(40)
    })

    it('what the guest changes after the kick does not matter', () => {
      const fake = fakeBlock({ size: diskSize })
      const { dut, driver, ask } = make({}, {}, fake)
      const request = ask(1, 5, [new Uint8Array(512).fill(7)], [])
      // Descriptors, header and data, all of them.
      const queue = driver.queue(0)
      dut.context.memory.fill(0xff, queue.desc - dut.context.memoryBase, queue.desc + 3 * 16 - dut.context.memoryBase)
      dut.context.memory.fill(0x99, queue.end - dut.context.memoryBase, queue.end - dut.context.memoryBase + 600)
      fake.complete()
      driver.collect(0)
      expect(statusOf(request)).toBe(0)
      expect(fake.data.subarray(5 * 512, 6 * 512).every((byte) => byte === 7)).toBe(true)
      expect(fake.data.subarray(6 * 512).every((byte) => byte === 0)).toBe(true)
    })
  })

  describe('saved state', () => {
    it('carries requests out again in the other machine', () => {
      const fake = fakeBlock({ size: diskSize })
      const { dut, driver, ask } = make({}, {}, fake)
      driver.writeConfig(32, 1, 0)
      const write = ask(1, 3, [new Uint8Array(512).fill(3)], [])
      const state = structuredClone(dut.device.save())
      const target = fakeBlock({ size: diskSize })
      const other = testDevice(virtioBlock, { ring }, { name: 'disk0', backends: { disk: instant(target) }, memorySize: 1 << 24 })
      other.device.restore(state)
      other.context.memory.set(dut.context.memory)
      other.advance(0)
      const twin = new VirtioDriver(other)
      twin.queues.push(...driver.queues)
      expect(twin.collect(0)).toBe(1)
      expect(statusOf(write)).toBe(0)
      expect(target.data[3 * 512]).toBe(3)
      expect(other.read(0x120, 1)).toBe(0)
    })
  })
})
