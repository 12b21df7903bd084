import type { DmaSpace } from '@machinist/api'
import { fakeContext } from '@machinist/registers/testing'
import { expect, it } from 'vitest'
import { PackedRing } from './packed.ts'
import type { RingFeatures, RingOwner } from './ring.ts'
import { SplitRing } from './split.ts'

const base = 0x8000_0000
const at = { size: 4, desc: base, driver: base + 0x1000, device: base + 0x2000 }

/** What a ring does to memory: reads and writes by their offsets, and fences. */
function make(change: (dma: DmaSpace) => DmaSpace = (dma) => dma) {
  const { dma, memory } = fakeContext({ backends: {}, memorySize: 1 << 16 })
  const log: string[] = []
  const note = <A extends number, R>(kind: string, work: (address: A, ...rest: never[]) => R) => (address: A, ...rest: never[]): R => {
    log.push(`${kind} ${(address - base).toString(16)}`)
    return work(address, ...rest)
  }
  const noted: DmaSpace = {
    ...dma,
    read: note('r', dma.read) as DmaSpace['read'], read16: note('r', dma.read16), read32: note('r', dma.read32), readWords: note('r', dma.readWords) as DmaSpace['readWords'],
    write: note('w', dma.write) as DmaSpace['write'], write16: note('w', dma.write16) as DmaSpace['write16'], write32: note('w', dma.write32) as DmaSpace['write32'],
    fence: () => { log.push('fence') },
  }
  const owner: RingOwner = { dma: change(noted), life: 0, inFlight: 0, holds: () => false, broken: (reason) => { throw new Error(reason) } }
  return { owner, memory: new DataView(memory.buffer, memory.byteOffset), does: () => log.splice(0) }
}

const features: RingFeatures = { packed: false, eventIdx: true, indirect: false }

it('an index of a split ring is read before what it tells of, and written after that; a wish is read after it was to be heeded', () => {
  const { owner, memory, does } = make()
  const ring = new SplitRing(owner, features)
  ring.start(at, { available: 0, used: 0, signalled: 0 })
  memory.setUint32(8, 16, true)
  memory.setUint16(0x1002, 1, true)
  const chain = ring.next()
  expect(does()).toEqual(['r 1002', 'fence', 'r 1004', 'r 0'])
  if (chain === null) throw new Error('no request')
  expect(ring.use(chain, 0)).toBe(true)
  expect(does()).toEqual(['w 2004', 'w 2008', 'fence', 'w 2002'])
  expect(ring.signal()).toBe(true)
  expect(does()).toEqual(['fence', 'r 100c'])
  expect(ring.next()).toBe(null)
  expect(does()).toEqual(['r 1002', 'w 2024', 'fence', 'r 1002'])
})

it('flags of a packed ring are read before the rest of a descriptor, and written after it; a wish is read after it was to be heeded', () => {
  const { owner, memory, does } = make()
  const ring = new PackedRing(owner, { ...features, packed: true })
  ring.start(at, { available: 0, used: 0, signalled: 0 })
  memory.setUint32(8, 16, true)
  memory.setUint16(14, 1 << 7, true)
  const chain = ring.next()
  expect(does()).toEqual(['r 0', 'fence', 'r 0'])
  if (chain === null) throw new Error('no request')
  expect(ring.use(chain, 0)).toBe(true)
  expect(does()).toEqual(['w 8', 'fence', 'w c'])
  expect(ring.signal()).toBe(true)
  expect(does()).toEqual(['fence', 'r 1000'])
  expect(ring.next()).toBe(null)
  expect(does()).toEqual(['r 10', 'w 2000', 'fence', 'r 10'])
})

it('where no hart runs meanwhile nothing is read twice', () => {
  const { owner, memory, does } = make(({ fence: _, ...dma }) => dma)
  const ring = new PackedRing(owner, { ...features, packed: true })
  ring.start(at, { available: 0, used: 0, signalled: 0 })
  memory.setUint32(8, 16, true)
  memory.setUint16(14, 1 << 7, true)
  expect(ring.next()).not.toBe(null)
  expect(does()).toEqual(['r 0'])
})
