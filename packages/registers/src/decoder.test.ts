import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Decoder } from './decoder.ts'
import { layOut } from './layout.ts'
import type { RegisterTable } from './table.ts'

test('registers are found in a small window as in a large one', () => {
  const width = fc.constantFrom<1 | 2 | 4 | 8>(1, 2, 4, 8)
  fc.assert(fc.property(fc.array(fc.record({ gap: fc.nat(3), width, count: fc.integer({ min: 0, max: 6 }), padding: fc.nat(2) }), { maxLength: 20 }), (list) => {
    const table: Record<string, RegisterTable[string]> = {}
    const owner: (string | null)[] = []
    for (const [index, { gap, width, count, padding }] of list.entries()) {
      const offset = Math.ceil(owner.length / 8) * 8 + gap * 8
      const stride = width * (1 + padding)
      table[`r${index}`] = { offset, width, count, stride, access: 'rw' }
      for (let at = 0; at < count * width; at++) owner[offset + Math.floor(at / width) * stride + at % width] = `r${index}`
    }
    const registers = layOut(table, { name: 'dut' })
    const small = new Decoder(registers, 'dut')
    const large = new Decoder(layOut({ ...table, far: { offset: 1 << 20, access: 'ro' } }, { name: 'dut' }), 'dut')
    for (let offset = 0; offset < owner.length + 16; offset++) {
      expect([small.find(offset)?.name ?? null, large.find(offset)?.name ?? null]).toEqual([owner[offset] ?? null, owner[offset] ?? null])
    }
    expect([small.find(1 << 20), large.find(1 << 20)?.name]).toEqual([null, 'far'])
  }))
})
