import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { SymbolTable } from './symbols.ts'

const text = (...lines: readonly string[]): Uint8Array => Buffer.from(`${lines.join('\n')}\n`)

/** An ELF file with nothing but symbols: name, value, size, type. */
function elf(symbols: readonly (readonly [name: string, value: bigint, size: bigint, type: number])[]): Uint8Array {
  const names = Buffer.from(`\0${symbols.map(([name]) => `${name}\0`).join('')}`)
  const table = Buffer.alloc(24 * (symbols.length + 1))
  let name = 1
  symbols.forEach(([text, value, size, type], index) => {
    const at = 24 * (index + 1)
    table.writeUInt32LE(name, at)
    table.writeUInt8(type, at + 4)
    table.writeBigUInt64LE(value, at + 8)
    table.writeBigUInt64LE(size, at + 16)
    name += text.length + 1
  })
  const head = Buffer.alloc(64 + 3 * 64)
  head.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  head.writeUInt16LE(2, 16)
  head.writeUInt16LE(243, 18)
  head.writeBigUInt64LE(64n, 40)
  head.writeUInt16LE(64, 58)
  head.writeUInt16LE(3, 60)
  const section = (index: number, type: number, offset: number, size: number, link: number): void => {
    const at = 64 + 64 * index
    head.writeUInt32LE(type, at + 4)
    head.writeBigUInt64LE(BigInt(offset), at + 24)
    head.writeBigUInt64LE(BigInt(size), at + 32)
    head.writeUInt32LE(link, at + 40)
  }
  section(1, 2, head.length, table.length, 2)
  section(2, 3, head.length + table.length, names.length, 0)
  return Buffer.concat([head, table, names])
}

const nameAt = (table: SymbolTable, address: bigint): string | null => {
  const found = table.find(address)
  return found && `${found.source}:${found.name}`
}

test('kallsyms: the code that an address lies in, up to the next symbol of any kind', () => {
  const table = new SymbolTable()
  table.add('/tmp/kallsyms', text(
    'ffffffff80002000 T __irqentry_text_start', 'ffffffff80002000 T do_irq', '0000000000000010 a absolute', 'ffffffff80002100 t $x', 'ffffffff80002104 t __pi_$xrv64i2p1', 'ffffffff80002200 D data',
    'ffffffff01000000 t probe\t[virtio_blk]', 'ffffffff80010000 W last'))
  expect(nameAt(table, 0xffff_ffff_8000_1fffn)).toBeNull()
  expect(nameAt(table, 0xffff_ffff_8000_2000n)).toBe('kallsyms:do_irq')
  expect(nameAt(table, 0xffff_ffff_8000_21ffn)).toBe('kallsyms:do_irq')
  expect(nameAt(table, 0xffff_ffff_8000_2200n)).toBeNull()
  expect(nameAt(table, 0xffff_ffff_0100_0004n)).toBe('virtio_blk:probe')
  expect(nameAt(table, 0xffff_ffff_8001_fffen)).toBe('kallsyms:last')
  expect(nameAt(table, 0xffff_ffff_ffff_fff0n)).toBeNull()
  expect(nameAt(table, 0x10n)).toBeNull()
})

test('ELF: functions end where they say, labels without a size do not hide them, and what runs elsewhere is moved', () => {
  const table = new SymbolTable()
  table.add('bin/fw.elf', elf([['label', 0x100n, 0n, 0], ['start', 0x100n, 0x40n, 2], ['$x', 0x120n, 0n, 0], ['object', 0x130n, 8n, 1], ['tail', 0x200n, 0n, 0], ['file.c', 0n, 0n, 4]]), 0x8000_0000n)
  table.add('System.map', text('0000000080000200 T first_wins_a_tie', '80000300 T short'))
  expect(nameAt(table, 0x8000_013fn)).toBe('fw.elf:start')
  expect(nameAt(table, 0x8000_0140n)).toBeNull()
  expect(nameAt(table, 0x8000_0208n)).toBe('fw.elf:tail')
  expect(nameAt(table, 0x8000_0300n)).toBe('System.map:short')
  expect(nameAt(table, 0x100n)).toBeNull()
})

test.each([
  ['prose', text('Hello,', 'world'), 'holds no symbols'], ['hidden', text('0000000000000000 T _start', '0000000000000000 T do_irq'), 'names no addresses'],
  ['stripped', elf([]), 'names no addresses'], ['a picture', Uint8Array.of(0x89, 0x50, 0x4e, 0x47), 'holds no symbols'],
])('%s is a typed error', (name, bytes, message) => {
  expect(() => { new SymbolTable().add(name, bytes) }).toThrow(expect.objectContaining({ part: name, message: expect.stringContaining(message) }))
})

test('an ELF file of 100 000 symbols is read', () => {
  const table = new SymbolTable()
  table.add('node', readFileSync(process.execPath))
  const inside = table.find(0x100_0000n)
  expect(inside === null || inside.address <= 0x100_0000n).toBe(true)
})
