import type { Machine } from '@machinist/machine'
import { op, poke, say, testGuests } from '@machinist/machine/testing'
import { expect, test } from 'vitest'
import { catalogue, spec, testHost, testLoop } from '../../test/harness.ts'
import { type FromProcessor, localChannel, type ResourceController, runProcessor, type ToProcessor } from '../index.ts'

test('what a machine says goes out before another one runs', async () => {
  const loop = testLoop()
  const [control, its] = localChannel<ToProcessor, FromProcessor>(loop)
  /** Who ran, and `'said'`. */
  const order: string[] = []
  const post = its.post.bind(its)
  its.post = (message) => {
    if (message.type === 'output') order.push('said')
    post(message)
  }
  const watch: ResourceController = {
    kind: 'space',
    add(name: string, machine: Machine) {
      const run = machine.runSlice.bind(machine)
      machine.runSlice = (limit) => {
        order.push(name)
        return run(limit)
      }
    },
    remove() {}, usage: () => ({ demand: 0, used: 0 }), grant() {},
  }
  const end = runProcessor(its, { host: testHost(loop), catalogue, controllers: [watch] })
  const ticking = [...poke(12, 2_000_000), op.wait(), ...poke(20, 0), ...say('.'), op.li(1, 1), op.branch(1, -17)]
  const make = (id: number, name: string, words: readonly number[]): void => { control.post({ type: 'order', id, order: { do: 'make', spec: spec(name, words) } }) }
  make(1, 'busy', testGuests.busy)
  make(2, 'tick', ticking)
  while (order.filter((what) => what === 'said').length < 50) {
    loop.turn()
    for (let i = 0; i < 30; i++) await Promise.resolve()
  }
  end()
  // Nothing lies between the run in which it was said and that it went out.
  order.forEach((what, index) => { if (what === 'said') expect(order[index - 1]).toBe('tick') })
  expect(order.filter((what) => what === 'busy').length).toBeGreaterThan(50)
})
