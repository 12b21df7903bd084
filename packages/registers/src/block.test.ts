import type { Width } from '@machinist/api'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { extract, fieldMask, insert, RegisterBlock, type Access, type RegisterSpec, type RegisterTable } from './index.ts'

function block<const Table extends RegisterTable>(table: Table, options: Partial<ConstructorParameters<typeof RegisterBlock<Table>>[1]> = {}) {
  const warnings: string[] = []
  const trace = { enabled: false, warn(message: string) { warnings.push(message) }, event() {} }
  return { registers: new RegisterBlock(table, { name: 'dut', trace, ...options }), warnings }
}

describe('any table, any access', () => {
  const anyRegister = fc.record({
    gap: fc.nat(6), width: fc.constantFrom(1 as const, 2 as const, 4 as const, 8 as const), count: fc.integer({ min: 1, max: 4 }), spread: fc.nat(5),
    access: fc.constantFrom<Access>('ro', 'rw', 'wo', 'w1c', 'w1s'), widths: fc.constantFrom('exact' as const, 'any' as const),
    reset: fc.bigInt(0n, (1n << 64n) - 1n), writable: fc.bigInt(0n, (1n << 64n) - 1n),
  })
  const anyTable = fc.array(anyRegister, { minLength: 1, maxLength: 8 }).map((list) => {
    let next = 0
    const table: Record<string, RegisterSpec> = {}
    for (const [i, { gap, width, count, spread, access, widths, reset, writable }] of list.entries()) {
      const unit = Math.min(width, 4)
      const offset = Math.ceil((next + gap) / unit) * unit
      const stride = width + spread
      const mask = (1n << BigInt(8 * width)) - 1n
      table[`R${i}`] = { offset, width, access, widths, count, stride, reset: reset & mask, writable: writable & mask }
      next = offset + (count - 1) * stride + width
    }
    return { table, size: next + 4 }
  })
  const anyAccess = fc.record({ at: fc.nat(400), width: fc.constantFrom<Width>(1, 2, 4), value: fc.integer({ min: 0, max: 0xffff_ffff }), write: fc.boolean() })

  /** One byte of one register, told as plainly as can be. */
  interface Byte { readonly name: string; readonly spec: RegisterSpec; readonly lane: number; value: number; readonly writable: number }

  function bytesOf(table: RegisterTable, size: number): (Byte | undefined)[] {
    const bytes: (Byte | undefined)[] = new Array(size + 400)
    for (const [name, spec] of Object.entries(table)) {
      for (let i = 0; i < (spec.count ?? 1); i++) {
        for (let lane = 0; lane < (spec.width ?? 4); lane++) {
          const of = (value: number | bigint | undefined): number => Number((BigInt(value ?? 0) >> BigInt(8 * lane)) & 0xffn)
          bytes[spec.offset + i * (spec.stride ?? 4) + lane] = { name, spec, lane, value: of(spec.reset), writable: of(spec.writable) }
        }
      }
    }
    return bytes
  }

  /** The bytes that an access acts on. */
  function covered(bytes: readonly (Byte | undefined)[], at: number, width: number): (Byte | undefined)[] {
    const all = bytes.slice(at, at + width)
    const first = all[0]
    if (first !== undefined) {
      const unit = Math.min(first.spec.width ?? 4, 4)
      if (unit === width && first.lane % unit === 0) return all
    }
    return all.some((byte) => byte?.spec.widths === 'exact') ? [] : all
  }

  test('acts on the bytes it covers, as a plain array of bytes says', () => {
    fc.assert(fc.property(anyTable, fc.array(anyAccess, { maxLength: 80 }), ({ table, size }, accesses) => {
      const { registers, warnings } = block(table)
      const bytes = bytesOf(table, size)
      for (const { at: anywhere, width, value, write } of accesses) {
        const at = anywhere % size
        const acted = covered(bytes, at, width)
        const before = warnings.length
        if (write) {
          registers.write(at, width, value % 2 ** (8 * width))
          for (const [i, byte] of acted.entries()) {
            if (byte === undefined) continue
            const bits = (value >>> (8 * i)) & byte.writable
            if (byte.spec.access === 'rw') byte.value = (byte.value & ~byte.writable) | bits
            if (byte.spec.access === 'w1c') byte.value &= ~bits
            if (byte.spec.access === 'w1s') byte.value |= bits
          }
        } else {
          const expected = acted.reduce((sum, byte, i) => sum + (byte === undefined || byte.spec.access === 'wo' ? 0 : byte.value * 2 ** (8 * i)), 0)
          expect(registers.read(at, width)).toBe(expected)
        }
        if (acted.every((byte) => byte === undefined)) expect(warnings.length).toBe(before + 1)
      }
      const copy = block(table).registers
      copy.restore(structuredClone(registers.save()))
      expect(copy.save()).toEqual(registers.save())
      registers.reset()
      expect(registers.save()).toEqual(block(table).registers.save())
    }), { numRuns: 300 })
  })
})

describe('hooks', () => {
  test('get the element, the half, and the value before and after', () => {
    const calls: number[][] = []
    const { registers } = block({
      A: { offset: 0x10, access: 'rw', writable: 0xff, count: 4, stride: 16 },
      B: { offset: 0x18, access: 'rw', count: 4, stride: 16, width: 8 },
      C: { offset: 0, access: 'w1c', reset: 7 },
    }, {
      read: { A: (stored, index) => stored + index, B: (stored, _, half) => stored * 2 ** 33 + half },
      write: { A: (...all) => { calls.push(all) }, B: (...all) => { calls.push(all) }, C: (...all) => { calls.push(all) } },
    })
    registers.write(0x30, 4, 0x1234)
    registers.write(0x2c, 4, 9)
    registers.write(0x00, 4, 5)
    expect(calls).toEqual([[0x34, 0, 2, 0], [9, 0, 1, 1], [2, 7, 0, 0]])
    expect(registers.read(0x30, 4)).toBe(0x36)
    expect(registers.read(0x2c, 4)).toBe(1)
    expect(registers.get64('B', 1)).toBe(9n << 32n)
  })

  test('arrays interleave, also a short one with a long one', () => {
    const { registers, warnings } = block({
      SHORT: { offset: 0, access: 'rw', count: 2, stride: 8, reset: 1 }, LONG: { offset: 4, access: 'rw', count: 4, stride: 8, reset: 2 },
    })
    registers.write(16, 4, 9)
    expect([0, 4, 8, 12, 16, 20, 24, 28, 32].map((offset) => registers.read(offset, 4))).toEqual([1, 2, 1, 2, 0, 2, 0, 2, 0])
    expect(warnings).toHaveLength(4)
  })

  test('read only and write only registers share an offset, and a bank hides both', () => {
    const sent: number[] = []
    const { registers, warnings } = block({
      RX: { offset: 0, width: 1, access: 'ro', reset: 0x52 },
      TX: { offset: 0, width: 1, access: 'wo' },
      DIVISOR: { offset: 0, width: 1, access: 'rw', bank: 'dlab' },
      OTHER: { offset: 1, width: 1, access: 'rw' },
    }, { write: { TX: (value) => { sent.push(value) } } })
    registers.write(0, 1, 0x41)
    registers.bank = 'dlab'
    registers.write(0, 1, 0x42)
    expect(registers.read(0, 1)).toBe(0x42)
    registers.write(1, 1, 3)
    expect(registers.read(1, 1)).toBe(3)
    registers.bank = null
    expect(registers.read(0, 1)).toBe(0x52)
    expect(sent).toEqual([0x41])
    expect(warnings).toEqual([])
  })

  test('reading clears an rc register, and writing any read-only one is reported', () => {
    const { registers, warnings } = block({ STATUS: { offset: 0, access: 'rc', reset: 3 } })
    expect([registers.read(0, 4), registers.read(0, 4)]).toEqual([3, 0])
    registers.write(0, 4, 1)
    expect(registers.get('STATUS')).toBe(0)
    expect(warnings).toEqual([expect.stringContaining('STATUS')])
  })
})

test('fields are what the manual\'s bit numbers say', () => {
  fc.assert(fc.property(fc.nat(31), fc.nat(31), fc.integer({ min: 0, max: 0xffff_ffff }), fc.integer({ min: 0, max: 0xffff_ffff }), (a, b, value, bits) => {
    const [high, low] = [Math.max(a, b), Math.min(a, b)]
    const width = BigInt(high - low + 1)
    const mask = ((1n << width) - 1n) << BigInt(low)
    expect(BigInt(fieldMask([high, low]))).toBe(mask)
    expect(BigInt(extract(value, [high, low]))).toBe((BigInt(value) & mask) >> BigInt(low))
    expect(BigInt(insert(value, [high, low], bits))).toBe((BigInt(value) & ~mask) | ((BigInt(bits) << BigInt(low)) & mask))
  }))
  const { registers } = block({ R: { offset: 0, access: 'ro', fields: { EN: 0, RATE: [31, 28] } } })
  registers.setField('R', 'RATE', 0xa)
  registers.setField('R', 'EN', 1)
  expect([registers.get('R'), registers.field('R', 'RATE')]).toEqual([0xa000_0001, 0xa])
})

test('the configuration changes resets, lengths and spacing', () => {
  const { registers, warnings } = block(
    { ID: { offset: 1, width: 1, access: 'ro' }, LIST: { offset: 4, access: 'rw', count: 100 }, NONE: { offset: 2, width: 1, access: 'rw' } },
    { reset: { ID: 7 }, count: { LIST: 2, NONE: 0 }, shift: 2 })
  expect(registers.read(4, 1)).toBe(7)
  registers.write(32, 4, 5)
  expect(registers.get('LIST', 1)).toBe(5)
  expect(warnings).toEqual([])
  expect([registers.read(48, 4), registers.read(8, 1)]).toEqual([0, 0])
  expect(warnings).toHaveLength(2)
  expect([registers.get('LIST', 2), registers.words('LIST').length]).toEqual([0, 2])
  registers.set('LIST', 1, -1)
  expect(registers.save()).toEqual({ ID: 7, LIST: [0, 5], NONE: [] })
})

test('a table that contradicts itself is refused, naming the register', () => {
  const bad: [RegisterTable, string][] = [
    [{ A: { offset: 0, access: 'rw' }, B: { offset: 2, width: 2, access: 'rw' } }, 'dut.B'],
    [{ A: { offset: 0, access: 'rw', count: 4, stride: 8 }, B: { offset: 12, access: 'rw' } }, 'dut.B'],
    [{ A: { offset: 2, access: 'rw' } }, 'dut.A'],
    [{ A: { offset: 0, width: 1, access: 'rw', reset: 256 } }, 'dut.A'],
    [{ A: { offset: 0, width: 1, access: 'rw', writable: -1 } }, 'dut.A'],
    [{ A: { offset: 0, width: 1, access: 'rw', fields: { F: [8, 0] } } }, 'dut.A'],
    [{ A: { offset: 0, access: 'rw', count: 2, stride: 2 } }, 'dut.A'],
    [{ A: { offset: 0, access: 'rw', count: 1.5 } }, 'dut.A'],
  ]
  for (const [table, part] of bad) expect(() => block(table)).toThrow(expect.objectContaining({ code: 'register-table', part }))
})

test('a saved state that does not fit is refused whole', () => {
  const { registers } = block({ A: { offset: 0, width: 1, access: 'rw' }, B: { offset: 8, width: 8, access: 'rw' }, C: { offset: 16, access: 'wo' } })
  registers.write(0, 1, 5)
  const good = registers.save()
  expect(good).toEqual({ A: 5, B: [0, 0] })
  for (const state of [null, 3, {}, { A: 1 }, { A: 256, B: [0, 0] }, { A: 1, B: [0] }, { A: 1, B: [0, -1] }, { A: 1, B: [0, 0.5] }, { A: 1, B: [0, 0], C: 0 }, { A: 'x', B: [0, 0] }]) {
    expect(() => { registers.restore(state) }).toThrow(expect.objectContaining({ code: 'state' }))
    expect(registers.save()).toEqual(good)
  }
})
