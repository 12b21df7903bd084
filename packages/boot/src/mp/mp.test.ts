import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createMp } from '../index.ts'

const AT = 0xf_0000
const sum = (bytes: Uint8Array): number => bytes.reduce((total, byte) => total + byte, 0) & 0xff

interface Read { readonly processors: number[]; readonly buses: string[]; readonly ioApics: string[]; readonly interrupts: string[]; readonly local: string[] }

/** Reads tables as a system does (MultiProcessor Specification 1.4, chapter 4): from the pointer on, entry by entry. */
function read(bytes: Uint8Array): Read {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const text = (at: number, length: number): string => String.fromCharCode(...bytes.subarray(at, at + length))
  expect([text(0, 4), view.getUint32(4, true), bytes[8], bytes[9], sum(bytes.subarray(0, 16)), bytes[11], bytes[12]]).toEqual(['_MP_', AT + 16, 1, 4, 0, 0, 0])
  const length = view.getUint16(20, true)
  expect([text(16, 4), length, sum(bytes.subarray(16)), view.getUint32(16 + 36, true), view.getUint16(16 + 40, true)]).toEqual(['PCMP', bytes.length - 16, 0, 0xfee0_0000, 0])
  const out: Read = { processors: [], buses: [], ioApics: [], interrupts: [], local: [] }
  let [at, count] = [16 + 44, 0]
  for (; at < bytes.length; count++) {
    const type = bytes[at]
    const hex = (from: number, size: number): string => [...bytes.subarray(at + from, at + from + size)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
    if (type === 0) {
      out.processors.push(bytes[at + 1] ?? -1)
      expect(hex(2, 18)).toBe(`14${out.processors.length === 1 ? '03' : '01'}` + 'a1060600' + 'fffbeb1f' + '00'.repeat(8))
    } else if (type === 1) out.buses.push(`${bytes[at + 1]} ${text(at + 2, 6)}`)
    else if (type === 2) out.ioApics.push(hex(1, 7))
    else (type === 3 ? out.interrupts : out.local).push(hex(1, 7))
    at += type === 0 ? 20 : 8
  }
  expect([at, count]).toEqual([bytes.length, view.getUint16(16 + 34, true)])
  return out
}

test('processors, buses and controllers are there, and each interrupt of ISA that PCI has left', () => {
  const { tables, toBytes } = createMp()
  tables.processors(0x6_06a1, 0x1feb_fbff)
  for (const id of [3, 0, 254, 255, 300]) tables.processor(0, id)
  tables.ioApic(7, 0xfec0_0000, 0, 0x20)
  tables.override(0, 2, false)
  tables.override(9, 9, true)
  tables.legacyControllers()
  for (const [device, pin, to] of [[0, 0, 12], [1, 3, 15], [31, 1, 13]] as const) tables.pciPin(device, pin, to)
  const { processors, buses, ioApics, interrupts, local } = read(toBytes(AT, 0xfee0_0000))
  expect([processors, buses, ioApics]).toEqual([[3, 0, 254], ['0 PCI   ', '1 ISA   '], ['0720010000c0fe']])
  // Kind, flags, bus and its interrupt, controller and its input.
  const isa = (source: number, to: number, flags = '0000'): string => `00${flags}01${[source, 7, to].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`
  expect(interrupts).toEqual([isa(0, 2), ...[1, 3, 4, 5, 6, 7, 8].map((n) => isa(n, n)), isa(9, 9, '0d00'), ...[10, 11, 14].map((n) => isa(n, n)), '0000000000070c', '0000000007070f', '000000007d070d'])
  // Those of the 8259A come to LINT0 of the first, NMI to LINT1 of all.
  expect(local).toEqual(['03000001000300', '0100000100ff01'])
})

test('whatever there is, tables can be read, and each interrupt is one of the controller that has it', () => {
  fc.assert(fc.property(
    fc.uniqueArray(fc.nat(300), { maxLength: 260 }), fc.uniqueArray(fc.nat(3), { maxLength: 3 }), fc.array(fc.tuple(fc.nat(31), fc.nat(3), fc.nat(80)), { maxLength: 128 }), fc.array(fc.tuple(fc.nat(15), fc.nat(30), fc.boolean()), { maxLength: 5 }), fc.boolean(),
    (ids, blocks, pins, overrides, legacy) => {
      const { tables, toBytes } = createMp()
      tables.processors(0x6_06a1, 0x1feb_fbff)
      for (const id of ids) tables.processor(0, id)
      for (const block of blocks) tables.ioApic(0x10 + block, 0xfec0_0000 + 0x1000 * block, 24 * block, 0x20)
      for (const pin of pins) tables.pciPin(...pin)
      for (const each of overrides) tables.override(...each)
      if (legacy) tables.legacyControllers()
      const got = read(toBytes(AT, 0xfee0_0000))
      expect(got.processors).toEqual(ids.filter((id) => id < 255))
      const least = Math.min(...blocks) * 24
      const ofPci = got.interrupts.filter((text) => text.slice(6, 8) === '00')
      expect(ofPci.length).toBe(pins.filter(([, , to]) => to >= least).length)
      for (const text of got.interrupts) {
        const block = parseInt(text.slice(10, 12), 16) - 0x10
        expect(blocks).toContain(block)
        const next = Math.min(...blocks.filter((each) => each > block), 99)
        expect(parseInt(text.slice(12, 14), 16)).toBeLessThan(24 * (next - block))
      }
      // Of each source one.
      const isa = got.interrupts.filter((text) => text.slice(6, 8) === '01').map((text) => text.slice(8, 10))
      expect(new Set(isa).size).toBe(isa.length)
    }))
})
