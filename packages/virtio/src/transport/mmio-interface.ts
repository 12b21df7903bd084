import type { BackendWants, Trace, Width } from '@machinist/api'
import { RegisterBlock, type WriteHook } from '@machinist/registers'
import type { VirtioCore } from '../device/core.ts'
import { virtioFeature } from '../device/spec.ts'
import type { QueueAddresses, Virtqueue } from '../queue/queue.ts'
import { legacyRegisters, mmioRegisters } from './mmio-registers.ts'

/** What a driver writes to choose what other registers are about. */
export const selector = { deviceFeatures: 0, driverFeatures: 1, queue: 2, guestPageSize: 3 } as const

/** What registers need of the transport that has them. */
export interface MmioHost {
  readonly name: string
  readonly trace: Trace
  readonly deviceId: number
  readonly vendorId: number
  readonly core: Pick<VirtioCore<unknown, unknown, BackendWants>, 'offered' | 'accept' | 'has' | 'notify' | 'acknowledge' | 'resetQueue' | 'interrupts' | 'status' | 'generation'>
  /** By {@link selector}. */
  readonly selectors: Uint32Array
  /** The queue that QueueSel names, and what the driver wrote for it. */
  readonly queue: Virtqueue | undefined
  readonly words: Uint32Array | undefined
  /** A write to a word of the queue; ignored while that is in use (4.2.2.2). */
  stage(word: number, value: number): void
  /** Starts the queue. */
  enable(at: QueueAddresses): void
  setStatus(value: number): void
  warn(message: string): void
}

/** One of the two interfaces of the MMIO transport. */
export interface MmioInterface {
  /** Number of {@link MmioHost.selectors}. */
  readonly selectors: number
  /** Number of words of a queue. */
  readonly words: number
  registers(host: MmioHost): { read(offset: number, width: Width): number; write(offset: number, width: Width, value: number): void; reset(): void }
}

const choose = ({ selectors }: MmioHost, index: number): WriteHook => (value) => { selectors[index] = value }
const stage = (host: MmioHost, word: number): WriteHook => (value) => { host.stage(word, value) }
const featuresTo = ({ core, selectors }: MmioHost): WriteHook => (value) => { core.accept(selectors[selector.driverFeatures] ?? 0, value) }

const modernWord = { num: 0, desc: 1, driver: 3, device: 5 }

/** Version 2 (virtio 1.2, 4.2.2). Words of a queue: QueueNum, then low and high halves of descriptor table, available and used ring. */
export const modern: MmioInterface = {
  selectors: 3,
  words: 7,
  registers(host) {
    const { core, selectors } = host
    const setReady = (ready: boolean): void => {
      const { queue, words } = host
      if (queue === undefined || words === undefined) return host.warn(`ignored QueueReady of queue ${String(selectors[selector.queue])}, which does not exist`)
      if (queue.ready === ready) return
      if (!ready) return core.resetQueue(queue)
      const address = (low: number): number => (words[low] ?? 0) + (words[low + 1] ?? 0) * 2 ** 32
      host.enable({ size: words[modernWord.num] ?? 0, desc: address(modernWord.desc), driver: address(modernWord.driver), device: address(modernWord.device) })
    }
    const resetQueue = (value: number): void => {
      const { queue } = host
      if (value !== 1 || queue === undefined) return
      if (core.has(virtioFeature.ringReset)) core.resetQueue(queue)
      else host.warn('ignored QueueReset, which was not negotiated')
    }
    return new RegisterBlock(mmioRegisters, {
      name: host.name,
      trace: host.trace,
      reset: { DeviceID: host.deviceId, VendorID: host.vendorId },
      read: {
        DeviceFeatures: () => core.offered(selectors[selector.deviceFeatures] ?? 0),
        QueueNumMax: () => host.queue?.maximumSize ?? 0,
        QueueReady: () => host.queue?.ready === true ? 1 : 0,
        QueueReset: () => 0, // at once, so it is never seen in progress
        InterruptStatus: () => core.interrupts,
        Status: () => core.status,
        ConfigGeneration: () => core.generation,
      },
      write: {
        DeviceFeaturesSel: choose(host, selector.deviceFeatures),
        DriverFeatures: featuresTo(host),
        DriverFeaturesSel: choose(host, selector.driverFeatures),
        QueueSel: choose(host, selector.queue),
        QueueNum: stage(host, modernWord.num),
        QueueDescLow: stage(host, modernWord.desc),
        QueueDescHigh: stage(host, modernWord.desc + 1),
        QueueDriverLow: stage(host, modernWord.driver),
        QueueDriverHigh: stage(host, modernWord.driver + 1),
        QueueDeviceLow: stage(host, modernWord.device),
        QueueDeviceHigh: stage(host, modernWord.device + 1),
        QueueReady: (value) => { setReady((value & 1) !== 0) },
        QueueReset: resetQueue,
        QueueNotify: (value) => { core.notify(value) },
        InterruptACK: (value) => { core.acknowledge(value) },
        Status: (value) => { host.setStatus(value) },
      },
    })
  },
}

const legacyWord = { num: 0, align: 1, pfn: 2 }
/** Of a used ring whose driver names no alignment. */
const defaultAlign = 4096

/**
 * Where a queue lies that a legacy driver put at `base`: available ring behind descriptor table, used ring behind both at the next multiple of
 * `align` (2.7.2, Legacy Interfaces).
 */
export function legacyLayout(base: number, size: number, align: number): QueueAddresses {
  const driver = base + 16 * size
  const end = driver + 2 * (size + 3)
  return { size, desc: base, driver, device: Math.ceil(end / align) * align }
}

/** Version 1 (4.2.4). Words of a queue: QueueNum, QueueAlign, QueuePFN. */
export const legacy: MmioInterface = {
  selectors: 4,
  words: 3,
  registers(host) {
    const { core, selectors } = host
    const setPfn = (value: number): void => {
      const { queue, words } = host
      if (queue === undefined || words === undefined) return host.warn(`ignored QueuePFN of queue ${String(selectors[selector.queue])}, which does not exist`)
      if (value === 0) core.resetQueue(queue)
      host.stage(legacyWord.pfn, value)
      if (value === 0 || queue.ready) return
      // Drivers that name no size of pages mean bytes.
      const base = value * (selectors[selector.guestPageSize] || 1)
      host.enable(legacyLayout(base, words[legacyWord.num] || queue.maximumSize, words[legacyWord.align] || defaultAlign))
    }
    return new RegisterBlock(legacyRegisters, {
      name: host.name,
      trace: host.trace,
      reset: { DeviceID: host.deviceId, VendorID: host.vendorId },
      read: {
        HostFeatures: () => core.offered(selectors[selector.deviceFeatures] ?? 0),
        QueueNumMax: () => host.queue?.maximumSize ?? 0,
        QueuePFN: () => host.words?.[legacyWord.pfn] ?? 0,
        InterruptStatus: () => core.interrupts,
        Status: () => core.status,
      },
      write: {
        HostFeaturesSel: choose(host, selector.deviceFeatures),
        GuestFeatures: featuresTo(host),
        GuestFeaturesSel: choose(host, selector.driverFeatures),
        GuestPageSize: choose(host, selector.guestPageSize),
        QueueSel: choose(host, selector.queue),
        QueueNum: stage(host, legacyWord.num),
        QueueAlign: stage(host, legacyWord.align),
        QueuePFN: setPfn,
        QueueNotify: (value) => { core.notify(value) },
        InterruptACK: (value) => { core.acknowledge(value) },
        Status: (value) => { host.setStatus(value) },
      },
    })
  },
}
