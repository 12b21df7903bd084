import { expect, it } from 'vitest'
import { Heap, Random, Slot } from './index.ts'

it('gives the least key first, and of equal keys who came first, whatever is put, moved and taken out', () => {
  const random = new Random(7)
  const work = { steps: 0 }
  const heap = new Heap<number>(work)
  const other = new Heap<number>(work)
  const slots = Array.from({ length: 60 }, (_, index) => new Slot(index))
  /** What is in, in order of arrival. */
  let model: Slot<number>[] = []
  for (let turn = 0; turn < 5000; turn++) {
    const slot = random.of(slots as [Slot<number>])
    const key = random.between(0, 9)
    const what = random.between(0, 3)
    if (what < 2) {
      if (slot.heap !== heap || slot.key !== key) model = [...model.filter((one) => one !== slot), slot]
      heap.put(slot, key)
    } else {
      model = model.filter((one) => one !== slot)
      if (what === 2) heap.remove(slot)
      else other.put(slot, key)
    }
    const least = [...model].sort((one, two) => one.key - two.key)[0]
    if (heap.first !== least || heap.size !== model.length) expect([heap.first, heap.size]).toEqual([least, model.length])
  }
  expect(work.steps).toBeGreaterThan(5000)
})

it('compares no more than twice the depth for each change', () => {
  const work = { steps: 0 }
  const heap = new Heap<number>(work)
  const random = new Random(1)
  const slots = Array.from({ length: 4096 }, (_, index) => new Slot(index))
  for (const slot of slots) heap.put(slot, random.next())
  for (let turn = 0; turn < 1000; turn++) {
    const before = work.steps
    heap.put(random.of(slots as [Slot<number>]), random.next())
    expect(work.steps - before).toBeLessThanOrEqual(2 * 12 + 2)
  }
})
