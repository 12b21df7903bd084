import { Arena, frameOf, GuestMemory, PAGE_CODE, PAGE_SIZE } from '@machinist/memory'
import { tlbLayout } from '@machinist/mmu'
import { createMemory } from '@machinist/wasm'
import { expect, test } from 'vitest'
import { recentPages } from './recent-pages.ts'

test('the pages of a memory that TLBs lead to, in whichever array and bank, then those with code, and no others', () => {
  const maximum = 2 ** 26
  const memory = new GuestMemory(new Arena(createMemory({ initial: 16, maximum: maximum / 65536, shared: true }), maximum))
  const ram = memory.addRam('ram', 0x8000_0000, 64 * PAGE_SIZE)
  for (let page = 0; page < 40; page++) memory.write(ram.base + page * PAGE_SIZE, Uint8Array.of(1))
  const { arena } = memory
  const banks = [arena.allocate(tlbLayout.size), arena.allocate(tlbLayout.size)]
  const frame = (page: number): number => frameOf(arena.u32[(ram.map >>> 2) + page] ?? 0)
  const [first = 0, second = 0] = banks
  const data = (bank: number, kind: 'read' | 'write', va: number, page: number): void => {
    const entry = (va >>> 12) % tlbLayout.entries
    const at = bank + tlbLayout[kind] + entry * 16
    arena.data.setUint32(at, va | (PAGE_SIZE - 1), true)
    arena.data.setUint32(at + tlbLayout.dataOffset, frame(page) - va, true)
    arena.u8[bank + (kind === 'read' ? tlbLayout.readGroups : tlbLayout.writeGroups) + (entry >>> 9)] = 1 << ((entry >>> 6) & 7)
  }
  expect(recentPages(memory, banks)).toEqual([])
  data(first, 'read', 0x7fff_f000, 3)
  data(first, 'write', 0x1000, 5)
  data(second, 'write', 0xffff_e000 | 0, 5)
  const fetch = second + tlbLayout.fetch + 7 * 16
  arena.data.setUint32(fetch, 0x7fff, true)
  arena.data.setUint32(fetch + tlbLayout.frameOffset, frame(9), true)
  // A bank's marks say where to look.
  expect(recentPages(memory, banks)).toEqual([3, 5].map((page) => ram.base + page * PAGE_SIZE))
  arena.u8[second + tlbLayout.fetched] = 1
  expect(recentPages(memory, banks)).toEqual([3, 5, 9].map((page) => ram.base + page * PAGE_SIZE))
  for (const page of [2, 9, 11]) arena.u32[(ram.map >>> 2) + page]! |= PAGE_CODE
  expect(recentPages(memory, banks)).toEqual([3, 5, 9, 2, 11].map((page) => ram.base + page * PAGE_SIZE))
  for (const page of [5, 11]) memory.release(ram.base + page * PAGE_SIZE, PAGE_SIZE)
  expect(recentPages(memory, banks)).toEqual([3, 9, 2].map((page) => ram.base + page * PAGE_SIZE))
})
