import { createTable, type WasmTable } from '@machinist/wasm'
import { vi } from 'vitest'
import type { Guest } from './guest.ts'

/** What all tables of functions inherit from. */
const Table = Object.getPrototypeOf(createTable(1)) as WasmTable

/** Counts the functions that tables of the host's engine hold, and their places. */
export function watchTables(): { readonly live: () => number; readonly places: () => number } {
  const held = new Map<WasmTable, Set<number>>()
  const { set } = Table
  vi.spyOn(Table, 'set').mockImplementation(function (this: WasmTable, index: number, value: unknown) {
    const slots = held.get(this) ?? new Set<number>()
    held.set(this, slots)
    if (value === null) slots.delete(index)
    else slots.add(index)
    set.call(this, index, value)
  })
  const total = (count: (table: WasmTable, slots: ReadonlySet<number>) => number): number => [...held].reduce((sum, [table, slots]) => sum + count(table, slots), 0)
  return { live: () => total((_table, slots) => slots.size), places: () => total((table) => table.length) }
}

/** Counts bytes that are taken from the arena for ever. */
export function watchArena(g: Guest): () => number {
  const spy = vi.spyOn(g.machine.memory.arena, 'allocate')
  return () => spy.mock.calls.reduce((sum, [bytes]) => sum + bytes, 0)
}
