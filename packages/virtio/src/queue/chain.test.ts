import type { DmaSpace } from '@machinist/api'
import { fakeContext } from '@machinist/registers/testing'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { buffersOf, Chain } from './chain.ts'

const base = 0x8000_0000

function make(segments: readonly { readonly address: number, readonly length: number }[], change: (dma: DmaSpace) => DmaSpace = (dma) => dma) {
  const { dma, memory } = fakeContext({ backends: {}, memorySize: 1 << 16 })
  const owner = { dma: change(dma), life: 0 }
  return { chain: new Chain(owner, 0, 1, buffersOf([], segments)), memory, owner }
}

it('views are the bytes that a write goes to, in order', () => {
  const segment = fc.record({ address: fc.nat(65_000).map((at) => base + at), length: fc.integer({ min: 1, max: 9000 }) })
  fc.assert(fc.property(fc.array(segment, { maxLength: 6 }), fc.nat(20_000), fc.nat(20_000), (segments, offset, length) => {
    const bytes = Uint8Array.from({ length }, (_, at) => 1 + at % 255)
    const one = make(segments)
    const other = make(segments)
    const written = one.chain.write(offset, bytes)
    const views = other.chain.views(offset, length, 100)
    // What is not wholly in RAM is written in part, and not seen at all.
    expect(views !== null).toBe(written)
    let done = 0
    for (const view of views ?? []) {
      view.set(bytes.subarray(done, done + view.length))
      done += view.length
    }
    if (views === null) return
    expect(done).toBe(length)
    expect(Buffer.compare(one.memory, other.memory)).toBe(0)
  }))
})

it('there are no more views than are wanted, and none of a request whose queue was reset', () => {
  const segments = Array.from({ length: 4 }, (_, index) => ({ address: base + index * 8192, length: 4096 }))
  const { chain, owner } = make(segments)
  expect([chain.views(0, 16_384, 4)?.length, chain.views(0, 16_384, 3), chain.views(0, 16_385, 9)]).toEqual([4, null, null])
  owner.life += 1
  expect(chain.views(0, 16_384, 4)).toBe(null)
})

it('views are of memory as it is when all are made, though making one may move it', () => {
  let moves = 3
  let moved = new Uint8Array(0)
  const segments = Array.from({ length: 4 }, (_, index) => ({ address: base + index * 8192, length: 4096 }))
  const { chain } = make(segments, (dma) => ({
    ...dma,
    map(address, length) {
      if (moves-- > 0) moved = new Uint8Array(1 << 16)
      return [moved.subarray(address - base, address - base + length)]
    },
  }))
  expect(chain.views(0, 16_384, 4)?.map(({ buffer, byteOffset }) => [buffer === moved.buffer, byteOffset])).toEqual([0, 1, 2, 3].map((index) => [true, index * 8192]))
})
