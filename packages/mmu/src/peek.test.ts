import { Arena, GuestMemory } from '@machinist/memory'
import { compileNow, createMemory, i32, instantiate, ModuleBuilder } from '@machinist/wasm'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Access, emitRam, emitSvWalker, peekSv, View } from './index.ts'

const RAM = 0x8000_0000
const PAGES = 4

type Walk = (va: bigint, satp: bigint, access: number, view: number) => bigint

/** RAM of a few pages, and the walker of harts over it. */
function setup(): { readonly guest: GuestMemory; readonly walk: Walk } {
  const linear = createMemory({ initial: 1, maximum: 1024 })
  const guest = new GuestMemory(new Arena(linear, 2 ** 26))
  guest.addRam('ram', RAM, PAGES * 4096)
  const m = new ModuleBuilder()
  const faults = { read: m.importFunction('host', 'read', ['i32'], 'i32'), write: m.importFunction('host', 'write', ['i32', 'i32', 'i32'], 'i32') }
  m.importMemory({ module: 'host', name: 'memory', initial: 1, maximum: 1024 })
  const walker = emitSvWalker(m, {
    ram: emitRam(m, guest.table, faults),
    open: i32.const(1),
    allowed: m.func('allowed', ['i64', 'i32'], 'i32', (f) => f.return(i32.const(1))),
  })
  m.export('walk', walker.walk)
  const { walk } = instantiate<{ walk: Walk }>(compileNow(m.toBytes()), { host: { memory: linear, read: (entry: number) => guest.fault(entry, 'read'), write: (entry: number) => guest.fault(entry, 'write') } })
  return { guest, walk }
}

/** Few enough indices that random tables meet random addresses. */
const index = fc.constantFrom(1, 511)
const bits = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(0x01n, 0x01n, 0x01n, 0x0fn, 0xcfn, 0xdfn, 0x49n, 0x0bn) },
  { weight: 1, arbitrary: fc.bigInt(0n, 1023n) },
  { weight: 1, arbitrary: fc.bigInt(0n, 63n).map((bit) => 0xcfn | 1n << bit) },
)
const entry = fc.record({ table: fc.nat(PAGES - 1), index, to: fc.oneof(fc.nat(PAGES).map((page) => RAM / 4096 + page), fc.constantFrom(0, 0x8_0000, 0x4_0000)), bits })

test('an address leads where the walker of a hart that may do anything leads, and nothing is changed', () => {
  const { guest, walk } = setup()
  let found = 0
  fc.assert(fc.property(fc.array(entry, { minLength: 8, maxLength: 24 }), fc.array(index, { minLength: 5, maxLength: 5 }), fc.integer({ min: 7, max: 11 }), fc.nat(4095), fc.boolean(), (entries, path, mode, offset, canonical) => {
    guest.clear()
    for (const { table, index, to, bits } of entries) guest.write(RAM + table * 4096 + 8 * index, new Uint8Array(BigUint64Array.of((BigInt(to) << 10n) | bits).buffer))
    const width = 12 + 9 * (mode - 5)
    const raw = path.reduce((va, part) => va << 9n | BigInt(part), 0n) << 12n | BigInt(offset)
    const va = canonical ? BigInt.asIntN(Math.max(39, Math.min(57, width)), raw) : raw
    const satp = BigInt(mode) << 60n | BigInt(RAM / 4096)
    const touched = guest.touchedPages
    const before = new Uint8Array(PAGES * 4096)
    const after = new Uint8Array(PAGES * 4096)
    guest.read(RAM, before)
    const peeked = peekSv(guest, va, satp)
    guest.read(RAM, after)
    expect(after.every((byte, at) => byte === before[at])).toBe(true)
    expect(guest.touchedPages).toBe(touched)
    expect(peekSv(guest, BigInt.asUintN(64, va), satp)).toBe(peeked)
    if (mode < 8 || mode > 10) {
      expect(peeked).toBe(-1)
      return
    }
    // Readable or executable, of a user or not: one of the two views is let through.
    const walked = [View.user, View.sum].map((view) => walk(va, satp, Access.read, view | View.mxr | View.update)).find((pa) => pa >= 0n) ?? -1n
    expect(peeked).toBe(walked < 2n ** 53n ? Number(walked) : -1)
    if (peeked >= 0) found++
  }), { numRuns: 5000, seed: 1 })
  expect(found).toBeGreaterThan(200)
})

test('without translation an address is itself, unless it is of no memory', () => {
  const { guest } = setup()
  expect(peekSv(guest, 0x8000_1234n, 0n)).toBe(0x8000_1234)
  expect(peekSv(guest, -1n, 0n)).toBe(-1)
})
