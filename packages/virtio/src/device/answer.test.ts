import { testDevice } from '@machinist/registers/testing'
import { describe, expect, it } from 'vitest'
import { virtioMmio } from '../index.ts'
import type { VirtioSpec } from '../index.ts'
import { FuzzRandom, VirtioDriver } from '../testing.ts'

/** Returns what it is given, three requests in a turn. It has no configuration space and no state. */
const echo: VirtioSpec<object, object, Readonly<Record<never, never>>> = {
  kind: 'virtio-echo', deviceId: 42, stateVersion: 1, backends: {},
  configure: () => ({}),
  create: (_config, context) => ({
    features: [], queueSizes: [16], configSize: 4,
    notify(queue) {
      context.answer(queue, (chain) => {
        const bytes = new Uint8Array(chain.readableLength)
        return chain.read(0, bytes) && chain.write(0, bytes) ? bytes.length : 0
      }, 3)
    },
    reset() {},
    save: () => ({}),
    restore() {},
  }),
}

describe.each(['split', 'packed'] as const)('VirtioContext.answer, %s rings', (ring) => {
  it('leaves no request lying, though the driver notifies only when it is asked to', () => {
    const random = new FuzzRandom(7)
    const dut = testDevice(virtioMmio(echo), { ring }, { backends: {} })
    const driver = new VirtioDriver(dut, { queueSize: 8 })
    driver.start()
    for (let burst = 0; burst < 300; burst++) {
      const requests = Array.from({ length: random.below(5) }, () => {
        const bytes = random.bytes(1 + random.below(20))
        return { bytes, request: driver.submit(0, [bytes], [bytes.length]) }
      })
      driver.notifyIfWanted(0)
      dut.advance(0)
      driver.collect(0)
      expect(requests.map(({ request }) => request.answers)).toEqual(requests.map(({ bytes }) => [bytes]))
    }
  })

  it('takes no more than its limit at once', () => {
    const dut = testDevice(virtioMmio(echo), { ring }, { backends: {} })
    const driver = new VirtioDriver(dut, { queueSize: 16 })
    driver.start()
    for (let index = 0; index < 8; index++) driver.submit(0, [Uint8Array.of(index)], [1])
    driver.notify(0)
    const first = driver.collect(0)
    dut.advance(0)
    expect([first, driver.collect(0)]).toEqual([3, 5])
  })

  it('needs no functions for a configuration space that nobody uses', () => {
    const dut = testDevice(virtioMmio(echo), { ring }, { backends: {} })
    dut.write(0x100, 0xffff_ffff)
    expect(dut.read(0x100)).toBe(0)
  })
})
