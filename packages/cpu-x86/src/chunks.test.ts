import fc from 'fast-check'
import { expect, test } from 'vitest'
import { longMode, testMachine } from './test-machine.ts'

const CODE = 0x1_0000
const BASE = 0x2_0000
const SIZE = 0x8000
const [RCX, RSI, RDI] = [1, 6, 7]
/** REP MOVS of 1, 2, 4 and 8 bytes, then a jump to itself. */
const moves = [[0xf3, 0xa4], [0x66, 0xf3, 0xa5], [0xf3, 0xa5], [0xf3, 0x48, 0xa5]] as const

/** What REP MOVS leaves, element by element (SDM volume 2, MOVS). */
function moved(bytes: Uint8Array, { from, to, count, size, down }: { from: number; to: number; count: number; size: number; down: boolean }): void {
  for (let n = 0; n < count; n++) {
    const at = (down ? -n : n) * size
    const element = bytes.slice(from + at, from + at + size)
    bytes.set(element, to + at)
  }
}

test('REP MOVS moves element by element, however many are moved at once, in both directions, over pages and over itself', () => {
  const machine = testMachine()
  const { hart, memory, cpu } = machine
  const place = fc.integer({ min: 0x2800, max: 0x5800 })
  const apart = fc.oneof(fc.integer({ min: -40, max: 40 }), fc.integer({ min: -0x2000, max: 0x2000 }))
  fc.assert(fc.property(fc.constantFrom(0, 1, 2, 3), fc.boolean(), place, apart, fc.integer({ min: 0, max: 0x2700 }), (kind, down, from, distance, bytes) => {
    const size = 2 ** kind
    const count = Math.floor(bytes / size)
    const to = Math.min(0x5800, Math.max(0x2800, from + distance))
    const all = Uint8Array.from({ length: SIZE }, (_, at) => at * 31 + (at >>> 7))
    memory.write(BASE, all)
    memory.write(CODE, Uint8Array.from([down ? 0xfd : 0xfc, ...moves[kind] ?? [], 0xeb, 0xfe]))
    cpu.reset('cold', { pc: 0, args: [], start: longMode(memory, CODE) })
    for (const [number, value] of [[RCX, count], [RSI, BASE + from], [RDI, BASE + to]] as const) hart.record.set64('registers', BigInt(value), number)
    hart.run(count + 5, true)
    moved(all, { from, to, count, size, down })
    const after = new Uint8Array(SIZE)
    memory.read(BASE, after)
    expect(Buffer.compare(after, all)).toBe(0)
    const far = BigInt((down ? -count : count) * size)
    expect([RCX, RSI, RDI].map((number) => hart.record.get64('registers', number))).toEqual([0n, BigInt(BASE + from) + far, BigInt(BASE + to) + far])
    expect(hart.steps).toBeGreaterThanOrEqual(count + 5)
  }), { numRuns: 150 })
})
