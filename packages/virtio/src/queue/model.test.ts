import { describe, expect, it } from 'vitest'
import { plainData } from '@machinist/registers'
import { testDevice } from '@machinist/registers/testing'
import { virtioMmio } from '../index.ts'
import type { Chain, VirtioContext, VirtioSpec, Virtqueue } from '../index.ts'
import { DriverError, FuzzRandom, VirtioDriver } from '../testing.ts'
import type { DriverRequest } from '../testing.ts'

interface Held {
  readonly queue: Virtqueue
  readonly chain: Chain
}

/** A device that holds what it is given until it is told to finish something. */
function holder() {
  const held: Held[] = []
  let inside: VirtioContext | null = null
  const spec: VirtioSpec<object, object, Readonly<Record<never, never>>> = {
    kind: 'virtio-holder', deviceId: 42, stateVersion: 1, backends: {},
    configure(input, name) {
      plainData(name, input, 'configuration').done()
      return {}
    },
    create: (_config, context) => {
      inside = context
      return {
        features: [], queueSizes: [16, 16], configSize: 0, readConfig: () => 0, writeConfig() {},
        notify(queue) { for (let chain = queue.pop(); chain !== null; chain = queue.pop()) held.push({ queue, chain }) },
        reset() { held.length = 0 },
        resetQueue(queue) { held.splice(0, held.length, ...held.filter((each) => each.queue !== queue)) },
        save: () => ({}),
        restore() { held.length = 0 },
      }
    },
  }
  return { spec: virtioMmio(spec), held, context: (): VirtioContext | null => inside }
}

/** What the driver asked for, and what the device answered. */
interface Expected {
  readonly request: DriverRequest
  readonly out: Uint8Array
  readonly room: number
  answer: Uint8Array | null
}

const R = { queueSel: 0x030, interruptStatus: 0x060, status: 0x070, queueReset: 0x0c0 }

describe.each(['split', 'packed'] as const)('%s rings', (ring) => {
  it.each([true, false])('do what the model does, in any order, over resets and restores; event index: %s', (eventIdx) => {
    const met = { used: 0, resets: 0, restores: 0, late: 0, silent: 0 }
    for (let seed = 1; seed <= 20; seed++) {
      const random = new FuzzRandom(seed)
      const { spec, held, context } = holder()
      const dut = testDevice(spec, { ring }, { backends: {}, memorySize: 1 << 16 })
      const features = [28, ...eventIdx ? [29] : [], 34, 38, 40].filter((bit) => bit >= 34 || bit === 29 || random.chance(0.7))
      const size = ring === 'packed' ? 1 + random.below(16) : 1 << random.below(5)
      const driver = new VirtioDriver(dut, { features, queueSize: size, indirect: random.chance(0.5) })
      expect(driver.start()).toBe(15)
      expect(driver.has(34)).toBe(ring === 'packed')
      let model: Expected[][] = [[], []]
      for (let step = 0; step < 250; step++) {
        const index = random.below(2)
        const list = model[index] ?? []
        switch (random.below(16)) {
          case 0: case 1: case 2: case 3: case 4: {
            const pieces = Array.from({ length: random.below(4) }, () => random.bytes(random.below(40)))
            const answers = Array.from({ length: random.below(4) }, () => random.below(40))
            try {
              const request = driver.submit(index, pieces, answers)
              list.push({ request, out: Uint8Array.from(pieces.flatMap((bytes) => [...bytes])), room: answers.reduce((sum, length) => sum + length, 0), answer: null })
            } catch (error) {
              if (!(error instanceof DriverError)) throw error
            }
            break
          }
          case 5: case 6: case 7:
            // Only if it wants to hear: it must have found everything then.
            if (!driver.notifyIfWanted(index)) met.silent += 1
            expect(held.filter(({ queue }) => queue.index === index).length).toBe(list.filter(({ answer }) => answer === null).length)
            break
          case 8: case 9: case 10: case 11: {
            // Some of them, in an order of its own.
            const used: Virtqueue[] = []
            for (let count = random.below(held.length + 1); count > 0; count--) {
              const at = random.below(held.length)
              const [taken] = held.splice(at, 1)
              if (taken === undefined) break
              if (at > 0) met.late += 1
              const { queue, chain } = taken
              const got = new Uint8Array(chain.readableLength)
              expect(chain.read(0, got)).toBe(true)
              const named = driver.queue(queue.index).inFlight.get(chain.head)
              const expected = (model[queue.index] ?? []).find((each) => each.request === named?.request)
              if (expected === undefined) throw new Error('the device was given a request that nobody made')
              expect([expected.answer, expected.room, equal(expected.out, got)]).toEqual([null, chain.writableLength, true])
              expected.answer = random.bytes(random.below(chain.writableLength + 1))
              expect(chain.write(0, expected.answer)).toBe(true)
              queue.push(chain, expected.answer.length)
              used.push(queue)
            }
            for (const queue of new Set(used)) queue.signal()
            // The driver armed both queues when it last collected.
            if (used.length > 0) expect(dut.read(R.interruptStatus) & 1).toBe(1)
            break
          }
          case 12: case 13: {
            for (const [number, expectedOf] of model.entries()) {
              const done = expectedOf.filter(({ answer }) => answer !== null)
              expect(driver.collect(number)).toBe(done.length)
              for (const { request, answer } of done) {
                expect(request.written).toBe(answer?.length)
                const bytes = Uint8Array.from(request.answers.flatMap((each) => [...each]))
                expect(equal(bytes.subarray(0, answer?.length), answer ?? bytes)).toBe(true)
              }
              model[number] = expectedOf.filter(({ answer }) => answer === null)
              met.used += done.length
            }
            // Nothing new is nothing to tell.
            for (const number of [0, 1]) context()?.queue(number)?.signal()
            expect(dut.read(R.interruptStatus)).toBe(0)
            break
          }
          case 14: {
            const state = dut.device.save()
            const order = held.map(({ chain, queue }) => `${String(queue.index)} ${String(chain.head)}`)
            dut.device.restore(JSON.parse(JSON.stringify(state)) as typeof state)
            expect(dut.device.save()).toEqual(state)
            dut.advance(1)
            met.restores += 1
            // All that it held comes again, a queue's in the same order, and then what was not seen before.
            for (const number of [0, 1]) {
              const before = order.filter((name) => name.startsWith(`${String(number)} `))
              const after = held.filter(({ queue }) => queue.index === number).map(({ chain, queue }) => `${String(queue.index)} ${String(chain.head)}`)
              expect(after.slice(0, before.length)).toEqual(before)
            }
            break
          }
          case 15:
            if (random.chance(0.3)) {
              const stale = [...held]
              met.resets += 1
              if (random.chance(0.5)) {
                dut.write(R.queueSel, index)
                dut.write(R.queueReset, 1)
                driver.setUp(index, size)
                model[index] = []
              } else {
                driver.start()
                model = [[], []]
              }
              // What comes late changes nothing.
              const before = dut.context.memory.slice()
              for (const { chain, queue } of stale) if (!chain.live) queue.push(chain, 1)
              expect(equal(dut.context.memory, before)).toBe(true)
            }
            break
        }
        expect(dut.read(R.status)).toBe(15)
      }
      expect(dut.context.warnings).toEqual([])
    }
    expect(met.used).toBeGreaterThan(300)
    expect(met.late).toBeGreaterThan(150)
    expect(Math.min(met.resets, met.restores)).toBeGreaterThan(30)
    if (eventIdx) expect(met.silent).toBeGreaterThan(50)
  })
})

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
