import { machinistError, type X86Start } from '@machinist/api'
import { Cr0, Cr4, Efer } from './emit/control-bits.ts'
import { Register, SegmentBit, segmentLayout, SegmentRight } from './emit/layout.ts'
import type { X86Record } from './record.ts'

const RAX = 0
const RBX = 3
const RSI = 6
const CODE = 0x10
const DATA = 0x18
/** A busy task-state segment of 32 bits. */
const BUSY_TASK = 0xb00
const TASK_LIMIT = 0x67
const FLAT = { base: 0, low: 0, high: 0xffff_ffff } as const
const data = SegmentBit.present | SegmentBit.notSystem | SegmentBit.writable | SegmentBit.accessed | SegmentBit.granular
const code = data | SegmentBit.code

interface SegmentValue {
  readonly selector: number
  readonly base: number
  readonly low: number
  readonly high: number
  /** Attributes of the descriptor, and SegmentRight. */
  readonly rights: number
}

function setSegment(record: X86Record, number: number, { selector, base, low, high, rights }: SegmentValue): void {
  const at = record.state.segment(number)
  record.data.setBigUint64(at + segmentLayout.base, BigInt(base), true)
  for (const [field, value] of [['low', low], ['high', high], ['rights', rights], ['selector', selector]] as const) record.data.setUint32(at + segmentLayout[field], value, true)
}

/** Protected mode with flat segments, as a boot protocol wants it. */
function enterFlat(record: X86Record, gdt: { readonly base: number; readonly limit: number }, size: number): void {
  setSegment(record, Register.gdtr, { selector: 0, base: gdt.base, low: 0, high: gdt.limit, rights: SegmentRight.read | SegmentRight.write })
  setSegment(record, Register.cs, { ...FLAT, selector: CODE, rights: code | size | SegmentRight.read })
  for (const number of [Register.es, Register.ss, Register.ds, Register.fs, Register.gs]) setSegment(record, number, { ...FLAT, selector: DATA, rights: data | SegmentBit.big | SegmentRight.read | SegmentRight.write })
  setSegment(record, Register.tr, { selector: 0, base: 0, low: 0, high: TASK_LIMIT, rights: SegmentBit.present | BUSY_TASK | SegmentRight.read | SegmentRight.write })
}

/** Has a processor that was reset begin. What follows from its control registers is not worked out yet. */
export function begin(record: X86Record, start: X86Start): void {
  if (start.kind === 'reset') return
  enterFlat(record, start.gdt, start.kind === 'linux64' ? SegmentBit.long : SegmentBit.big)
  record.set64('pc', BigInt(start.pc))
  if (start.kind === 'protected') {
    record.set64('cr0', BigInt(Cr0.pe | Cr0.et))
    for (const [number, value] of [[RAX, start.eax], [RBX, start.ebx], [RSI, start.esi]] as const) record.set64('registers', BigInt(value >>> 0), number)
    return
  }
  record.set64('cr0', BigInt(Cr0.pe | Cr0.et) | 0x8000_0000n)
  record.set64('cr4', BigInt(Cr4.pae))
  record.set64('efer', BigInt(Efer.lme | Efer.lma))
  record.set64('cr3', BigInt(start.pages))
  record.set64('registers', BigInt(start.parameters), RSI)
}

const isAddress = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0
const isWord = (value: unknown): boolean => isAddress(value) && Number(value) < 2 ** 32

/** What a machine is told to start with. @throws `'bad-start'` */
export function checkedStart(start: unknown = { kind: 'reset' }): X86Start {
  const fail = (field: string): never => {
    throw machinistError({ code: 'bad-start', part: 'cpu', value: field, remedy: 'Boot by a protocol of x86 machines.' }, 'an x86 processor cannot start so')
  }
  if (typeof start !== 'object' || start === null) return fail('start')
  const { kind, pc, gdt, eax, ebx, esi, pages, parameters } = start as Readonly<Record<string, unknown>>
  if (kind === 'reset') return { kind }
  if (kind !== 'protected' && kind !== 'linux64') return fail('kind')
  const { base, limit } = typeof gdt === 'object' && gdt !== null ? gdt as Readonly<Record<string, unknown>> : {}
  if (!isWord(base) || !isWord(limit)) fail('gdt')
  const numbers = kind === 'protected' ? { pc, eax, ebx, esi } : { pages, parameters }
  for (const [field, value] of Object.entries(numbers)) if (!isWord(value)) fail(field)
  if (!isAddress(pc)) fail('pc')
  return start as X86Start
}
