/**
 * A model of x86 paging, written from the tables of SDM volume 3, chapter 5, for comparison: one row for each format of
 * entry, and the rules of 5.6.1 and 5.7 as they are worded.
 */
export type Kind = 'twoLevel' | 'pae' | 'fourLevel' | 'fiveLevel'

export interface Access {
  readonly write: boolean
  readonly fetch: boolean
  readonly user: boolean
}

export interface Controls {
  readonly wp: boolean
  readonly pse: boolean
  readonly nxe: boolean
  readonly smep: boolean
  readonly smap: boolean
  readonly maxphyaddr: number
  readonly gigabytePages: boolean
}

export interface Memory {
  read(at: bigint, size: 4 | 8): bigint
  write(at: bigint, value: bigint, size: 4 | 8): void
}

export type Result = { readonly physical: bigint; readonly size: number; readonly global: boolean } | { readonly error: number }

/** A format of an entry: which linear bits choose it, whether it maps a page, and its reserved bits. */
interface Format {
  readonly low: number
  readonly high: number
  readonly page: (entry: bigint) => boolean
  readonly reserved: (entry: bigint) => bigint
}

const span = (high: number, low: number): bigint => high < low ? 0n : ((1n << BigInt(high - low + 1)) - 1n) << BigInt(low)
const bit = (value: bigint, place: number): boolean => (value >> BigInt(place) & 1n) === 1n

function formats(kind: Kind, c: Controls): readonly Format[] {
  const m = c.maxphyaddr
  const xd = c.nxe ? 0n : 1n << 63n
  const never = (): boolean => false
  if (kind === 'twoLevel') {
    return [
      // Tables 5-4 and 5-5. 5.3: M is the lesser of 40 and MAXPHYADDR, and bits 21:(M-19) are reserved.
      { low: 22, high: 31, page: (e) => c.pse && bit(e, 7), reserved: (e) => c.pse && bit(e, 7) ? span(21, Math.min(40, m) - 19) : 0n },
      { low: 12, high: 21, page: () => true, reserved: () => 0n },
    ]
  }
  if (kind === 'pae') {
    return [
      // Tables 5-9 and 5-10, then 5-11.
      { low: 21, high: 29, page: (e) => bit(e, 7), reserved: (e) => xd | span(62, m) | (bit(e, 7) ? span(20, 13) : 0n) },
      { low: 12, high: 20, page: () => true, reserved: () => xd | span(62, m) },
    ]
  }
  const wide: Format[] = [
    // PML4E (table 5-15), PDPTE (5-16, 5-17), PDE (5-18, 5-19), PTE (5-20).
    { low: 39, high: 47, page: never, reserved: () => xd | span(51, m) | 1n << 7n },
    { low: 30, high: 38, page: (e) => c.gigabytePages && bit(e, 7), reserved: (e) => xd | span(51, m) | (!bit(e, 7) ? 0n : c.gigabytePages ? span(29, 13) : 1n << 7n) },
    { low: 21, high: 29, page: (e) => bit(e, 7), reserved: (e) => xd | span(51, m) | (bit(e, 7) ? span(20, 13) : 0n) },
    { low: 12, high: 20, page: () => true, reserved: () => xd | span(51, m) },
  ]
  return kind === 'fourLevel' ? wide : [{ low: 48, high: 56, page: never, reserved: () => xd | span(51, m) | 1n << 7n }, ...wide]
}

export function translate(memory: Memory, kind: Kind, linear: bigint, root: bigint, a: Access, c: Controls): Result {
  const size = kind === 'twoLevel' ? 4 : 8
  // 5.7: I/D is set for a fetch when CR4.SMEP = 1, or CR4.PAE = 1 and EFER.NXE = 1.
  const base = (a.write ? 2 : 0) | (a.user ? 4 : 0) | (a.fetch && (c.smep || kind !== 'twoLevel' && c.nxe) ? 16 : 0)
  let table = root
  let userMode = true
  let writable = true
  let executable = true
  for (const format of formats(kind, c)) {
    const at = table + BigInt(size) * (linear >> BigInt(format.low) & span(format.high - format.low, 0))
    const entry = memory.read(at, size)
    if (!bit(entry, 0)) return { error: base }
    if ((entry & format.reserved(entry)) !== 0n) return { error: base | 8 | 1 }
    writable &&= bit(entry, 1)
    userMode &&= bit(entry, 2)
    executable &&= !bit(entry, 63)
    if (!format.page(entry)) {
      memory.write(at, entry | 1n << 5n, size)
      table = entry & (size === 4 ? span(31, 12) : span(c.maxphyaddr - 1, 12))
      continue
    }
    if (!permitted(a, c, { userMode, writable, executable })) return { error: base | 1 }
    memory.write(at, entry | 1n << 5n | (a.write ? 1n << 6n : 0n), size)
    // Table 5-4: bits 39:32 of the address are in 20:13.
    const wide = size === 4 && format.low === 22 ? (entry >> 13n & 0xffn) << 32n : 0n
    const frame = entry & (size === 4 ? span(31, format.low) : span(c.maxphyaddr - 1, format.low)) | wide
    return { physical: frame | linear & span(format.low - 1, 0), size: format.low, global: bit(entry, 8) }
  }
  throw new Error('the last format maps a page')
}

/** 5.6.1, sentence by sentence. */
function permitted(a: Access, c: Controls, page: { userMode: boolean; writable: boolean; executable: boolean }): boolean {
  if (a.user) {
    if (!page.userMode) return false
    if (a.fetch) return page.executable
    return a.write ? page.writable : true
  }
  if (a.fetch) return page.userMode && c.smep ? false : page.executable
  if (page.userMode && c.smap) return false
  return a.write && c.wp ? page.writable : true
}
