import type { Trace } from '@machinist/api'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RegisterBlock } from './block.ts'
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

test('blocks of one table share what follows from it, and have hooks, values and changes of their own', () => {
  const table = { value: { offset: 0, access: 'rw' }, list: { offset: 4, access: 'rw', count: 2 } } as const
  const trace = { warn() {}, log() {} } as unknown as Trace
  const seen: string[] = []
  const block = (name: string, count?: number, reset?: number): RegisterBlock<typeof table> => new RegisterBlock(table, {
    name, trace, ...(count !== undefined && { count: { list: count } }), ...(reset !== undefined && { reset: { value: reset } }), write: { value: (value) => { seen.push(`${name} ${value}`) } },
  })
  const [one, two, longer, other] = [block('one'), block('two'), block('longer', 3), block('other', undefined, 9)]
  one.write(0, 4, 1)
  two.write(0, 4, 2)
  longer.write(12, 4, 3)
  expect([seen, one.read(0, 4), two.read(0, 4), longer.read(12, 4), one.read(12, 4), other.read(0, 4)]).toEqual([['one 1', 'two 2'], 1, 2, 3, 0, 9])
  const wrong = { value: { offset: 0, access: 'rw' }, same: { offset: 2, access: 'rw', width: 2 } } as const
  for (const name of ['first', 'second']) expect(() => new RegisterBlock(wrong, { name, trace })).toThrow(new RegExp(`^${name}\\.`))
})
