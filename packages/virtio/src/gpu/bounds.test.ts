import type { DisplayPort } from '@machinist/api'
import { testDevice } from '@machinist/registers/testing'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { virtioGpu } from '../index.ts'
import { VirtioDriver } from '../testing.ts'
import { command as C, response as R } from './layout.ts'

/** Guest memory for all pictures, behind the driver's own. */
const pictures = 0x8008_0000

it('bounds the pixels that a host keeps and the work of a turn, whatever a guest draws and shows', () => {
  const [memory, turn, portion] = [40 << 20, 8 << 20, 1 << 20]
  // Few sizes, so that screens show what there is: one is more than the work of a turn, some are thin.
  const sides = fc.constantFrom([512, 512], [2048, 2304], [2560, 800], [16384, 64], [16, 16384], [2048, 1024] as const)
  const step = fc.oneof(
    fc.record({ do: fc.constant('create' as const), id: fc.integer({ min: 1, max: 3 }), size: sides }), fc.record({ do: fc.constant('drop' as const), id: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ do: fc.constant('show' as const), id: fc.nat(3), screen: fc.nat(15), size: sides }),
    fc.record({ do: fc.constantFrom('transfer' as const, 'flush' as const), id: fc.integer({ min: 1, max: 3 }), size: sides }), fc.constant({ do: 'restore' as const }))
  // It begins with one that shows.
  const begin = sides.map((size) => [{ do: 'create' as const, id: 1, size }, { do: 'show' as const, id: 1, screen: 0, size }, { do: 'flush' as const, id: 1, size }])
  fc.assert(fc.property(begin, fc.array(step, { minLength: 10, maxLength: 60 }), (first, then) => {
    const steps = [...first, ...then]
    const screens = new Map<number, number>()
    let [drawn, shown] = [0, 0]
    const display: DisplayPort = {
      size: () => null, cursor: () => {}, moveCursor: () => {}, listen: () => {},
      show: (index, size) => {
        screens.set(index, size === null ? 0 : 4 * size.width * size.height)
        shown += screens.get(index) ?? 0
      },
      present: (_, { width, height }) => { drawn += 4 * width * height },
    }
    const dut = testDevice(virtioGpu, { screens: 16, memory }, { name: 'gpu0', backends: { display }, memorySize: 1 << 20 })
    /** One turn of the device. */
    const bounded = (run: () => void): void => {
      drawn = shown = 0
      run()
      expect(drawn).toBeLessThanOrEqual(turn + portion)
      expect(shown).toBeLessThanOrEqual(memory)
    }
    const driver = new VirtioDriver(dut)
    driver.start()
    const send = (type: number, ...words: readonly number[]): number => {
      const request = driver.submit(0, [new Uint8Array(Uint32Array.from([type, 0, 0, 0, 0, 0, ...words]).buffer)], [24])
      bounded(() => { driver.notify(0) })
      for (let turns = 0; driver.collect(0) === 0; turns++) {
        expect([dut.context.clock.deadline('again') <= dut.context.clock.now(), turns < 5]).toEqual([true, true])
        // In the middle of a command: it begins again.
        if (turns === 0 && steps.length % 2 === 1) dut.device.restore(dut.device.save())
        bounded(() => { dut.device.event?.('again', undefined) })
      }
      return new DataView((request.answers[0] ?? new Uint8Array(24)).buffer).getUint32(0, true)
    }
    // The model: what there should be, and whether the next thing fits.
    const resources = new Map<number, readonly [width: number, height: number]>()
    const kept = (): number => [...resources.values()].reduce((sum, [width, height]) => sum + 4 * width * height, 0) + [...screens.values()].reduce((sum, bytes) => sum + bytes, 0)
    for (const each of steps) {
      if (each.do === 'restore') {
        dut.device.restore(dut.device.save())
      } else if (each.do === 'drop') {
        expect(send(C.resourceUnref, each.id, 0)).toBe(resources.delete(each.id) ? R.nodata : R.invalidResource)
      } else {
        const [width, height] = each.size
        const resource = resources.get(each.id)
        const fits = resource !== undefined && width <= resource[0] && height <= resource[1]
        const problem = resource === undefined ? R.invalidResource : fits ? R.nodata : R.invalidParameter
        if (each.do === 'create') {
          const room = kept() + 4 * width * height <= memory
          expect(send(C.resourceCreate2d, each.id, 1, width, height)).toBe(resource !== undefined ? R.invalidResource : room ? R.nodata : R.outOfMemory)
          if (resource !== undefined || !room) continue
          resources.set(each.id, [width, height])
          // The same half a megabyte again and again.
          const pieces = Math.ceil(4 * width * height / 2 ** 19)
          expect(send(C.attachBacking, each.id, pieces, ...Array.from({ length: pieces }, () => [pictures, 0, 1 << 19, 0]).flat())).toBe(R.nodata)
        } else if (each.do === 'show') {
          const room = kept() - (screens.get(each.screen) ?? 0) + 4 * width * height <= memory
          expect(send(C.setScanout, 0, 0, width, height, each.screen, each.id)).toBe(each.id === 0 ? R.nodata : problem === R.nodata && !room ? R.outOfMemory : problem)
        } else if (each.do === 'transfer') {
          expect(send(C.transferToHost2d, 0, 0, width, height, 0, 0, each.id, 0)).toBe(problem)
        } else {
          expect(send(C.resourceFlush, 0, 0, width, height, each.id, 0)).toBe(problem)
        }
      }
      expect(kept()).toBeLessThanOrEqual(memory)
    }
  }), { numRuns: 30 })
})
