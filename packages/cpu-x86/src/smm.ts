import { Cr0, CR0_BITS, Cr4, Efer } from './emit/control-bits.ts'
import { FlagKind } from './emit/flags.ts'
import { Register, SegmentBit, segmentLayout, SegmentRight, type State, type StateField } from './emit/layout.ts'
import { DR6_RESET, DR7_RESET } from './emit/system/debug.ts'
import { Activity } from './emit/system/events.ts'
import { Flag, STATUS } from './flags.ts'
import type { Model } from './model/models.ts'

/** Where a processor's state is saved before its SMBASE is moved (SDM volume 3, 32.4), and where its handler and that area begin from there. */
export const SMBASE_RESET = 0x3_0000
const [HANDLER, AREA, AREA_BYTES] = [0x8000, 0xfe00, 0x200] as const
/** Bits of the state's `managed`: it is in system-management mode, and NMI was blocked when it went there. */
export const Managed = { active: 1, nmiBlocked: 2 } as const
/** What a handler finds of what the format can (32.4.2): SMBASE can be moved, and I/O instructions are not restarted. */
const REVISION = { narrow: 0x2_0000, wide: 0x2_0064 } as const

/** Physical memory, as devices reach it: false where there is none. */
export interface PhysicalMemory {
  read(address: number, into: Uint8Array): boolean
  write(address: number, from: Uint8Array): boolean
}

/** A processor whose state is in `view`, which is another one when memory has grown. */
export interface Managing {
  readonly view: DataView
  readonly state: State
  readonly model: Model
  readonly memory: PhysicalMemory
}

const { es, cs, ss, ds, fs, gs, idtr, gdtr, ldtr, tr } = Register
const SYSTEM_FLAGS = 0x3f_7300
const ATTRIBUTES = 0xf0ff
const DPL_SHIFT = 5
const PRESENT = SegmentBit.present >> 8
const [RW, REAL] = [SegmentRight.read | SegmentRight.write, SegmentBit.present | SegmentBit.notSystem | SegmentBit.writable | SegmentBit.accessed | SegmentBit.granular] as const

/** Where the area has what of a segment register; attributes are the upper bits of a descriptor's second half. */
interface SegmentPlace { readonly register: number; readonly selector: number; readonly attributes: number; readonly limit: number; readonly base: number }
/** Offsets from SMBASE + FE00H. */
interface Format {
  readonly revision: number
  /** Bytes of registers and bases. */
  readonly size: 4 | 8
  readonly registers: readonly number[]
  readonly fields: Readonly<Record<'rip' | 'rflags' | 'cr0' | 'cr3' | 'cr4' | 'dr6' | 'dr7', number>>
  readonly efer: number | null
  readonly revisionAt: number
  readonly smbase: number
  readonly halt: number
  readonly segments: readonly SegmentPlace[]
}

const long = (register: number, at: number): SegmentPlace => ({ register, selector: at, attributes: at + 2, limit: at + 4, base: at + 8 })
/**
 * Of processors with 64 bits: AMD's (APM volume 2, table 10-1), which also says what hidden parts are; software for virtual machines knows a save area by its revision. Tables have no selectors.
 */
const wide: Format = {
  revision: REVISION.wide, size: 8, registers: Array.from({ length: 16 }, (_, number) => 0x1f8 - 8 * number),
  // RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15, downwards.
  fields: { rip: 0x178, rflags: 0x170, cr0: 0x158, cr3: 0x150, cr4: 0x148, dr6: 0x168, dr7: 0x160 },
  efer: 0xd0, revisionAt: 0xfc, smbase: 0x100, halt: 0xc9,
  segments: [long(es, 0), long(cs, 0x10), long(ss, 0x20), long(ds, 0x30), long(fs, 0x40), long(gs, 0x50), long(gdtr, 0x60), long(ldtr, 0x70), long(idtr, 0x80), long(tr, 0x90)],
}
const short = (register: number, selector: number, at: number): SegmentPlace => ({ register, selector, attributes: at, limit: at + 4, base: at + 8 })
/** Of processors with 32 bits (SDM volume 3, table 32-1). Hidden parts are in what is reserved there. */
const narrow: Format = {
  revision: REVISION.narrow, size: 4, registers: [0x1d0, 0x1d4, 0x1d8, 0x1dc, 0x1e0, 0x1e4, 0x1e8, 0x1ec],
  fields: { rip: 0x1f0, rflags: 0x1f4, cr0: 0x1fc, cr3: 0x1f8, cr4: 0x114, dr6: 0x1cc, dr7: 0x1c8 },
  efer: null, revisionAt: 0xfc, smbase: 0xf8, halt: 0x102,
  segments: [
    short(es, 0x1a8, 0x184), short(cs, 0x1ac, 0x190), short(ss, 0x1b0, 0x19c), short(ds, 0x1b4, 0x12c), short(fs, 0x1b8, 0x138), short(gs, 0x1bc, 0x144),
    short(ldtr, 0x1c0, 0x178), short(tr, 0x1c4, 0x15c),
    { register: gdtr, selector: -1, attributes: -1, limit: 0x170, base: 0x174 }, { register: idtr, selector: -1, attributes: -1, limit: 0x154, base: 0x158 },
  ],
}
const formatOf = (model: Model): Format => model.features.has('lm') ? wide : narrow
const isTable = (register: number): boolean => register === gdtr || register === idtr

/** What both directions need of a state. */
function access({ view, state }: Managing) {
  const at = (register: number, field: keyof typeof segmentLayout): number => state.segment(register) + segmentLayout[field]
  return {
    at,
    get64: (field: StateField): bigint => view.getBigUint64(state.field(field), true),
    set64: (field: StateField, value: bigint): void => view.setBigUint64(state.field(field), BigInt.asUintN(64, value), true),
    get32: (field: StateField): number => view.getUint32(state.field(field), true),
    set32: (field: StateField, value: number): void => view.setUint32(state.field(field), value, true),
    dr: (number: number): number => state.field('dr') + 8 * number,
  }
}

/**
 * An SMI is taken (SDM volume 3, 32.4 and 32.5): the state goes to the area at SMBASE, as much of that as is RAM, and the handler begins. What follows from control registers is not worked out yet.
 *
 * @param status - the status flags of the program
 */
export function enterManagement(processor: Managing, status: number): void {
  const { view, state, memory, model } = processor
  const { at, get64, get32, dr } = access(processor)
  const format = formatOf(model)
  const bytes = new Uint8Array(AREA_BYTES)
  const area = new DataView(bytes.buffer)
  const put = (offset: number, value: bigint): void => format.size === 8 ? area.setBigUint64(offset, value, true) : area.setUint32(offset, Number(value & 0xffff_ffffn), true)
  format.registers.forEach((offset, number) => { put(offset, view.getBigUint64(state.register(number), true)) })
  const rflags = BigInt((status | get32('system') | get32('direction') * Flag.direction | 2) >>> 0)
  const values = { rip: get64('pc'), rflags, cr0: get64('cr0'), cr3: get64('cr3'), cr4: get64('cr4'), dr6: view.getBigUint64(dr(6), true), dr7: view.getBigUint64(dr(7), true) }
  for (const [name, value] of Object.entries(values)) put(format.fields[name as keyof typeof values], value)
  if (format.efer !== null) put(format.efer, get64('efer'))
  for (const { register, selector, attributes, limit, base } of format.segments) {
    const rights = view.getUint32(at(register, 'rights'), true)
    const low = view.getUint32(at(register, 'low'), true)
    put(base, view.getBigUint64(at(register, 'base'), true))
    // An expand-down segment has the offsets above its limit.
    area.setUint32(limit, low > 0 ? low - 1 : view.getUint32(at(register, 'high'), true), true)
    if (isTable(register)) continue
    area.setUint16(selector, view.getUint32(at(register, 'selector'), true), true)
    // A null selector has no rights; that of SS has the privilege level all the same.
    const present = (rights & SegmentBit.present) !== 0 ? rights >> 8 & ATTRIBUTES : 0
    area.setUint16(attributes, register === ss ? present & ~(3 << DPL_SHIFT) | get32('cpl') << DPL_SHIFT : present, true)
  }
  const smbase = get32('smbase')
  area.setUint32(format.revisionAt, format.revision, true)
  area.setUint32(format.smbase, smbase, true)
  bytes[format.halt] = get32('waiting') === Activity.halted ? 1 : 0
  memory.write(smbase + AREA, bytes)
  begin(processor, smbase)
}

/** What a handler begins with. */
function begin(processor: Managing, smbase: number): void {
  const { view } = processor
  const { at, get64, set64, get32, set32, dr } = access(processor)
  set32('managed', Managed.active | (get32('nmiBlocked') === 0 ? 0 : Managed.nmiBlocked))
  set32('nmiBlocked', 1)
  set32('waiting', Activity.running)
  for (const field of ['direction', 'system', 'cpl', 'repeating', 'watching'] as const) set32(field, 0)
  set32('flagKind', FlagKind.plain)
  for (const field of ['flagResult', 'cr4', 'efer'] as const) set64(field, 0n)
  set64('cr0', get64('cr0') & ~(BigInt(Cr0.pe | Cr0.em | Cr0.ts) | 0x8000_0000n))
  set64('pc', BigInt(HANDLER))
  view.setBigUint64(dr(7), BigInt(DR7_RESET), true)
  for (const register of [es, cs, ss, ds, fs, gs]) {
    view.setBigUint64(at(register, 'base'), register === cs ? BigInt(smbase) : 0n, true)
    view.setUint32(at(register, 'low'), 0, true)
    view.setUint32(at(register, 'high'), 0xffff_ffff, true)
    view.setUint32(at(register, 'selector'), register === cs ? smbase >>> 4 & 0xffff : 0, true)
    view.setUint32(at(register, 'rights'), REAL | RW | (register === cs ? SegmentBit.code : 0), true)
  }
}

/** RSM (SDM volume 3, 32.8 and volume 2): goes on with what the area at SMBASE has. False when that is no state of a processor, which is shutdown. What follows from control registers is not worked out yet. */
export function leaveManagement(processor: Managing): boolean {
  const { memory, model } = processor
  const format = formatOf(model)
  const bytes = new Uint8Array(AREA_BYTES).fill(0xff)
  memory.read(access(processor).get32('smbase') + AREA, bytes)
  const { view, state } = processor
  const { at, get64, set64, get32, set32, dr } = access(processor)
  const area = new DataView(bytes.buffer)
  const get = (offset: number): bigint => format.size === 8 ? area.getBigUint64(offset, true) : BigInt(area.getUint32(offset, true))
  const value = (name: keyof Format['fields']): bigint => get(format.fields[name])
  const [cr0, cr3, cr4, efer] = [value('cr0') & 0xffff_ffffn, value('cr3'), value('cr4'), format.efer === null ? 0n : get(format.efer)]
  const has = (word: bigint, bit: number): boolean => (word & BigInt(bit >>> 0)) !== 0n
  const paging = has(cr0, 0x8000_0000)
  const lma = has(efer, Efer.lma)
  const impossible = paging && !has(cr0, Cr0.pe) || has(cr0, Cr0.nw) && !has(cr0, Cr0.cd) || (cr4 & ~get64('cr4Bits')) !== 0n || (efer & ~(get64('eferBits') | BigInt(Efer.lma))) !== 0n
    || cr3 >> BigInt(model.physicalBits) !== 0n || lma !== (paging && has(efer, Efer.lme)) || lma && !has(cr4, Cr4.pae) || has(cr4, Cr4.pcide) && !lma
  if (impossible) return false
  // Without it the processor does not look for one in the area.
  set32('smbase', area.getUint32(format.smbase, true))
  const flags = Number(value('rflags') & 0xffff_ffffn)
  const real = !has(cr0, Cr0.pe)
  const virtual = !real && !lma && (flags & 0x2_0000) !== 0
  format.registers.forEach((offset, number) => { view.setBigUint64(state.register(number), get(offset), true) })
  set64('cr0', cr0 & CR0_BITS | BigInt(Cr0.et))
  set64('cr3', cr3)
  set64('cr4', cr4)
  set64('efer', efer)
  view.setBigUint64(dr(6), value('dr6') & 0xe00fn | BigInt(DR6_RESET), true)
  view.setBigUint64(dr(7), value('dr7') & 0xffff_2bffn | BigInt(DR7_RESET), true)
  set32('flagKind', FlagKind.plain)
  set64('flagResult', BigInt(flags & STATUS))
  set32('direction', (flags & Flag.direction) === 0 ? 0 : 1)
  set32('system', flags & SYSTEM_FLAGS & (virtual ? -1 : ~0x2_0000))
  let level = 0
  for (const { register, selector, attributes, limit, base } of format.segments) {
    const isData = !isTable(register) && register !== ldtr && register !== tr
    const address = get(base)
    // Those that long mode has 64 bits for are canonical.
    view.setBigUint64(at(register, 'base'), format.size === 8 && ![es, cs, ss, ds].includes(register as 0) ? BigInt.asUintN(64, BigInt.asIntN(48, address)) : address & 0xffff_ffffn, true)
    const end = area.getUint32(limit, true)
    view.setUint32(at(register, 'low'), 0, true)
    view.setUint32(at(register, 'high'), end, true)
    if (isTable(register)) continue
    const attribute = area.getUint16(attributes, true) & ATTRIBUTES
    if (register === ss) level = attribute >> DPL_SHIFT & 3
    view.setUint32(at(register, 'selector'), area.getUint16(selector, true), true)
    view.setUint32(at(register, 'rights'), (attribute & PRESENT) === 0 ? 0 : attribute << 8 | (isData ? rightsOf(attribute << 8, real || virtual) : 0), true)
    if (isData && (attribute & 0x9c) === 0x94) {
      view.setUint32(at(register, 'low'), Math.min(end + 1, 0xffff_ffff), true)
      view.setUint32(at(register, 'high'), (attribute << 8 & SegmentBit.big) !== 0 ? 0xffff_ffff : 0xffff, true)
    }
  }
  set32('cpl', real ? 0 : virtual ? 3 : level)
  const wideCode = lma && (view.getUint32(at(cs, 'rights'), true) & SegmentBit.long) !== 0
  set64('pc', wideCode ? value('rip') : value('rip') & 0xffff_ffffn)
  set64('next', get64('pc'))
  set32('nmiBlocked', (get32('managed') & Managed.nmiBlocked) === 0 ? 0 : 1)
  set32('managed', 0)
  set32('debugPending', get32('managedDebug'))
  set32('managedDebug', 0)
  set32('waiting', ((bytes[format.halt] ?? 0) & 1) !== 0 ? Activity.halted : Activity.running)
  return true
}

/** What accesses to code or data may do: in real-address and virtual-8086 mode all. */
function rightsOf(rights: number, all: boolean): number {
  if (all) return RW
  if ((rights & SegmentBit.code) !== 0) return (rights & SegmentBit.readable) !== 0 ? SegmentRight.read : 0
  return SegmentRight.read | ((rights & SegmentBit.writable) !== 0 ? SegmentRight.write : 0)
}
