import type { InputEvent } from '@machinist/api'
import { inputSource } from '@machinist/display'
import { testDevice } from '@machinist/registers/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { virtioInput } from '../index.ts'
import { VirtioDriver } from '../testing.ts'
import type { DriverRequest } from '../testing.ts'

const atOnce = (callback: () => void): void => { callback() }

function make(config: object = {}, queueEvents = 1024) {
  const source = inputSource({ queueEvents })
  const dut = testDevice(virtioInput, config, { name: 'input0', backends: { input: source.connect(atOnce) } })
  const driver = new VirtioDriver(dut)
  expect(driver.start()).toBe(15)
  const select = (what: number, which = 0): number[] => {
    driver.writeConfig(0, 1, what)
    driver.writeConfig(1, 1, which)
    return Array.from({ length: driver.readConfig(2, 1) }, (_, index) => driver.readConfig(8 + index, 1))
  }
  return { source, dut, driver, select }
}

const text = (bytes: readonly number[]): string => String.fromCharCode(...bytes)
const bits = (bytes: readonly number[]): number[] => bytes.flatMap((byte, index) => [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => (byte >>> bit & 1) !== 0).map((bit) => 8 * index + bit))

describe('says what it is (5.8.5)', () => {
  it.each([
    ['keyboard', 1, [], [[1, 248], [0x11, 3], [0x14, 2]]],
    ['mouse', 2, [], [[1, 5], [2, 4]]],
    ['tablet', 3, [0], [[1, 5], [2, 2], [3, 2]]],
    ['power-button', 4, [], [[1, 1]]],
  ] as const)('%s', (model, product, properties, events) => {
    const { select } = make({ model, serial: 'S-1' })
    expect([text(select(1)), text(select(2)), select(3), bits(select(0x10))]).toEqual([`Machinist ${model.replace('-', ' ')}`, 'S-1', [6, 0, 0, 0, product, 0, 1, 0], properties])
    const found = Array.from({ length: 256 }, (_, type) => [type, bits(select(0x11, type)).length]).filter(([, count]) => count !== 0)
    expect(found).toEqual(events)
    const range = [0, 0, 0, 0, 0xff, 0x7f, 0, 0, ...new Array<number>(12).fill(0)]
    expect([select(0x12, 0), select(0x12, 1), select(0x12, 2)]).toEqual(model === 'tablet' ? [range, range, []] : [[], [], []])
    // Nothing, and what does not exist.
    expect([select(0), select(1, 1), select(0x13), select(255, 255)]).toEqual([[], [], [], []])
  })
})

it('gives the guest whole packets, in order, across saving and restoring, and drops whole ones when it does not keep up', () => {
  const event = fc.record({ type: fc.constantFrom(1, 2, 3), code: fc.integer({ min: 0, max: 0xffff }), value: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }) })
  const step = fc.oneof(
    fc.record({ send: fc.array(event, { minLength: 1, maxLength: 5 }) }), fc.record({ buffers: fc.integer({ min: 1, max: 6 }) }), fc.record({ restore: fc.constant(true) }))
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const { source, dut, driver } = make({}, 64)
    const accepted: InputEvent[] = []
    const requests: DriverRequest[] = []
    let dropped = 0
    const offer = (count: number): void => {
      for (let each = 0; each < count; each++) requests.push(driver.submit(0, [], [8]))
      driver.notify(0)
    }
    for (const each of steps) {
      if ('send' in each) {
        if (source.send(...each.send)) accepted.push(...each.send, { type: 0, code: 0, value: 0 })
        else dropped += 1
      } else if ('buffers' in each) {
        driver.collect(0)
        if (driver.queues[0]?.inFlight.size === 0) offer(each.buffers)
      } else {
        dut.device.restore(dut.device.save())
        dut.advance(0)
      }
    }
    for (let rounds = 0; rounds < 200; rounds++) {
      driver.collect(0)
      if (driver.queues[0]?.inFlight.size === 0) offer(8)
    }
    driver.collect(0)
    const got = requests.filter(({ written }) => written !== null).map(({ written, answers: [bytes = new Uint8Array(8)] }) => {
      const view = new DataView(bytes.buffer)
      expect(written).toBe(8)
      return { type: view.getUint16(0, true), code: view.getUint16(2, true), value: view.getInt32(4, true) }
    })
    expect(got).toEqual(accepted)
    expect([source.dropped, source.waiting]).toEqual([dropped, 0])
  }), { numRuns: 100 })
})

it('lets the guest turn on the lights it has, and nothing else', () => {
  const { source, driver } = make()
  for (const [type, code, value] of [[0x11, 1, 1], [0x11, 0, 7], [0x11, 0, 0], [0x11, 3, 1], [1, 30, 1], [0x14, 0, 250]] as const) {
    const bytes = new Uint8Array(8)
    const view = new DataView(bytes.buffer)
    view.setUint16(0, type, true)
    view.setUint16(2, code, true)
    view.setInt32(4, value, true)
    driver.submit(1, [bytes], [])
  }
  driver.notify(1)
  expect([driver.collect(1), [...source.lights]]).toEqual([6, [1]])
})

it('a buffer without room for an event breaks the device', () => {
  const { source, dut, driver } = make()
  driver.submit(0, [], [7])
  driver.notify(0)
  source.key(30, true)
  expect(dut.read(0x070) & 64).toBe(64)
})
