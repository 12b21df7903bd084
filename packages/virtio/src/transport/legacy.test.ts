import { isMachinistError } from '@machinist/api'
import { fakeBlock, testDevice } from '@machinist/registers/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { virtioBlock, virtioInput, virtioPlaceholders } from '../index.ts'
import { SplitDriverRing } from '../testing/rings.ts'
import { Ram } from '../testing/ram.ts'

/** Registers of the legacy interface (virtio 1.2, 4.2.4). */
const R = {
  hostFeatures: 0x010, hostFeaturesSel: 0x014, guestFeatures: 0x020, guestPageSize: 0x028, queueSel: 0x030, queueNumMax: 0x034, queueNum: 0x038, queueAlign: 0x03c,
  queuePfn: 0x040, notify: 0x050, interruptStatus: 0x060, interruptAck: 0x064, status: 0x070,
}

function make() {
  const disk = fakeBlock({ size: 1 << 20 })
  return { disk, dut: testDevice(virtioBlock, { legacy: true }, { backends: { disk }, memorySize: 1 << 20 }) }
}

describe('the legacy interface', () => {
  it('names itself, and has the first 32 features and one that says where buffers may lie', () => {
    const { dut } = make()
    expect([dut.read(0), dut.read(4), dut.read(8), dut.read(12)]).toEqual([0x74726976, 1, 2, 0x554d4551])
    expect((dut.read(R.hostFeatures) >>> 27) & 1).toBe(1)
    dut.write(R.hostFeaturesSel, 1)
    expect(dut.read(R.hostFeatures)).toBe(0)
    dut.write(R.queueSel, 1)
    expect(dut.read(R.queueNumMax)).toBe(0)
    // What version 2 has besides is not there.
    expect([dut.read(0x044), dut.read(0x0fc), dut.read(0x0b0)]).toEqual([0, 0, 0])
  })

  it('serves queues in one piece, at any page, size and alignment, and again after they were taken away, over save and restore', () => {
    const pages = fc.constantFrom([4096, 4096], [512, 4096], [1, 4096], [4096, 0], [4096, 64], [4096, 4])
    fc.assert(fc.property(pages, fc.constantFrom(4, 16, 64), fc.integer({ min: 1, max: 30 }), fc.boolean(), ([pageSize = 0, align = 0], size, page, restore) => {
      const { dut, disk } = make()
      const ram = new Ram(dut.context.memory, dut.context.memoryBase)
      for (let life = 0; life < 2; life++) {
        const at = ram.memoryBase + 4096 * (page + 8 * life)
        const ring = new SplitDriverRing(size, at, align || 4096)
        // Once, and before the reset, as Linux does.
        if (pageSize > 1 && life === 0) dut.write(R.guestPageSize, pageSize)
        dut.write(R.status, 0)
        dut.write(R.status, 3)
        dut.write(R.guestFeatures, 0)
        dut.write(R.queueSel, 0)
        expect([dut.read(R.queuePfn), dut.read(R.queueNumMax) >= size]).toEqual([0, true])
        dut.write(R.queueNum, size)
        dut.write(R.queueAlign, align)
        dut.write(R.queuePfn, at / pageSize)
        expect(dut.read(R.queuePfn)).toBe(at / pageSize)
        dut.write(R.status, 7)
        if (restore) dut.device.restore(dut.device.save())
        expect(dut.read(R.queuePfn)).toBe(at / pageSize)
        const header = ram.memoryBase + 0x8_0000
        const data = header + 0x1000
        const status = header + 0x2000
        const transfer = (type: number): number => {
          ram.memory.fill(0xee, status - ram.memoryBase, status - ram.memoryBase + 1)
          new DataView(ram.memory.buffer, ram.memory.byteOffset).setUint32(header - ram.memoryBase, type, true)
          ring.add(ram, [{ address: header, length: 16, write: false }, { address: data, length: 512, write: type === 0 }, { address: status, length: 1, write: true }], null)
          dut.write(R.notify, 0)
          disk.complete()
          expect([dut.read(R.interruptStatus), ring.take(ram) !== null]).toEqual([1, true])
          dut.write(R.interruptAck, 1)
          return ram.copy(status, 1)[0] ?? -1
        }
        ram.memory.fill(0x40 + life, data - ram.memoryBase, data - ram.memoryBase + 512)
        expect(transfer(1)).toBe(0)
        ram.memory.fill(0, data - ram.memoryBase, data - ram.memoryBase + 512)
        expect(transfer(0)).toBe(0)
        expect(new Set(ram.copy(data, 512))).toEqual(new Set([0x40 + life]))
        if (life === 0 && restore) {
          dut.write(R.queuePfn, 0)
          expect(dut.read(R.queuePfn)).toBe(0)
        }
        dut.write(R.status, 0)
      }
    }), { numRuns: 60 })
  })

  it('is refused where there is none', () => {
    const codeOf = (work: () => unknown): string => {
      try {
        work()
      } catch (error) {
        if (isMachinistError(error)) return error.code
        throw error
      }
      return 'nothing'
    }
    expect(codeOf(() => virtioInput.configure({ legacy: true }, 'keys'))).toBe('virtio-legacy')
    expect(codeOf(() => virtioBlock.configure({ legacy: true, ring: 'packed' }, 'disk'))).toBe('virtio-legacy')
  })
})

it('says that a place is empty, whatever is done to it', () => {
  for (const version of [1, 2] as const) {
    const dut = testDevice(virtioPlaceholders, { count: 2, version }, { backends: {} })
    for (let offset = 0; offset < 0x1000; offset += 4) dut.write(offset, 0xffff_ffff)
    const words = Array.from({ length: 1024 }, (_, index) => dut.read(4 * index))
    expect([words.slice(0, 4), words.slice(4).every((word) => word === 0), dut.read(0, 1)]).toEqual([[0x74726976, version, 0, 0x554d4551], true, 0])
  }
  expect(virtioPlaceholders.regions(virtioPlaceholders.configure({ count: 3 }, 'slots')).map(({ size }) => size)).toEqual([4096, 4096, 4096])
})
