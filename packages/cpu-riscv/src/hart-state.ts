import { machinistError } from '@machinist/api'
import { ASID_SLOTS, type HartField } from './hart-layout.ts'
import type { HartRecord } from './record.ts'
import type { GuestMemory } from '@machinist/memory'
import type { ResumePoint } from '@machinist/sbi'

/** What the architecture says a hart is; everything else in its record follows from it, or is a cache. */
const words: readonly HartField[] = [
  ...(['pc', 'steps', 'unretired', 'instretOffset', 'cycleOffset', 'mstatus', 'mie', 'mip', 'mideleg', 'medeleg', 'mtvec', 'mscratch'] as const),
  ...(['mepc', 'mcause', 'mtval', 'mcounteren', 'mcountinhibit', 'menvcfg', 'stvec', 'sscratch', 'sepc', 'scause', 'stval'] as const),
  ...(['scounteren', 'senvcfg', 'satp', 'stimecmp'] as const),
]
const small: readonly HartField[] = ['mode', 'waiting', 'lines', 'fflags', 'frm', 'builtinSbi']

/** The saved state of a hart: plain data. */
export interface SavedHart {
  readonly x: readonly bigint[]
  readonly f: readonly bigint[]
  readonly pmpcfg: readonly number[]
  readonly pmpaddr: readonly bigint[]
  readonly csr: Readonly<Record<string, bigint>>
  readonly small: Readonly<Record<string, number>>
  /** What LR reserved: the guest-physical address, and the value that was read there. */
  readonly reservation: { readonly address: number; readonly value: bigint } | null
}

export function saveHart(record: HartRecord, memory: GuestMemory): SavedHart {
  const reserved = record.get('reservation')
  const array = (field: HartField, length: number): bigint[] => Array.from({ length }, (_, i) => record.get64(field, i))
  return {
    x: array('x', 32),
    f: array('f', 32),
    pmpcfg: Array.from({ length: 16 }, (_, i) => record.get('pmpcfg', i)),
    pmpaddr: array('pmpaddr', 16),
    csr: Object.fromEntries(words.map((field) => [field, record.get64(field)])),
    small: Object.fromEntries(small.map((field) => [field, record.get(field)])),
    reservation: reserved === 0 ? null : { address: memory.addressOf(reserved), value: record.get64('reservedValue') },
  }
}

/** Takes back a state; returns the hart's HSM state and where it is to start over. Throws a typed error when it is not one. */
export function restoreHart(record: HartRecord, memory: GuestMemory, state: unknown): { readonly hsm: number; readonly resume: ResumePoint | null } {
  const fail = (field: string): never => {
    throw machinistError({ code: 'bad-state', part: 'hart', value: field, remedy: 'Restore a state that this version saved.' }, 'the saved state is not valid')
  }
  if (typeof state !== 'object' || state === null) return fail('state')
  const saved = state as Partial<SavedHart> & { hsm?: unknown; resume?: Partial<ResumePoint> | null }
  const list = (field: 'x' | 'f' | 'pmpaddr', length: number): readonly bigint[] => {
    const value: unknown = saved[field]
    if (!Array.isArray(value) || value.length !== length || !value.every((item) => typeof item === 'bigint')) return fail(field)
    return value as bigint[]
  }
  const { hsm, resume } = saved
  if (typeof hsm !== 'number') return fail('hsm')
  if (resume !== null && (typeof resume?.pc !== 'bigint' || typeof resume.opaque !== 'bigint')) return fail('resume')
  const x = list('x', 32)
  const f = list('f', 32)
  const pmpaddr = list('pmpaddr', 16)
  const pmpcfg: unknown = saved.pmpcfg
  if (!Array.isArray(pmpcfg) || pmpcfg.length !== 16 || !pmpcfg.every((item) => Number.isInteger(item))) return fail('pmpcfg')
  for (const field of words) if (typeof saved.csr?.[field] !== 'bigint') fail(field)
  for (const field of small) if (!Number.isInteger(saved.small?.[field])) fail(field)
  const mode = saved.small?.['mode'] ?? -1
  if (![0, 1, 3].includes(mode)) fail('mode')
  const { reservation = null } = saved
  if (reservation !== null && (typeof reservation !== 'object' || !memory.contains(reservation.address, 8) || typeof reservation.value !== 'bigint')) fail('reservation')
  x.forEach((value, i) => record.set64('x', i === 0 ? 0n : value, i))
  f.forEach((value, i) => record.set64('f', value, i))
  pmpaddr.forEach((value, i) => record.set64('pmpaddr', value, i))
  pmpcfg.forEach((value, i) => record.set('pmpcfg', Number(value), i))
  for (const field of words) record.set64(field, saved.csr?.[field] ?? 0n)
  for (const field of small) record.set(field, saved.small?.[field] ?? 0)
  record.set('reservation', reservation === null ? 0 : memory.resolve(reservation.address))
  record.set64('reservedValue', reservation?.value ?? 0n)
  // The current banks of the TLB are those of the address space that `satp` names now; no other space has any.
  const asid = Number((record.get64('satp') >> 44n) & 0xffffn)
  for (let slot = 0; slot < ASID_SLOTS; slot++) record.set('slotAsid', slot === record.get('slot') ? asid : 0xffff_ffff, slot)
  return { hsm, resume: resume === null ? null : { pc: resume.pc ?? 0n, opaque: resume.opaque ?? 0n } }
}
