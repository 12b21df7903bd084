import type { Backend, CharPort, DeviceSpec } from '@machinist/api'
import { expect, test } from 'vitest'
import { assemble, constant, fakeCpu, op } from '../testing/fake-cpu.ts'
import { testHost } from '../../test/harness.ts'
import { createMachine, defineMachine, type Machine, part, type Saying, Seeker } from '../index.ts'
import { Checkpoints } from './checkpoints.ts'

const RAM = 0x8000_0000
const DEVICE = 0x1000_0000

/** Says something at every third write; whether it saves how many there were is up to `keeps`. */
const third = (keeps: boolean): DeviceSpec<object, number, never, { readonly console: 'char' }> => ({
  kind: 'third', stateVersion: 1, backends: { console: 'char' }, configure: () => ({}), regions: () => [{ name: 'registers', size: 8, space: 'mmio' }], irqs: () => [],
  create(_config, { backends: { console } }) {
    let count = 0
    return {
      read: () => count,
      write() { if (++count % 3 === 0) console.write(Uint8Array.of(count % 256)) },
      reset() { count = 0 },
      save: () => keeps ? count : 0,
      restore(state) { count = state },
    }
  },
})

function seeker(keeps: boolean): { readonly seeker: Seeker; readonly made: () => number } {
  const console: Backend<CharPort> = { kind: 'char', connect: () => ({ write: (bytes) => bytes.length, read: () => 0, listen() {} }) }
  const blueprint = defineMachine({
    name: 'test', memory: { base: RAM, size: 1 << 16 }, cpu: part(fakeCpu, { config: { harts: 1 } }), time: { instructionsPerSecond: 1e6 },
    devices: { third: part(third(keeps), { at: DEVICE, backends: { console } }) },
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: assemble([...constant(7, DEVICE), op.li(1, 1), op.nop(), op.store(1, 7), op.branch(1, -2)]) }], entry: RAM },
  })
  const log: Uint8Array[] = []
  const machine = createMachine(blueprint, testHost(), { record: { sink: { write: (bytes) => { log.push(bytes) }, end() {} }, checkEvery: 1e9 } })
  machine.stopAt({ retired: 50_000 })
  machine.start({ drive: 'caller' })
  while (machine.state === 'running') machine.runSlice(1e6)
  machine.stopRecording()
  machine.dispose()
  let made = 0
  const make = (onSay: (saying: Saying) => void): Machine => {
    made++
    return createMachine({ ...blueprint, backends: new Map() }, testHost(), { replay: { source: { part: (index) => log[index] ?? null }, onSay } })
  }
  return { seeker: new Seeker({ make, loop: { now: () => 0, soon: (callback) => { setImmediate(callback) }, after: () => () => {} }, spacing: 1000 }), made: () => made }
}

test.each([[true, 1], [false, 2]])('a device that keeps all that it is: %s; it is as it was, wherever the machine goes back to', async (keeps, times) => {
  const { seeker: seek, made } = seeker(keeps)
  const pc = (): unknown => (seek.machine.vcpus[0]?.save() as { readonly pc: number }).pc
  for (const steps of [20_000, 40_000]) await seek.seek({ steps })
  const before = pc()
  expect([await seek.seek({ steps: 30_001 }), await seek.stepBack(0), seek.machine.stats.steps]).toEqual([{ kind: 'there' }, { kind: 'there' }, 30_000])
  expect([await seek.run({ steps: 40_000 }), pc()]).toEqual([{ kind: 'there' }, before])
  expect(await seek.run()).toEqual({ kind: 'end' })
  expect(seek.machine.replay).toMatchObject({ whole: true, difference: null })
  // From a checkpoint, or else from the beginning.
  expect(made()).toBeGreaterThanOrEqual(times)
  expect(made() === 1).toBe(keeps)
  seek.dispose()
})

test('checkpoints are bounded, the closer the nearer they are', () => {
  const kept = new Checkpoints(10)
  const gone: number[] = []
  const add = (steps: number): void => {
    kept.add({ said: 0, checkpoint: { steps, retired: steps, harts: [steps], restore: () => { throw new Error('not here') }, dispose: () => { gone.push(steps) } } })
  }
  for (let steps = 1000; steps <= 100_000; steps += 1000) add(steps)
  expect(gone).toHaveLength(90)
  const left = Array.from({ length: 100 }, (_, index) => 1000 * (index + 1)).filter((steps) => !gone.includes(steps))
  expect(kept.last(() => true)?.checkpoint.steps).toBe(100_000)
  expect([left.filter((steps) => steps > 50_000).length > 5, left.some((steps) => steps < 40_000)]).toEqual([true, true])
  add(500)
  expect(kept.last(({ steps }) => steps < 1000)?.checkpoint.steps).toBe(500)
  kept.dispose()
  expect(gone).toHaveLength(101)
  expect(kept.last(() => true)).toBeNull()
})
