import type { Backend } from '@machinist/api'
import type { Machine, MachineHost } from '@machinist/machine'
import { expect, it } from 'vitest'
import { virtualLoop } from '../../test/virtual-loop.ts'
import { type DatastoreDisk, diskController, type DiskSpace, spaceController } from '../index.ts'

/** A disk that took so much, and a hand on what it says. */
function disk(used: number): DatastoreDisk & { readonly space: DiskSpace & { used: number; taken: number; waiting: boolean; tries: number } } {
  const space = { used, taken: used, room: null, waiting: false, onWaiting: null as DiskSpace['onWaiting'], tries: 0, retry() { space.tries++ } }
  return { kind: 'block', space, close: () => Promise.resolve(), connect: () => ({ size: 512, readOnly: false, blockSize: 512, read: () => undefined, write: () => undefined, flush: () => undefined }) }
}

it('bounds what the disks of a machine take together, and pauses it while they wait for room', () => {
  const loop = virtualLoop()
  const plain: MachineHost = { loop, linearMemory: () => { throw new Error('none') } }
  const controller = spaceController()
  const events: string[] = []
  controller.listen?.((kind, name) => { events.push(`${kind} ${name}`) })
  const spec = { name: 'vm', machine: { file: 'vm' }, resources: { space: { limit: 100, reservation: 60 } } }
  // Also where another stands before the disks.
  const io = diskController()
  const host = controller.host?.(spec, io.host?.(spec, plain) ?? plain)
  const [one, two] = [disk(10), disk(20)]
  const other: Backend<unknown> = { kind: 'block', connect: () => one.connect(() => undefined) }
  for (const [index, each] of [one, two, other].entries()) host?.attach?.(each, 'block', `disk${String(index)}.disk`)
  const machine = { state: 'running', pause() { this.state = 'paused' }, resume() { this.state = 'running' } }
  controller.add('vm', machine as unknown as Machine, spec)
  expect(controller.usage('vm')).toEqual({ demand: 60, used: 30 })
  expect([one.space.room?.(), two.space.room?.()]).toEqual([70, 70])
  two.space.taken = two.space.used = 70
  expect([one.space.room?.(), controller.usage('vm')]).toEqual([20, { demand: 80, used: 80 }])
  const wait = (which: typeof one, is: boolean): void => {
    which.space.waiting = is
    which.space.onWaiting?.(is)
    loop.runUntil(loop.now())
  }
  wait(one, true)
  wait(two, true)
  expect([machine.state, events]).toEqual(['paused', ['datastore-full vm']])
  wait(one, false)
  expect(machine.state).toBe('paused')
  const terms = { shares: 1000, reservation: 60, entitled: 80 }
  controller.grant('vm', { ...terms, limit: 90 })
  expect(two.space.tries).toBe(0)
  controller.grant('vm', { ...terms, limit: 200, ceiling: 150 })
  expect([two.space.tries, one.space.tries, two.space.room?.()]).toEqual([1, 0, 70])
  wait(two, false)
  expect([machine.state, events]).toEqual(['running', ['datastore-full vm', 'resumed vm']])
  // Who was switched off while it waited stays so.
  wait(one, true)
  machine.state = 'off'
  wait(one, false)
  expect([machine.state, events.length]).toEqual(['off', 3])
  controller.remove('vm')
  expect([one.space.room, one.space.onWaiting]).toEqual([null, null])
})
