import { isMachinistError } from '@machinist/api'
import type { BalloonStatistics } from '@machinist/api'
import { testDevice } from '@machinist/registers/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { VirtioDriver } from '../testing.ts'
import type { DriverOptions } from '../testing.ts'
import { balloonControl, balloonFeature, virtioBalloon } from './balloon.ts'
import { balloonConfig, balloonQueue } from './layout.ts'

const page = 4096
const pages = 128
/** Pages that the driver keeps for its rings and requests. */
const kept = 32

function make(options: DriverOptions = {}, config: object = {}) {
  const stats: BalloonStatistics[] = []
  const sizes: number[] = []
  const control = balloonControl({ target: 3 * page, onStats: (each) => stats.push(each), onResize: (bytes) => sizes.push(bytes) })
  const later: (() => void)[] = []
  const dut = testDevice(virtioBalloon, config, { name: 'balloon0', backends: { host: control.connect((callback) => later.push(callback)) }, memorySize: pages * page })
  const driver = new VirtioDriver(dut, options)
  expect(driver.start()).toBe(15)
  const request = (queue: number, out: readonly Uint8Array[], answers: readonly number[] = []): number => {
    driver.submit(queue, out, answers)
    driver.notify(queue)
    return driver.collect(queue)
  }
  const firstPage = dut.context.memoryBase / page
  const numbers = (list: readonly number[]): Uint8Array => new Uint8Array(Uint32Array.from(list, (each) => firstPage + each).buffer)
  return { dut, driver, control, stats, sizes, request, numbers, host: () => { for (const each of later.splice(0)) each() } }
}

it('takes exactly the pages that are put into the balloon, in any order and requests of any shape', () => {
  fc.assert(fc.property(
    fc.array(fc.record({ list: fc.array(fc.nat(pages - kept - 1), { maxLength: 40 }), deflate: fc.boolean(), cut: fc.nat(160) }), { maxLength: 8 }),
    (requests) => {
      const { dut, request, numbers } = make({ indirect: true })
      const { memory } = dut.context
      memory.fill(0xaa, kept * page)
      const gone = new Set<number>()
      for (const { list, deflate, cut } of requests) {
        const bytes = numbers(list.map((each) => each + kept))
        expect(request(deflate ? balloonQueue.deflate : balloonQueue.inflate, [bytes.subarray(0, cut), bytes.subarray(cut), Uint8Array.of(1)].filter(({ length }) => length > 0))).toBe(1)
        if (!deflate) for (const each of list) gone.add(each + kept)
      }
      for (let each = kept; each < pages; each++) {
        const filler = gone.has(each) ? 0 : 0xaa
        expect(memory.subarray(each * page, (each + 1) * page).every((byte) => byte === filler), `page ${String(each)}`).toBe(true)
      }
    }), { numRuns: 30 })
})

it('asks for what the host wants, and says what the guest gave', () => {
  const { dut, driver, control, sizes, host } = make()
  const told = (): number => driver.readConfig(balloonConfig.numPages, 4)
  expect(told()).toBe(3)
  control.target = 8 * page + 1
  expect(told()).toBe(3)
  const generation = dut.read(0x0fc)
  host()
  expect([told(), dut.read(0x060), dut.read(0x0fc)]).toEqual([8, 2, generation + 1])
  sizes.length = 0
  driver.writeConfig(balloonConfig.actual, 4, 5)
  expect([sizes, control.size]).toEqual([[5 * page], 5 * page])
  // A restore on a host that wants something else.
  const state = dut.device.save()
  control.target = 0
  host()
  driver.collect(0)
  dut.device.restore(state)
  expect([told(), driver.readConfig(balloonConfig.actual, 4)]).toEqual([8, 5])
  dut.advance(1)
  expect([told(), dut.read(0x060) & 2]).toEqual([0, 2])
  dut.device.reset('warm')
  expect(control.size).toBe(0)
  for (const wrong of [-1, 0.5, NaN, 2 ** 50]) {
    let code = ''
    try {
      control.target = wrong
    } catch (error) {
      code = isMachinistError(error) ? error.code : 'none'
    }
    expect(code).toBe('balloon-target')
  }
})

it('keeps the statistics buffer until the host asks, also across a restore', () => {
  const { dut, driver, control, stats, host } = make()
  const report = (list: readonly (readonly [number, bigint])[]): Uint8Array => {
    const view = new DataView(new ArrayBuffer(10 * list.length))
    list.forEach(([tag, value], index) => {
      view.setUint16(10 * index, tag, true)
      view.setBigUint64(10 * index + 2, value, true)
    })
    return new Uint8Array(view.buffer)
  }
  const { stats: queue } = balloonQueue
  driver.submit(queue, [report([[4, 2n ** 33n + 5n], [5, 7n], [999, 1n]])], [])
  driver.notify(queue)
  expect([stats.splice(0), driver.collect(queue)]).toEqual([[{ free: 2 ** 33 + 5, total: 7 }], 0])
  control.askStats()
  host()
  expect([stats.splice(0), driver.collect(queue)]).toEqual([[], 1])
  driver.submit(queue, [report([[6, 1n]])], [])
  driver.notify(queue)
  dut.device.restore(dut.device.save())
  dut.advance(1)
  stats.length = 0
  control.askStats()
  host()
  expect(driver.collect(queue)).toBe(1)
  // Nobody to ask.
  control.askStats()
  host()
  expect(stats).toEqual([])
})

describe('free page reporting', () => {
  const whole = (poison: boolean) => {
    const { dut, driver } = make(poison ? {} : { features: [balloonFeature.pageReporting] })
    driver.writeConfig(balloonConfig.poison, 4, 0xaaaa_aaaa)
    const { memory, memoryBase } = dut.context
    memory.fill(0xaa, kept * page)
    const at = memoryBase + (kept + 1) * page
    const { reporting } = balloonQueue
    const ring = driver.queue(reporting)
    ring.add(driver.ram, [{ address: at, length: 2 * page, write: true }, { address: at + 4 * page, length: page, write: true }], null)
    driver.notify(reporting)
    return [...Array(7).keys()].map((each) => memory[(kept + each) * page])
  }
  it('gives pages back', () => {
    expect(whole(false)).toEqual([0xaa, 0, 0, 0xaa, 0xaa, 0, 0xaa])
  })
  it('leaves alone what the guest expects to find filled', () => {
    expect(whole(true)).toEqual(Array(7).fill(0xaa))
  })
})

it('offers what its configuration says', () => {
  const offers = (config: object): number => {
    const { dut } = make({}, config)
    dut.write(0x014, 0)
    return dut.read(0x010) & 63
  }
  expect([offers({}), offers({ deflateOnOom: false }), offers({ pageReporting: false })]).toEqual([63, 63 - 4, 63 - 32])
})
