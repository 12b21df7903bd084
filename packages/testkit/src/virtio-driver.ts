import type { BackendWants } from '@machinist/api'
import type { TestDevice } from '@machinist/registers/testing'
import type { Random } from './random.ts'

/** See `FuzzOptions.driver`; of any device. */
export type AnyDriver = <Config, S, Irq extends string, Wants extends BackendWants>(dut: TestDevice<Config, S, Irq, Wants>, random: Random) => void

/** Registers of the MMIO transport that set a device up (virtio 1.2, 4.2.2). */
const At = {
  driverFeatures: 0x20, driverFeaturesSel: 0x24, queueSel: 0x30, queueNum: 0x38, queueReady: 0x44, queueNotify: 0x50, interruptAck: 0x64, status: 0x70,
  desc: 0x80, driver: 0x90, device: 0xa0,
} as const
const ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8
const NEXT = 1, WRITE = 2, INDIRECT = 4
const QUEUE_BYTES = 0x1000

/**
 * A virtio driver that means no good: it sets queues up as the specification wants, then makes descriptors available
 * that loop, overlap, point outside memory, or are merely odd. For `fuzzDevice`, over any virtio-mmio device.
 *
 * @param queues - how many queues it tries
 */
export function hostileVirtioDriver(queues: number): AnyDriver {
  return (dut, random) => {
    const { memory, memoryBase } = dut.context
    const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength)
    if (random.chance(0.15)) {
      dut.write(At.status, 0)
      dut.write(At.status, ACKNOWLEDGE | DRIVER)
      for (const [word, always] of [[0, 0], [1, 1]] as const) {
        dut.write(At.driverFeaturesSel, word)
        // VIRTIO_F_VERSION_1 is bit 32; the others come and go.
        dut.write(At.driverFeatures, (random.chance(0.5) ? 0 : random.u32() & 0x3000_0fff) | always)
      }
      dut.write(At.status, ACKNOWLEDGE | DRIVER | FEATURES_OK)
      for (let queue = 0; queue < queues; queue++) {
        const base = memoryBase + queue * QUEUE_BYTES
        memory.fill(0, queue * QUEUE_BYTES, (queue + 1) * QUEUE_BYTES)
        dut.write(At.queueSel, queue)
        dut.write(At.queueNum, random.pick([1, 2, 4, 8, 16, 16, 16]))
        for (const [at, offset] of [[At.desc, 0], [At.driver, 0x400], [At.device, 0x800]] as const) {
          dut.write(at, base + offset)
          dut.write(at + 4, 0)
        }
        dut.write(At.queueReady, 1)
      }
      dut.write(At.status, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)
    }
    const queue = random.below(queues)
    const base = queue * QUEUE_BYTES
    for (let n = random.between(1, 6); n > 0; n--) {
      const descriptor = base + 16 * random.below(16)
      const data = queues * QUEUE_BYTES + random.below(memory.length - queues * QUEUE_BYTES)
      view.setUint32(descriptor, random.chance(0.9) ? memoryBase + data : random.u32(), true)
      view.setUint32(descriptor + 4, random.chance(0.95) ? 0 : random.u32(), true)
      view.setUint32(descriptor + 8, random.pick([0, 1, 16, 16, 512, 513, 4096, random.u32()]), true)
      view.setUint16(descriptor + 12, random.chance(0.8) ? random.pick([0, NEXT, WRITE, NEXT | WRITE]) : random.below(8) | INDIRECT, true)
      view.setUint16(descriptor + 14, random.chance(0.9) ? random.below(16) : random.u32(), true)
      if (data + 16 < memory.length) {
        // A header of a request, should it be taken for one.
        view.setUint32(data, random.pick([0, 1, 4, 8, 11, 13, random.u32()]), true)
        view.setUint32(data + 8, random.pick([0, 1, 63, 64, random.u32()]), true)
        view.setUint32(data + 12, random.chance(0.9) ? 0 : random.u32(), true)
      }
    }
    const avail = base + 0x400
    const next = view.getUint16(avail + 2, true)
    const count = random.chance(0.95) ? random.between(0, 3) : random.u32()
    for (let n = 0; n < Math.min(count, 16); n++) view.setUint16(avail + 4 + 2 * ((next + n) % 16), random.chance(0.97) ? random.below(16) : random.u32(), true)
    view.setUint16(avail, random.below(2), true)
    view.setUint16(avail + 2, next + count, true)
    dut.write(At.queueNotify, queue)
    if (random.chance(0.5)) dut.write(At.interruptAck, 3)
  }
}
