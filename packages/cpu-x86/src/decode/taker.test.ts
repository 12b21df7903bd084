import fc from 'fast-check'
import { expect, test } from 'vitest'
import { State } from '../emit/layout.ts'
import { Pseudo, WINDOW } from '../emit/op-format.ts'
import { type Taken, Taker } from './taker.ts'

const state = new State(0)
const byte = fc.nat(255)
/** Prefixes, opcodes of what compilers write, and anything. */
const bytes = fc.tuple(
  fc.array(fc.constantFrom(0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x64, 0x65), { maxLength: 3 }), fc.option(fc.integer({ min: 0x40, max: 0x4f })).map((rex) => rex === null ? [] : [rex]),
  fc.oneof(byte.map((opcode) => [opcode]), byte.map((opcode) => [0x0f, opcode]), fc.tuple(fc.constantFrom(0x38, 0x3a), byte).map((two) => [0x0f, ...two]), fc.constantFrom([0x8b], [0x89], [0x83], [0x81], [0xb8], [0xc7], [0xe8], [0x74], [0x0f, 0x84], [0xa1])),
).map((parts) => parts.flat())

function alike({ handler, reg, rm, base, index, displacement, immediate, length, last, branches, memory }: Taken): Taken {
  return { handler, reg, rm, base, index, displacement, immediate, length, last, branches, memory }
}

test('what has the head of an instruction before is taken apart as if it were the first', () => {
  const frame = new Uint8Array(4096 + WINDOW)
  const views = { view: new DataView(frame.buffer), bytes: frame }
  const warm = new Taker(state, new Set())
  let many = 0
  fc.assert(fc.property(bytes, fc.array(fc.uint8Array({ minLength: WINDOW, maxLength: WINDOW }), { minLength: 2, maxLength: 4 }), byte, byte, fc.nat(4095), fc.constantFrom(32 as const, 64 as const), (head, tails, modrm, sib, offset, mode) => {
    for (const tail of tails) {
      frame.set([...head, modrm, sib, ...tail].slice(0, WINDOW), offset)
      const expected = alike(new Taker(state, new Set()).take(views, 0, offset, mode))
      expect(alike(warm.take(views, 0, offset, mode))).toStrictEqual(expected)
      if (expected.length > 0) many++
    }
  }), { numRuns: Number(process.env['MACHINIST_RUNS'] ?? 1000) })
  expect(many).toBeGreaterThan(1000)
})

test('a branch whose target is 2 GiB or more from its page has no op, whatever was met before', () => {
  const frame = new Uint8Array(4096 + WINDOW)
  const view = new DataView(frame.buffer)
  for (const opcode of [[0xe8], [0xe9], [0x0f, 0x84]]) {
    const warm = new Taker(state, new Set())
    const take = (immediate: number): Taken => {
      frame.set(opcode, 0x800)
      view.setInt32(0x800 + opcode.length, immediate, true)
      return warm.take({ view, bytes: frame }, 0, 0x800, 64)
    }
    const next = 0x804 + opcode.length
    for (const immediate of [0x10, -0x10, 0x7fff_ffff - next, -0x8000_0000]) expect(take(immediate)).toMatchObject({ displacement: next + immediate, branches: true })
    for (const immediate of [0x8000_0000 - next, 0x7fff_ffff]) expect(take(immediate)).toMatchObject({ handler: Pseudo.cold, branches: false })
  }
})
