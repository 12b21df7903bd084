import { Arena, GuestMemory } from '@machinist/memory'
import { call, compileNow, createMemory, instantiate, ModuleBuilder } from '@machinist/wasm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Access, emitRam, emitX86Walker, PageFault, Paging, peekX86, X86View } from '../src/index.ts'
import { type Controls, type Kind, translate } from './x86-model.ts'

const PAGES = 6
const SIZE = PAGES * 4096

interface Walker {
  walk(linear: bigint, cr3: bigint, access: number, view: number): bigint
  loadPdpte(cr3: bigint, n: number): bigint
  size(): number
  global(): number
}

/** RAM of a few pages at address zero, and a walker over it. */
function setup(physicalBits: number, gigabytePages: boolean): { readonly guest: GuestMemory; readonly walker: Walker; readonly pdptes: bigint[] } {
  const linear = createMemory({ initial: 1, maximum: 1024 })
  const guest = new GuestMemory(new Arena(linear, 2 ** 26))
  guest.addRam('ram', 0, SIZE)
  const m = new ModuleBuilder()
  const faults = { read: m.importFunction('host', 'read', ['i32'], 'i32'), write: m.importFunction('host', 'write', ['i32', 'i32', 'i32'], 'i32') }
  const pdpte = m.importFunction('host', 'pdpte', ['i32'], 'i64')
  m.importMemory({ module: 'host', name: 'memory', initial: 1, maximum: 1024 })
  const emitted = emitX86Walker(m, { ram: emitRam(m, guest.table, faults), physicalBits, gigabytePages, pdpte: (n) => call(pdpte, n) })
  m.export('walk', emitted.walk)
  m.export('loadPdpte', emitted.loadPdpte)
  m.export('size', m.func('size', [], 'i32', (f) => f.return(emitted.pageShift)))
  m.export('global', m.func('global', [], 'i32', (f) => f.return(emitted.global)))
  const pdptes = [0n, 0n, 0n, 0n]
  const host = { memory: linear, read: (entry: number) => guest.fault(entry, 'read'), write: (entry: number) => guest.fault(entry, 'write'), pdpte: (n: number) => pdptes[n] ?? 0n }
  return { guest, walker: instantiate<Walker>(compileNow(m.toBytes()), { host }), pdptes }
}

function number(guest: GuestMemory, at: bigint, size: 4 | 8): bigint {
  const bytes = new Uint8Array(8)
  if (!guest.read(Number(at), bytes.subarray(0, size))) return (1n << BigInt(8 * size)) - 1n
  return new DataView(bytes.buffer).getBigUint64(0, true)
}

function put(guest: GuestMemory, at: bigint, value: bigint, size: 4 | 8): void {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true)
  guest.write(Number(at), bytes.subarray(0, size))
}

function contents(guest: GuestMemory): Uint8Array {
  const bytes = new Uint8Array(SIZE)
  guest.read(0, bytes)
  return bytes
}

const kinds: readonly Kind[] = ['twoLevel', 'pae', 'fourLevel', 'fiveLevel']
const widths = [32, 36, 40, 46, 52]
/** Few enough indices that random tables meet random addresses. */
const index = fc.constantFrom(1, 300, 511)
const entry = fc.record({
  table: fc.nat(PAGES - 1), index,
  // Mostly a table or page in RAM; sometimes a large page, memory that is not there, or any bits.
  value: fc.tuple(
    fc.oneof({ weight: 12, arbitrary: fc.nat(PAGES - 1).map((page) => BigInt(page) << 12n) }, { weight: 2, arbitrary: fc.constantFrom(0x4000_0000n, 0x8060_0000n, 0xf_0000_0000n) }),
    fc.oneof({ weight: 8, arbitrary: fc.constantFrom(0x07n, 0x07n, 0x27n, 0x67n, 0x03n, 0x05n, 0x87n, 0x1e7n) }, { weight: 1, arbitrary: fc.bigInt(0n, 4095n) }),
    fc.oneof({ weight: 6, arbitrary: fc.constant(0n) }, { weight: 1, arbitrary: fc.nat(63).map((place) => 1n << BigInt(place)) }, { weight: 1, arbitrary: fc.constant(1n << 63n) }),
  ).map(([to, flags, odd]) => to | flags | odd),
})
const access = fc.record({ what: fc.constantFrom('read', 'write', 'fetch'), user: fc.boolean() })
const controls = fc.record({ wp: fc.boolean(), pse: fc.boolean(), nxe: fc.boolean(), smep: fc.boolean(), smap: fc.boolean() })

function viewOf(kind: Kind, user: boolean, c: Omit<Controls, 'maxphyaddr' | 'gigabytePages'>): number {
  const flags = (['wp', 'pse', 'nxe', 'smep', 'smap'] as const).reduce((view, name) => c[name] ? view | X86View[name] : view, 0)
  return Paging[kind] | flags | (user ? X86View.user : 0)
}

describe('the walker of x86', () => {
  for (const kind of kinds) {
    test(`does with random tables as the manual's rows say: ${kind}`, () => {
      const machines = widths.flatMap((maxphyaddr) => [false, true].map((gigabytePages) => ({ maxphyaddr, gigabytePages, ...setup(maxphyaddr, gigabytePages) })))
      const seen = new Map<string, number>()
      const size = kind === 'twoLevel' ? 4 : 8
      const levels = { twoLevel: 2, pae: 2, fourLevel: 4, fiveLevel: 5 }[kind]
      fc.assert(fc.property(fc.nat(machines.length - 1), fc.array(entry, { minLength: 2, maxLength: 24 }), fc.array(index, { minLength: 5, maxLength: 5 }), fc.nat(4095), access, controls, fc.nat(PAGES - 1), (which, entries, path, offset, { what, user }, set, rootPage) => {
        const machine = machines[which] ?? machines[0]
        if (!machine) throw new Error('there is none')
        const { guest, walker, pdptes } = machine
        guest.clear()
        // A path that leads somewhere, over which the random entries come.
        path.slice(0, levels).forEach((at, level) => put(guest, BigInt((rootPage + level) % PAGES * 4096 + at * size), BigInt((rootPage + level + 1) % PAGES) << 12n | 7n, size))
        for (const { table, index: at, value } of entries) put(guest, BigInt(table * 4096 + at * size), value, size)
        const low = path.slice(0, levels).reduce((sum, part) => sum << BigInt(size === 4 ? 10 : 9) | BigInt(part), 0n) << 12n | BigInt(offset)
        const linear = kind === 'pae' ? 1n << 30n | low & 0x3fff_ffffn : size === 4 ? low & 0xffff_ffffn : BigInt.asIntN(levels * 9 + 12, low)
        const root = BigInt(rootPage) << 12n
        pdptes[1] = root | 1n
        const before = contents(guest)
        const view = viewOf(kind, user, set)
        const space = { view, cr3: root, pdptes, physicalBits: machine.maxphyaddr, gigabytePages: machine.gigabytePages }
        const peeked = peekX86(guest, linear, space)
        expect(Buffer.compare(contents(guest), before)).toBe(0)
        expect(peekX86(guest, BigInt.asUintN(64, linear), space)).toBe(peeked)
        const controlled: Controls = { ...set, maxphyaddr: machine.maxphyaddr, gigabytePages: machine.gigabytePages }
        const model = translate({ read: (at, bytes) => number(guest, at, bytes), write: (at, value, bytes) => put(guest, at, value, bytes) }, kind, linear, root, { write: what === 'write', fetch: what === 'fetch', user }, controlled)
        const expected = contents(guest)
        guest.write(0, before)
        const result = walker.walk(linear, kind === 'pae' ? 0n : root | 0x18n, Access[what as 'read'], viewOf(kind, user, set))
        expect(result < 0n ? { error: Number(-1n - result) } : { physical: result, size: walker.size(), global: walker.global() === 1 }).toEqual(model)
        expect(Buffer.compare(contents(guest), expected)).toBe(0)
        // Whoever looks gets there unless nobody does: with reserved bits, or no memory behind a table.
        if ('error' in model) expect(peeked >= 0, `error ${model.error}`).toBe((model.error & 9) === 1)
        else expect(peeked).toBe(Number(model.physical))
        const outcome = 'error' in model ? `error ${model.error & 9}` : `size ${model.size}`
        seen.set(outcome, (seen.get(outcome) ?? 0) + 1)
      }), { numRuns: 4000, seed: Number(process.env['MACHINIST_SEED'] ?? 1) })
      // Every way to end came up.
      const sizes = { twoLevel: [12, 22], pae: [12, 21], fourLevel: [12, 21, 30], fiveLevel: [12, 21, 30] }[kind]
      for (const outcome of [...sizes.map((bits) => `size ${bits}`), 'error 0', 'error 1', ...kind === 'twoLevel' ? [] : ['error 9']]) expect(seen.get(outcome), outcome).toBeGreaterThan(10)
    })
  }

  test('sets no D and faults with P, W and U when a user writes what is read-only', () => {
    const { guest, walker } = setup(36, false)
    put(guest, 0x0004n, 0x1007n, 4)
    put(guest, 0x1008n, 0x5005n, 4)
    expect(walker.walk(0x40_2123n, 0n, Access.write, Paging.twoLevel | X86View.user)).toBe(-1n - BigInt(PageFault.present | PageFault.write | PageFault.user))
    expect([number(guest, 4n, 4), number(guest, 0x1008n, 4)]).toEqual([0x1027n, 0x5005n])
    // Supervisor mode may, without CR0.WP.
    expect(walker.walk(0x40_2123n, 0n, Access.write, Paging.twoLevel)).toBe(0x5123n)
    expect(number(guest, 0x1008n, 4)).toBe(0x5065n)
  })

  test('takes 4 MiB pages beyond 4 GiB with the width it has, and reserves the rest', () => {
    // Bits 13 to 20 of the entry are 32 to 39 of the address; with a width of 36, 17 to 21 are reserved.
    for (const [width, entryBits, result] of [[36, 0x0140_0083n | 0xfn << 13n, 0xf_0140_5678n], [36, 0x0140_0083n | 1n << 17n, -10n], [40, 0x0140_0083n | 1n << 20n, 0x80_0140_5678n], [40, 0x0140_0083n | 1n << 21n, -10n]] as const) {
      const { guest, walker } = setup(width, false)
      put(guest, 4n, entryBits, 4)
      expect(walker.walk(0x40_5678n, 0n, Access.read, Paging.twoLevel | X86View.pse)).toBe(result)
    }
  })

  test('loads PDPTEs with reserved bits not at all', () => {
    const { guest, walker, pdptes } = setup(36, false)
    for (const [i, value] of [0x1001n, 0x1003n, 0x10_0000_1001n, 0x1e6n].entries()) put(guest, BigInt(0x20 + 8 * i), value, 8)
    // The second has bit 1, the third an address of 37 bits; of what is not present nothing is reserved.
    expect([0, 1, 2, 3].map((n) => walker.loadPdpte(0x20n, n))).toEqual([0x1001n, -1n, -1n, 0x1e6n])
    pdptes[2] = 0n
    expect(walker.walk(0x8000_0000n, 0n, Access.fetch, Paging.pae | X86View.nxe)).toBe(-1n - BigInt(PageFault.fetch))
  })

  test('takes memory that is not there as ones', () => {
    const { walker } = setup(40, true)
    expect(walker.walk(0x1000n, 0x8000_0000n, Access.read, Paging.fourLevel | X86View.nxe)).toBe(-1n - BigInt(PageFault.present | PageFault.reserved))
    expect(walker.walk(0x1000n, 0x8000_0000n, Access.read, Paging.twoLevel)).toBe(0xffff_f000n)
  })
})
