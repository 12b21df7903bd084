import { describe, expect, it } from 'vitest'
import type { FdtNode, FdtValue } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { testDevice } from '@machinist/registers/testing'
import type { TestDevice } from '@machinist/registers/testing'
import { virtioMmio } from '../index.ts'
import type { Chain, MmioState, RingFormat, VirtioContext, VirtioDevice, VirtioIrq, VirtioSpec, Virtqueue } from '../index.ts'
import { VirtioDriver } from '../testing.ts'

type None = Readonly<Record<never, never>>

/** A device that answers each request with its own bytes, at once or when told to. */
interface Echo extends VirtioDevice<object> {
  readonly held: { readonly queue: Virtqueue, readonly chain: Chain }[]
  hold: boolean
  refuse: boolean
  notified: number[]
  context: VirtioContext<None>
  finish(): void
}

let echo: Echo

const spec: VirtioSpec<object, object, None> = {
  kind: 'virtio-echo', deviceId: 42, stateVersion: 1, backends: {},
  configure: () => ({}),
  create(_config, context): VirtioDevice<object> {
    const bytes = new Uint8Array(8)
    echo = {
      features: [3], queueSizes: [16, 64], configSize: 8, held: [], hold: false, refuse: false, notified: [], context,
      readConfig: (offset, width) => width === 1 ? bytes[offset] ?? 0 : 0x7700 + offset * 16 + width,
      writeConfig(offset, width, value) { if (width === 1) bytes[offset] = value },
      negotiate: () => !echo.refuse,
      notify(queue) {
        echo.notified.push(queue.index)
        for (let chain = queue.pop(); chain !== null; chain = queue.pop()) echo.held.push({ queue, chain })
        if (!echo.hold) echo.finish()
      },
      finish() {
        for (const { queue, chain } of echo.held.splice(0)) {
          const bytes = new Uint8Array(Math.min(chain.readableLength, chain.writableLength))
          chain.read(0, bytes)
          chain.write(0, bytes)
          queue.push(chain, bytes.length)
          queue.signal()
        }
      },
      reset() { bytes.fill(0) },
      save: () => ({}),
      restore(state) {
        plainData('dut', state, 'state').done()
        echo.held.length = 0
      },
    }
    return echo
  },
}

const virtioEcho = virtioMmio(spec)

const text = (value: string): Uint8Array => Uint8Array.from(value, (letter) => letter.charCodeAt(0))

function make(ring: RingFormat = 'split'): TestDevice<object, MmioState<object>, VirtioIrq, None> {
  return testDevice(virtioEcho, { ring }, { backends: {}, memorySize: 1 << 20 })
}

/** The bytes of the first queue. */
const ringOf = (driver: VirtioDriver): Uint8Array => driver.ram.copy(driver.queue(0).desc, driver.queue(0).end - driver.queue(0).desc)

const R = {
  deviceFeatures: 0x010, deviceFeaturesSel: 0x014, driverFeatures: 0x020, driverFeaturesSel: 0x024, queueSel: 0x030, queueNumMax: 0x034,
  queueNum: 0x038, queueReady: 0x044, notify: 0x050, interruptStatus: 0x060, interruptAck: 0x064, status: 0x070, queueReset: 0x0c0, generation: 0x0fc,
}

describe('identification', () => {
  it('reads as the specification says', () => {
    const dut = make('packed')
    expect([dut.read(0), dut.read(4), dut.read(8), dut.read(12)]).toEqual([0x74726976, 2, 42, 0x554d4551])
    expect([0xb0, 0xb4, 0xb8, 0xbc].map((offset) => dut.read(offset))).toEqual(new Array(4).fill(0xffffffff))
    dut.write(R.deviceFeaturesSel, 0)
    expect(dut.read(R.deviceFeatures)).toBe((1 << 3) | (1 << 28) | (1 << 29))
    dut.write(R.deviceFeaturesSel, 1)
    expect(dut.read(R.deviceFeatures)).toBe((1 << 0) | (1 << 2) | (1 << 6) | (1 << 8))
    for (const word of [2, 3, 0xffffffff]) {
      dut.write(R.deviceFeaturesSel, word)
      expect(dut.read(R.deviceFeatures)).toBe(0)
    }
    dut.write(R.queueSel, 1)
    expect(dut.read(R.queueNumMax)).toBe(64)
    dut.write(R.queueSel, 2)
    expect(dut.read(R.queueNumMax)).toBe(0)
  })

  it('registers are 32 bits, the configuration space is anything', () => {
    const dut = make()
    expect([dut.read(0, 1), dut.read(0, 2), dut.read(4, 1)]).toEqual([0, 0, 0])
    dut.write(0x103, 0xab, 1)
    expect(dut.read(0x103, 1)).toBe(0xab)
    expect([dut.read(0x104, 4), dut.read(0x106, 2)]).toEqual([0x7744, 0x7762])
    expect([dut.read(0x106, 4), dut.read(0x108, 1), dut.read(0xffc, 4)]).toEqual([0, 0, 0])
    dut.write(0x108, 1, 1)
    expect(dut.context.warnings.length).toBeGreaterThan(0)
  })
})

describe.each(['split', 'packed'] as const)('over %s rings', (ring) => {
  describe('initialisation', () => {
    const choose = (dut: ReturnType<typeof make>, low: number, high: number): number => {
      dut.write(R.status, 0)
      dut.write(R.status, 3)
      for (const [word, bits] of [[0, low], [1, high]] as const) {
        dut.write(R.driverFeaturesSel, word)
        dut.write(R.driverFeatures, bits)
      }
      dut.write(R.status, 11)
      return dut.read(R.status)
    }

    it('refuses features that it did not offer, and what the device refuses', () => {
      const dut = make(ring)
      expect(choose(dut, 1 << 3, 1)).toBe(11)
      expect(choose(dut, 1 << 4, 1)).toBe(3)
      expect(choose(dut, 0, 3)).toBe(3)
      echo.refuse = true
      expect(choose(dut, 0, 1)).toBe(3)
      dut.write(R.status, 15)
      expect(dut.read(R.status)).toBe(3)
    })

    it('serves drivers that know the first 32 features alone, and those that know no FEATURES_OK', () => {
      const dut = make(ring)
      expect(choose(dut, 1 << 3, 0)).toBe(11)
      expect([3, 32].map((bit) => echo.context.has(bit))).toEqual([true, false])
      for (const [features, status] of [[1 << 3, 15], [1 << 4, 3]] as const) {
        dut.write(R.status, 0)
        dut.write(R.status, 3)
        dut.write(R.driverFeatures, features)
        const driver = new VirtioDriver(dut)
        driver.setUp(0, 16)
        const request = driver.submit(0, [text('as ever')], [8])
        dut.write(R.status, 7)
        expect([dut.read(R.status), driver.collect(0), echo.context.running]).toEqual([status, status === 15 ? 1 : 0, status === 15])
        expect(request.answers[0]?.subarray(0, 7)).toEqual(status === 15 ? text('as ever') : undefined)
      }
    })

    it('fixes features at FEATURES_OK and never clears status bits', () => {
      const dut = make(ring)
      expect(choose(dut, 1 << 3, 1)).toBe(11)
      dut.write(R.driverFeaturesSel, 0)
      dut.write(R.driverFeatures, 0)
      expect(echo.context.has(3)).toBe(true)
      dut.write(R.status, 1)
      expect(dut.read(R.status)).toBe(11)
    })

    it('looks at queues only from DRIVER_OK on, and then without being asked', () => {
      const dut = make(ring)
      const driver = new VirtioDriver(dut)
      driver.start()
      echo.notified = []
      // The same again, with a request made early.
      choose(dut, 0, ring === 'packed' ? 1 | 1 << 2 : 1)
      driver.setUp(0, 16)
      const request = driver.submit(0, [text('early')], [8])
      driver.notify(0)
      expect(driver.collect(0)).toBe(0)
      dut.write(R.status, 15)
      expect(driver.collect(0)).toBe(1)
      expect(request.written).toBe(5)
    })
  })

  describe('queues', () => {
    it('carry requests, in any cutting, direct and indirect', () => {
      for (const indirect of [false, true]) {
        const dut = make(ring)
        const driver = new VirtioDriver(dut, { indirect })
        expect(driver.start()).toBe(15)
        for (let round = 0; round < 100; round++) {
          const requests = [driver.submit(1, [text('ab'), text(''), text('cde')], [1, 3, 10]), driver.submit(1, [text('xyz')], [2])]
          driver.notify(1)
          expect(dut.context.irq.irq.level).toBe(true)
          expect(driver.collect(1)).toBe(2)
          expect(dut.context.irq.irq.level).toBe(false)
          expect(requests.map(({ written }) => written)).toEqual([5, 2])
          expect(requests[0]?.answers.map((bytes) => String.fromCharCode(...bytes.filter((byte) => byte !== 0))).slice(0, 2)).toEqual(['a', 'bcd'])
        }
      }
    })

    it('interrupt only when the driver wants to know', () => {
      for (const events of [true, false]) {
        const dut = make(ring)
        const driver = new VirtioDriver(dut, { features: events ? [34, 29] : [34] })
        driver.start()
        const queue = driver.queue(0)
        const edges = (): number => dut.context.irq.irq.edges
        // The third one, or none.
        const wish = (none: boolean): void => {
          // Not negotiated, a place means any place.
          if (ring === 'packed') driver.ram.set32(queue.avail, events ? 2 << 16 | 0x8000 | 2 : none ? 1 << 16 : 2 << 16 | 9)
          else if (events) driver.set16(queue.avail + 4 + 2 * queue.size, 2)
          else driver.set16(queue.avail, none ? 1 : 0)
        }
        wish(true)
        for (let count = 0; count < 2; count++) {
          driver.submit(0, [], [1])
          driver.notify(0)
        }
        expect(edges()).toBe(0)
        wish(false)
        driver.submit(0, [], [1])
        driver.notify(0)
        expect(edges()).toBe(1)
        expect(dut.read(R.interruptStatus)).toBe(1)
        // The device asks for the next one.
        if (ring === 'packed') expect(driver.ram.get32(queue.used)).toBe(events ? 2 << 16 | 0x8000 | 3 : 0)
        else if (events) expect(driver.get16(queue.used + 4 + 8 * queue.size)).toBe(3)
      }
    })

    it('cannot be moved while in use, and be reset alone', () => {
      const dut = make(ring)
      const driver = new VirtioDriver(dut)
      driver.start()
      dut.write(R.queueSel, 0)
      dut.write(0x080, 0x40)
      dut.write(R.queueNum, 3)
      const request = driver.submit(0, [text('still')], [5])
      driver.notify(0)
      driver.collect(0)
      expect(request.written).toBe(5)

      echo.hold = true
      driver.submit(0, [text('lost')], [5])
      driver.notify(0)
      const other = driver.submit(1, [text('kept')], [5])
      driver.notify(1)
      dut.write(R.queueSel, 0)
      dut.write(R.queueReset, 1)
      expect([dut.read(R.queueReset), dut.read(R.queueReady)]).toEqual([0, 0])
      const before = ringOf(driver)
      echo.finish()
      expect(ringOf(driver)).toEqual(before)
      driver.collect(1)
      expect(other.written).toBe(4)
      echo.hold = false
      driver.setUp(0, 8)
      const again = driver.submit(0, [text('new')], [5])
      driver.notify(0)
      driver.collect(0)
      expect(again.written).toBe(3)
    })
  })

  describe('reset', () => {
    it('drops what is in flight, whenever it comes', () => {
      const dut = make(ring)
      const driver = new VirtioDriver(dut)
      driver.start()
      echo.hold = true
      driver.submit(0, [text('secret')], [6])
      driver.notify(0)
      const held = [...echo.held]
      const before = dut.context.memory.slice()
      dut.write(R.status, 0)
      echo.finish()
      expect(dut.context.memory.findIndex((byte, index) => byte !== before[index])).toBe(-1)
      expect(dut.context.irq.irq.level).toBe(false)
      driver.start()
      echo.held.push(...held)
      echo.finish()
      expect(driver.collect(0)).toBe(0)
      dut.device.reset('warm')
      expect([dut.read(R.status), dut.read(R.interruptStatus)]).toEqual([0, 0])
      dut.write(R.queueSel, 0)
      expect(dut.read(R.queueReady)).toBe(0)
    })
  })

  describe('a configuration change', () => {
    it('changes the generation and interrupts', () => {
      const dut = make(ring)
      echo.context.configChanged()
      expect(dut.read(R.interruptStatus)).toBe(0)
      const driver = new VirtioDriver(dut)
      driver.start()
      const before = dut.read(R.generation)
      echo.context.configChanged()
      expect(dut.read(R.generation)).not.toBe(before)
      expect([dut.read(R.interruptStatus), dut.context.irq.irq.level]).toEqual([2, true])
      dut.write(R.interruptAck, 1)
      expect(dut.context.irq.irq.level).toBe(true)
      dut.write(R.interruptAck, 2)
      expect(dut.context.irq.irq.level).toBe(false)
    })
  })

  describe('saved state', () => {
    it('goes on in another device, with requests in flight', () => {
      const dut = make(ring)
      const driver = new VirtioDriver(dut, { indirect: true })
      driver.start()
      echo.hold = true
      const requests = ['one', 'two'].map((word) => driver.submit(0, [text(word)], [3]))
      driver.notify(0)
      driver.submit(0, [text('six')], [3])
      const state = structuredClone(dut.device.save())
      const before = echo

      const other = make(ring)
      other.device.restore(state)
      expect(other.device.save()).toEqual(state)
      other.context.memory.set(dut.context.memory)
      const twin = new VirtioDriver(other, { indirect: true })
      twin.queues.push(...driver.queues)
      expect(twin.collect(0)).toBe(0)
      other.advance(1)
      expect(twin.collect(0)).toBe(3)
      expect(requests.map(({ written }) => written)).toEqual([3, 3])
      expect(requests.map(({ answers }) => String.fromCharCode(...answers[0] ?? []))).toEqual(['one', 'two'])

      // And back into the first: what was in flight there is another life.
      dut.device.restore(state)
      const bytes = ringOf(driver)
      before.finish()
      expect(ringOf(driver)).toEqual(bytes)
    })

    it('is checked, and a bad one changes nothing', () => {
      const dut = make(ring)
      new VirtioDriver(dut).start()
      const good = dut.device.save()
      const request = { id: 1, slots: 1, readable: [], writable: [4096, 1] }
      const bad: unknown[] = [
        null, {}, { ...good, extra: 1 }, { ...good, selectors: [1, 2] }, { ...good, staged: [] },
        { ...good, core: { ...good.core, status: 256 } },
        { ...good, core: { ...good.core, features: [0xffffffff, 1] } },
        { ...good, core: { ...good.core, queues: good.core.queues.slice(1) } },
        { ...good, core: { ...good.core, device: 5 } },
        ...[
          { size: 65 }, { desc: 8 }, { available: 1 }, { used: 2 ** 16 }, { inFlight: [1] },
          { available: 1, inFlight: [{ ...request, id: 2 ** 16 }] },
          { available: 1, inFlight: [{ ...request, slots: 2 }] },
          { available: 2, inFlight: [request, request] },
          { available: 1, inFlight: [{ ...request, writable: [4096] }] },
          { available: 1, inFlight: [{ ...request, readable: [4096, 0] }] },
        ].map((wrong) => ({ ...good, core: { ...good.core, queues: good.core.queues.map((queue) => ({ ...queue, ...wrong })) } })),
      ]
      for (const state of bad) {
        expect(() => { dut.device.restore(state as MmioState<object>) }).toThrow(/dut/)
        expect(dut.device.save()).toEqual(good)
      }
      const fine = { ...good, core: { ...good.core, queues: good.core.queues.map((queue) => ({ ...queue, available: 1, inFlight: [request] })) } }
      dut.device.restore(fine)
      expect(dut.device.save()).toEqual(fine)
    })
  })
})

describe('description', () => {
  it('is a virtio,mmio node', () => {
    const nodes = new Map<string, Map<string, FdtValue>>()
    const node = (path: string): FdtNode => {
      const properties = new Map<string, FdtValue>()
      nodes.set(path, properties)
      const self: FdtNode = {
        set(name, value) { properties.set(name, value); return self },
        child: (name) => node(`${path}/${name}`),
        label: () => self,
      }
      return self
    }
    const at = { name: 'disk0', regions: [{ base: 0x1000_1000, size: 0x1000 }], irqs: [{ irq: 'irq', to: 'plic', line: 1, ref: 'plic', cells: [1] }], harts: 1, timeFrequency: 1 }
    virtioEcho.describe?.(virtioEcho.configure({}, 'disk0'), at, { fdt: node('') })
    const found = nodes.get('/soc/virtio_mmio@10001000')
    expect(found?.get('compatible')).toBe('virtio,mmio')
    expect(found?.get('reg')).toEqual([{ u64: 0x1000_1000 }, { u64: 0x1000 }])
    expect(found?.get('interrupt-parent')).toEqual([{ ref: 'plic' }])
    expect(found?.get('interrupts')).toEqual([1])
  })
})
