import { AddressSpace } from '@machinist/bus'
import { Arena, layout } from '@machinist/memory'
import { createMemory, i32, ModuleBuilder } from '@machinist/wasm'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromBase64, toBase64 } from './base64.ts'
import { readDevice, writeDevice } from './device-access.ts'
import { ModuleCache } from './module-cache.ts'
import { Structure } from './structure.ts'

const arena = (): Arena => new Arena(createMemory({ initial: 16, maximum: 64 }), 2 ** 22)

test('base 64', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
    const text = toBase64(bytes)
    expect(text).toBe(Buffer.from(bytes).toString('base64'))
    expect(fromBase64(text)).toEqual(new Uint8Array(bytes))
  }))
})

/** A module whose function gives a number. */
function moduleOf(value: number): Uint8Array<ArrayBuffer> {
  const m = new ModuleBuilder()
  m.export('value', m.func('value', [], 'i32', (f) => f.return(i32.const(value))))
  return m.toBytes()
}

test('a module is compiled once for each key, from what was written beforehand where there is that, and anew when asked', () => {
  const cache = new ModuleCache({ key: 'one', base64: toBase64(moduleOf(1)) }, 2)
  const refuse = (): never => { throw new Error('written again') }
  const one = cache.get('one', refuse)
  expect(cache.get('one', refuse)).toBe(one)
  const two = cache.get('two', () => moduleOf(2))
  expect(two).not.toBe(one)
  expect(cache.get('two', refuse)).toBe(two)
  const other = cache.get('one', refuse, true)
  expect(other).not.toBe(one)
  expect(cache.get('one', refuse)).toBe(other)
  // There is room for no third.
  cache.get('three', () => moduleOf(3))
  expect(() => cache.get('three', refuse)).toThrow('written again')
})

test('a structure has bytes, words and long words by name, and moves', () => {
  const record = layout('test', { small: ['u8', 3], word: 'u32', long: ['i64', 2] })
  const memory = arena()
  const [from, to] = [memory.allocate(record.size), memory.allocate(record.size)]
  const structure = new Structure(memory, record, from)
  structure.set('small', 0x1ff, 2)
  structure.set('word', 0xdead_beef)
  structure.set64('long', -1n, 1)
  structure.moveTo(to)
  memory.u8.fill(0, from, from + record.size)
  expect(structure.get('small', 2)).toBe(0xff)
  expect(structure.get('small', 1)).toBe(0)
  expect(structure.get('word')).toBe(0xdead_beef)
  expect(structure.get64('long', 1)).toBe(0xffff_ffff_ffff_ffffn)
  expect(structure.getNumber('long', 1)).toBe(-1)
  structure.clear()
  expect(structure.get('word')).toBe(0)
})

test('accesses to devices pass by a mailbox, 8 bytes as two of 4, the low one first', () => {
  const memory = arena()
  const mailbox = memory.allocate(64)
  const bus = new AddressSpace('memory')
  const log: string[] = []
  bus.attach('device', 0x1000, 0x10, 0, {
    read: (_region, offset, width) => { log.push(`read ${offset} ${width}`); return offset + 0xffff_fff0 },
    write: (_region, offset, width, value) => { log.push(`write ${offset} ${width} ${value.toString(16)}`) },
  })
  expect(readDevice(bus, memory, mailbox, 0x1000, 8)).toBe(0)
  expect(memory.data.getBigUint64(mailbox, true)).toBe(0xffff_fff4_ffff_fff0n)
  memory.data.setBigUint64(mailbox, 0x1122_3344_5566_7788n, true)
  expect(writeDevice(bus, memory, mailbox, 0x1008, 2)).toBe(0)
  expect(writeDevice(bus, memory, mailbox, 0x1008, 8)).toBe(0)
  expect(log).toEqual(['read 0 4', 'read 4 4', 'write 8 2 7788', 'write 8 4 55667788', 'write 12 4 11223344'])
  expect(readDevice(bus, memory, mailbox, 0x2000, 4)).toBe(1)
  expect(writeDevice(bus, memory, mailbox, 0x2000, 4)).toBe(1)
})
