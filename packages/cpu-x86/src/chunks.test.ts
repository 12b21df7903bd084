import fc from 'fast-check'
import { expect, test } from 'vitest'
import { longMode, testMachine } from './test-machine.ts'

const CODE = 0x1_0000
/** Where the bytes lie, by the bits of addresses. */
const bases = { 16: 0x7000, 32: 0x2_0000, 64: 0x2_0000 } as const
const SIZE = 0x8000
const [RCX, RSI, RDI] = [1, 6, 7]
/** REP MOVS of 1, 2, 4 and 8 bytes, then a jump to itself. */
const moves = [[0xf3, 0xa4], [0x66, 0xf3, 0xa5], [0xf3, 0xa5], [0xf3, 0x48, 0xa5]] as const

/** 64-bit code with addresses of 64 and of 32 bits, and 32-bit code with those of 32 and of 16. */
const addressing = [{ bits: 64, long: true, prefix: [] }, { bits: 32, long: true, prefix: [0x67] }, { bits: 32, long: false, prefix: [] }, { bits: 16, long: false, prefix: [0x67] }] as const

/** What REP MOVS leaves, element by element (SDM volume 2, MOVS). */
function moved(bytes: Uint8Array, { from, to, count, size, down }: { from: number; to: number; count: number; size: number; down: boolean }): void {
  for (let n = 0; n < count; n++) {
    const at = (down ? -n : n) * size
    const element = bytes.slice(from + at, from + at + size)
    bytes.set(element, to + at)
  }
}

test('REP MOVS moves element by element, however many are moved at once, in both directions, over pages and over itself, wherever runs end', () => {
  const machine = testMachine()
  const { hart, memory, cpu } = machine
  const place = fc.integer({ min: 0x2800, max: 0x5800 })
  const apart = fc.oneof(fc.integer({ min: -40, max: 40 }), fc.integer({ min: -0x2000, max: 0x2000 }))
  const budgets = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 6 })
  fc.assert(fc.property(fc.constantFrom(0, 1, 2, 3), fc.constantFrom(...addressing), fc.boolean(), place, apart, fc.integer({ min: 0, max: 0x2700 }), budgets, (wanted, { bits, long, prefix }, down, from, distance, bytes, slices) => {
    const kind = long ? wanted : Math.min(2, wanted)
    const base = bases[bits]
    const size = 2 ** kind
    const count = Math.floor(bytes / size)
    const to = Math.min(0x5800, Math.max(0x2800, from + distance))
    const all = Uint8Array.from({ length: SIZE }, (_, at) => at * 31 + (at >>> 7))
    const begins = all.slice()
    moved(all, { from, to, count, size, down })
    const far = BigInt((down ? -count : count) * size)
    for (const runs of [[count + 5], slices]) {
      memory.write(CODE, Uint8Array.from([down ? 0xfd : 0xfc, ...prefix, ...moves[kind] ?? [], 0xeb, 0xfe]))
      const start = longMode(memory, CODE)
      cpu.reset('cold', { pc: 0, args: [], start: long ? start : { kind: 'protected', pc: CODE, gdt: start.kind === 'reset' ? { base: 0, limit: 0 } : start.gdt, eax: 0, ebx: 0, esi: 0 } })
      memory.write(base, begins)
      for (const [number, value] of [[RCX, count], [RSI, base + from], [RDI, base + to]] as const) hart.record.set64('registers', BigInt(value), number)
      const before = hart.steps
      for (let done = 0, n = 0; done < count + 5; n++) {
        const budget = Math.min(runs[n % runs.length] ?? 1, count + 5 - done)
        hart.run(budget, true)
        done += budget
        expect(hart.steps).toBe(before + done)
      }
      const after = new Uint8Array(SIZE)
      memory.read(base, after)
      expect(Buffer.compare(after, all)).toBe(0)
      expect([RCX, RSI, RDI].map((number) => hart.record.get64('registers', number))).toEqual([0n, BigInt(base + from) + far, BigInt(base + to) + far])
    }
  }), { numRuns: 100 })
})
