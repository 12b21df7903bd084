import { PAGE_CODE } from '@machinist/memory'
import { expect, test } from 'vitest'
import { Cr0, Cr4, Efer } from '../../src/emit/control-bits.ts'
import { Paged } from './paged.ts'

const TABLES = 0x1_0000
/** Four levels, all of whose entries with index 0 lead one page further; the last table's are given. */
function machine(leaves: readonly bigint[]): Paged {
  const paged = new Paged([[0, 0x10_0000]])
  const entry = (address: number, value: bigint): void => void paged.guest.write(address, new Uint8Array(BigUint64Array.of(value).buffer))
  for (let level = 0; level < 3; level++) entry(TABLES + level * 4096, BigInt(TABLES + (level + 1) * 4096 + 7))
  leaves.forEach((leaf, i) => { entry(TABLES + 0x3000 + 8 * i, leaf) })
  paged.control('efer', BigInt(Efer.lme | Efer.nxe))
  paged.control(4, BigInt(Cr4.pae))
  paged.control(3, BigInt(TABLES))
  paged.control(0, BigInt((Cr0.et | Cr0.pe | Cr0.pg) >>> 0))
  paged.level(0, false)
  return paged
}
const word = (value: bigint): Uint8Array => new Uint8Array(BigUint64Array.of(value).buffer)

test('tables where there is no memory are ones, and no device hears of them', () => {
  const paged = machine([])
  paged.control(3, 0xfee0_0000n)
  expect(paged.access(0x1000n, 4, 'read', false)).toBe('vector 14, error 9 at 1000')
  expect(paged.devices).toBe(0)
})

test('a table that is mapped by itself changes by a store through itself', () => {
  const paged = machine([0x5_0007n, BigInt(TABLES + 0x3007)])
  expect(paged.access(0x0n, 8, 'read', false)).toBe('0000000000000000')
  expect(paged.access(0x1000n, 8, 'write', false, word(0n))).toBe('stored')
  paged.flush.flushAddress(0n, -1)
  expect(paged.access(0x0n, 8, 'read', false)).toBe('vector 14, error 0 at 0')
  // The entry through which it was made has A and D.
  expect(paged.access(0x1008n, 8, 'read', false)).toBe(Buffer.from(word(BigInt(TABLES + 0x3067))).toString('hex'))
})

test('an entry that gets A on a page with code is a store there', () => {
  const paged = machine([0x5_0007n])
  const { guest } = paged
  const at = guest.entryAddress(TABLES + 0x3000)
  guest.arena.data.setUint32(at, guest.arena.data.getUint32(at, true) | PAGE_CODE, true)
  paged.access(0x0n, 8, 'read', false)
  expect(paged.codeStores).toEqual([0])
  // And one to such a page is told each time: it is not in the TLB.
  const data = guest.entryAddress(0x5_0000)
  guest.arena.data.setUint32(data, guest.arena.data.getUint32(data, true) | PAGE_CODE, true)
  for (const offset of [8n, 16n, 8n]) paged.access(offset, 4, 'write', false, word(1n))
  expect(paged.codeStores.slice(-3)).toEqual([8, 16, 8])
})

test('a page that nobody has touched gets its frame when it is read, and is dirty when it is written', () => {
  const paged = machine([0x5_0007n, 0x6_0007n])
  const { guest } = paged
  const region = guest.regions[0]
  if (!region) throw new Error('it has no memory')
  const touched = guest.touchedPages
  expect(paged.access(0x0n, 4, 'read', false)).toBe('00000000')
  expect(paged.access(0x1ffcn, 4, 'write', false, word(5n))).toBe('stored')
  expect(guest.touchedPages).toBe(touched + 2)
  expect([guest.isDirty(region, 0x50), guest.isDirty(region, 0x60)]).toEqual([false, true])
})
