import type { Random } from '../host/random.ts'
import { Assembler, DS, EAX, EBX, ECX, EDX, ES, ESI, ESP, FS, GS, SS } from './assembler.ts'
import type { Case } from './image.ts'
import { END } from './image.ts'
import { at, codeOf, dataOf, descriptor, gate, selector } from './layout.ts'
import { putLow, real } from './real-cases.ts'

/** A TSS in the LDT is #GP by way of a task gate (SDM volume 2, INT n), and #TS in QEMU. */
const globalSelector = (random: Random): number => anySelector(random) & ~4

type Writer = (random: Random, a: Assembler) => string

/** A random selector for the subject of a case, or for something else that there is. */
function anySelector(random: Random): number {
  if (random.below(2) === 0) return selector.subject | random.below(4)
  return random.of([0, 1, 3, selector.subject | 4, 0x3f8, 0xfff8, selector.data0, selector.data3, selector.code3, selector.code1 | 0, selector.tss, selector.otherTss, selector.ldt, 4, 0xc, 0x84, selector.second, selector.third]) ^ (random.below(4) === 0 ? random.below(4) : 0)
}

const words = (a: Assembler, address: number, [low, high]: readonly [number, number]): void => void a.storeNumber(address, low).storeNumber(address + 4, high)
const subjectAt = at.gdt + selector.subject
const secondAt = at.gdt + selector.second

/** A descriptor of a code or data segment at the pads, of any type, level and presence. */
function anySegment(random: Random): readonly [number, number] {
  const access = 0x10 | random.below(16) | random.below(4) << 5 | (random.below(8) === 0 ? 0 : 0x80)
  return descriptor(at.pads, random.of([0x1f, 0x7f]), access, random.of([0, 4, 8, 12]))
}
/** A gate or a system segment. */
function anySystem(random: Random): readonly [number, number] {
  const access = random.of([1, 2, 3, 4, 5, 6, 7, 9, 11, 12, 14, 15, random.below(16)]) | random.below(4) << 5 | (random.below(8) === 0 ? 0 : 0x80)
  const type = access & 15
  if (type === 1 || type === 3 || type === 9 || type === 11) return descriptor(at.otherTss, random.of([0x67, 0x67, 0x2b, 0x2a, 0x66]), access, 0)
  if (type === 2) return descriptor(at.ldt, 0x7f, access, 0)
  if (type === 5) return gate(random.of([selector.second, selector.otherTss, globalSelector(random)]), 0, access)
  return gate(random.of([selector.second, selector.second | 3, anySelector(random)]), 2 * random.below(16), access, random.below(4))
}
/** A segment of code, of one of the levels. */
function codeSegment(random: Random): readonly [number, number] {
  return descriptor(at.pads, random.of([0x1f, 0x7f]), random.of([0x9a, 0x9b, 0x9e, 0x98]) | random.below(4) << 5, random.of([0, 4]))
}
function subjects(random: Random, a: Assembler): void {
  words(a, subjectAt, random.below(2) === 0 ? anySegment(random) : anySystem(random))
  words(a, secondAt, random.below(4) === 0 ? anySegment(random) : codeSegment(random))
  words(a, at.ldt + 8, anySegment(random))
}

/** Goes to a level, with flags, and the segment registers of that level. */
function toLevel(a: Assembler, level: number, flags = 2): void {
  if (level === 0) {
    a.push(flags).op('popf')
    return
  }
  const data = dataOf[level] ?? 0
  a.set(EAX, data)
  for (const register of [DS, ES, FS, GS]) a.segment(register, EAX)
  a.push(data).push(at.stacks + level * 0x1000).push(flags).push(codeOf[level] ?? 0)
  const frame = 5
  a.push(a.here + frame + 1).op('iret')
}

const loads: Writer = (random, a) => {
  subjects(random, a)
  const level = random.below(4)
  toLevel(a, level)
  const which = anySelector(random)
  const segment = random.of([ES, SS, DS, FS, GS])
  a.set(EAX, which)
  const how = random.below(6)
  const names = ['es', 'cs', 'ss', 'ds', 'fs', 'gs']
  if (how === 0 && segment !== SS) {
    a.push(which).op('pop', 'segment', {})
  } else if (how === 1) {
    // What is loaded as SS goes to a register before INT needs the stack.
    a.push(which).push(0x1234).op(segment === SS ? 'lss' : 'lfs', 'reg mem', { reg: EBX, rm: { base: ESP } })
  } else a.segment(segment, EAX)
  a.op('mov', 'rm sreg', { reg: SS, rm: EBX }).op('mov', 'rm sreg', { reg: DS, rm: ECX }).set(EAX, dataOf[level] ?? 0)
  a.segment(SS, EAX).int(END)
  return `load ${names[segment] ?? ''} ${which.toString(16)} how ${how} at ${level}`
}

const looks: Writer = (random, a) => {
  subjects(random, a)
  const level = random.below(4)
  toLevel(a, level)
  const which = anySelector(random)
  const name = random.of(['lar', 'lsl', 'verr', 'verw', 'arpl'])
  a.set(EAX, which).set(EBX, 0x5555_5555).set(EDX, random.below(65536))
  if (name === 'arpl') a.op(name, 'rm reg', { reg: EDX, rm: EAX })
  else if (name.startsWith('l')) {
    a.op(name, 'reg rm', { reg: EBX, rm: EAX, operandSize: random.of([2, 4]) })
    // Bits 16 to 19 of LAR are undefined: those of the limit in processors, zeros in QEMU.
    if (name === 'lar') a.op('and', 'rm imm', { rm: EBX, immediates: [~0xf_0000n] })
  }
  else a.op(name, 'rm', { rm: EAX })
  a.int(END)
  return `${name} ${which.toString(16)} at ${level}`
}

const tables: Writer = (random, a) => {
  subjects(random, a)
  const which = anySelector(random)
  // QEMU lets LTR take a null selector, which is #GP(0) (SDM volume 2, LTR).
  const name = (which & ~3) === 0 ? 'lldt' : random.of(['lldt', 'ltr'])
  a.set(EAX, which).op(name, 'rm', { rm: EAX }).int(END)
  return `${name} ${which.toString(16)}`
}

const transfers: Writer = (random, a) => {
  subjects(random, a)
  if (random.below(4) === 0) words(a, subjectAt, codeSegment(random))
  otherTask(random, a)
  const level = random.below(4)
  toLevel(a, level, random.of([2, 2, 0x3002, 0x202]))
  for (let i = 0; i < 4; i++) a.push(0x1111 * (i + 1))
  const which = random.below(3) === 0 ? anySelector(random) : selector.subject | random.of([0, level, random.below(4)])
  const name = random.of(['jmp', 'call'])
  // Beyond the limit CALL is #GP(0) (SDM volume 2, CALL), and #GP with the selector in QEMU.
  const offset = random.of(name === 'jmp' ? [0, 2, 0x10, 0x1e, 0x20, 0x800] : [0, 2, 0x10, 0x1e])
  const operandSize = random.of([2, 4, 4] as const)
  if (random.below(2) === 0) a.op(name, 'imm imm', { operandSize, immediates: [BigInt(offset), BigInt(which << 16 >> 16)] })
  else {
    a.push(which).push(offset)
    if (operandSize === 2) a.op('mov', 'rm imm', { operandSize: 2, rm: { base: ESP, displacement: 2 }, immediates: [BigInt(which << 16 >> 16)] })
    a.op(name, 'mem', { operandSize, rm: { base: ESP } })
  }
  a.int(END)
  return `${name}${operandSize * 8} ${which.toString(16)}:${offset.toString(16)} at ${level}`
}

/** A task that has everything right, or one or two things wrong. */
function otherTask(random: Random, a: Assembler): void {
  const level = random.below(4)
  const code = codeOf[level] ?? 0
  const data = dataOf[level] ?? 0
  const fields: Record<number, number> = {
    0: random.of([0, selector.tss]), 28: 0, 32: at.pads + 2 * random.below(8), 36: random.of([2, 0x202, 0x3002, 0x4002, 2]), 40: 0x1001, 44: 0x1002, 48: 0x1003, 52: 0x1004,
    56: at.stacks + level * 0x1000, 60: 0x1006, 64: 0x1007, 68: 0x1008, 72: data, 76: code, 80: data, 84: data, 88: 0, 92: 0, 96: random.of([0, selector.ldt]), 100: 0x68 << 16,
  }
  if (random.below(2) === 0) fields[random.of([72, 84, 88, 92, 96])] = anySelector(random)
  // What faults before there is a stack is left to #TS, which has a task of its own.
  if (random.below(4) === 0) fields[random.of([76, 80])] = random.of([0, 3, selector.data0, selector.data3, selector.code3, selector.code1, selector.code2 ^ 1, selector.tss, 0x3f8])
  for (const [offset, value] of Object.entries(fields)) a.storeNumber(at.otherTss + Number(offset), value)
}

const returns: Writer = (random, a) => {
  subjects(random, a)
  if (random.below(2) === 0) words(a, subjectAt, codeSegment(random))
  words(a, at.gdt + selector.third, random.below(3) === 0 ? anySegment(random) : descriptor(0, 0xf_ffff, 0x92 | random.below(4) << 5, 12))
  otherTask(random, a)
  const level = random.below(4)
  const interrupt = random.below(2) === 0
  const nested = interrupt && random.below(6) === 0
  if (nested) a.storeNumber(at.tss, random.of([selector.otherTss, selector.subject, anySelector(random)]))
  if (nested) a.storeNumber(at.gdt + selector.otherTss + 4, descriptor(at.otherTss, 0x67, 0x8b, 0)[1])
  toLevel(a, level, (nested ? 0x4002 : 2) | random.of([0, 0x3000, 0x1000]))
  const target = random.below(4) === 0 ? anySelector(random) : selector.subject | random.of([level, random.below(4), 3])
  const stack = random.below(3) === 0 ? anySelector(random) : random.below(2) === 0 ? selector.third | target & 3 : dataOf[target & 3] ?? 0
  // QEMU does not look at the limit here.
  const offset = random.of([0, 2, 0x10, 0x1e])
  const flags = random.bits32() & 0x0024_7ed5 & ~0x0100 | 2
  const narrow = random.below(4) === 0
  const sp = at.stacks + (target & 3) * 0x1000 - 0x100
  const values = interrupt ? [stack, sp, flags, target, offset] : [stack, sp, target, offset]
  for (const value of values) {
    if (narrow) a.op('push', 'imm', { operandSize: 2, immediates: [BigInt(value << 16 >> 16)] })
    else a.push(value)
  }
  if (interrupt) a.op('iret', '', { operandSize: narrow ? 2 : 4 })
  else a.op('retf', '', { operandSize: narrow ? 2 : 4 })
  a.int(END)
  return `${interrupt ? 'iret' : 'retf'}${narrow ? 16 : 32} to ${target.toString(16)}:${offset.toString(16)} stack ${stack.toString(16)} flags ${flags.toString(16)} at ${level}${nested ? ' nested' : ''}`
}

const interrupts: Writer = (random, a) => {
  subjects(random, a)
  otherTask(random, a)
  const level = random.below(4)
  const vector = random.of([0x41, 3, 4, 6, 13, 0x30])
  const access = random.of([5, 6, 7, 14, 15, 14, 15, random.below(32)]) | random.of([0, level, 3, random.below(4)]) << 5 | (random.below(8) === 0 ? 0 : 0x80)
  const target = (access & 31) === 5 ? random.of([selector.otherTss, selector.otherTss, globalSelector(random)]) : random.of([selector.second, codeOf[random.below(level + 1)] ?? 0, anySelector(random)])
  const flat = codeOf.includes(target)
  words(a, at.idt + vector * 8, gate(target, (flat && (access & 8) !== 0 ? at.pads : 0) + 2 * random.below(16), access))
  toLevel(a, level, random.of([2, 0x302 & ~0x100, 0x3202]))
  if (vector === 3) a.op('int3')
  else if (vector === 6) a.op('ud2')
  else if (vector === 13) a.set(EAX, 0xfff8).segment(DS, EAX)
  else a.int(random.below(8) === 0 ? 0x4f + random.below(16) : vector)
  a.int(END)
  return `int ${vector.toString(16)} access ${access.toString(16)} target ${target.toString(16)} at ${level}`
}

const privileges: Writer = (random, a) => {
  const level = random.below(4)
  toLevel(a, level, random.of([2, 0x202, 0x3202, 0x1202, 0x2002]))
  a.set(EAX, 0x11).set(EDX, random.of([0x10, 0x40, 0x3f, 0x44, 0x60, 0x90]))
  const memory = { rm: { displacement: at.pointers } }
  const choices: readonly (readonly [string, () => void])[] = [
    ['cli', () => a.op('cli')], ['sti', () => a.op('sti')], ['clts', () => a.op('clts')],
    ['lgdt', () => a.op('lgdt', 'mem', memory)], ['mov cr0', () => a.op('mov', 'control rmreg', { reg: 0, rm: EAX })], ['mov from cr0', () => a.op('mov', 'rmreg control', { reg: 0, rm: ESI })],
    ['mov cr3', () => a.op('mov', 'control rmreg', { reg: 3, rm: EAX })], // At outer levels it is #GP in QEMU.
    ['mov cr1', () => a.op('mov', 'rmreg control', { reg: level === 0 ? 1 : 0, rm: ESI })],
    ['smsw', () => a.op('smsw', 'rm', { rm: EBX })], ['sldt', () => a.op('sldt', 'rm', { rm: EBX })], ['str', () => a.op('str', 'rm', { rm: EBX })],
    ['lmsw', () => a.op('lmsw', 'rm', { rm: EAX })], ['out', () => a.op('out', 'fixed fixed', { })], ['out32', () => a.raw(0xef)], ['out16', () => a.raw(0x66, 0xef)], ['outs', () => a.set(ESI, at.pads).raw(0x6e)],
    ['popf', () => a.push(random.bits32() & 0x24_7ed5 & ~0x100).op('popf')], ['pushf', () => a.op('pushf')], ['invlpg', () => a.op('invlpg', 'mem', memory)], ['wbinvd', () => a.op('wbinvd')],
    ['into', () => a.set(EAX, 0x7fff_ffff).op('inc', 'opreg', { rm: EAX }).op('into')], ['rdmsr', () => a.set(ECX, 0x174).op('rdmsr')],
  ]
  const [name, write] = random.of(choices)
  write()
  a.int(END)
  return `${name} at ${level}`
}

const virtual: Writer = (random, a) => {
  subjects(random, a)
  const iopl = random.of([0, 3, 3])
  if (random.below(3) === 0) a.storeNumber(at.idt + 0x30 * 8 + 4, gate(0, 0, random.of([0x8e, 0xee, 0xef]))[1] | (at.image & 0xffff_0000))
  // To levels 1 and 2 it is #GP (SDM volume 2, INT n), and not in QEMU.
  if (random.below(3) === 0) words(a, at.idt + 0x30 * 8, gate(random.of([selector.code0, selector.code3]), at.pads + 2 * random.below(16), random.of([0x8e, 0xee, 0xef])))
  const paragraph = at.low >> 4
  // GS, FS, DS, ES, SS, SP, EFLAGS, CS, IP.
  for (const value of [0x1234, 0x2345, paragraph, 0x3456, paragraph, 0x1ff0, 0x2_0002 | iopl << 12 | random.of([0, 0x200, 0x4000, 0x8_0000]), paragraph, 0x1000]) a.push(value)
  const low = new Assembler(at.low + 0x1000, 16)
  const choices: readonly (readonly [string, () => void])[] = [
    ['cli', () => low.op('cli')], ['sti', () => low.op('sti')], ['pushf', () => low.op('pushf')], ['popf', () => low.raw(0x68, 0xd5, 0x7e).op('popf')], ['pushfd', () => low.raw(0x66, 0x9c)],
    ['int', () => low.int(0x30)], ['int3', () => low.op('int3')], ['iret', () => low.raw(0x68, 0x02, 0x02, 0x68, paragraph & 255, paragraph >> 8, 0x68, 0, 0).op('iret')],
    ['jmp far', () => low.raw(0xea, 0x10, 0, paragraph & 255, paragraph >> 8)], ['call far', () => low.raw(0x9a, 0x10, 0, paragraph & 255, paragraph >> 8)],
    ['mov ds', () => low.raw(0xb8, 0x21, 0x43, 0x8e, 0xd8)], ['mov ss', () => low.raw(0xb8, paragraph & 255, paragraph >> 8, 0x8e, 0xd0)], ['pop gs', () => low.raw(0x68, 0x77, 0x66, 0x0f, 0xa9)],
    ['hlt', () => low.op('hlt')], ['lar', () => low.raw(0x0f, 0x02, 0xc0)], ['mov cr0', () => low.raw(0x0f, 0x20, 0xc0)], ['out', () => low.raw(0xe6, random.of([0x10, 0x44, 0x50]))],
    ['retf', () => low.raw(0x68, paragraph & 255, paragraph >> 8, 0x68, 0x20, 0).op('retf')], ['sldt', () => low.raw(0x0f, 0, 0xc0)], ['ud2', () => low.op('ud2')],
  ]
  const [name, write] = random.of(choices)
  write()
  low.raw(0xcd, END)
  putLow(a, at.low + 0x1000, low.bytes)
  a.op('iret')
  return `virtual-8086 ${name} iopl ${iopl}`
}

/** The page of cases by a linear address that two levels, PAE and four levels have a large page for. */
const PAGE = 0x40_0000 + at.page
const INDEX = at.page >> 12 & 511

/** An access by two levels or PAE, with entries of which something may be amiss. */
const paging: Writer = (random, a) => {
  const pae = random.below(2) === 0
  const user = random.below(2) === 0
  const large = random.below(3) === 0
  const rights = (): number => random.of([7, 7, 3, 5, 1, 0, 7]) | random.of([0, 0x20, 0x60, 0x100])
  const high = (): number => random.of([0, 0, 0, 0x8000_0000, 0x8000_0000, random.below(16) === 0 ? 1 << random.below(20) + 11 : 0])
  const [directory, table] = pae ? [at.directory3, at.table3] : [at.directory, at.table]
  // A large page is the memory at zero; what is reserved in its address sometimes is set.
  const first = large ? rights() | 0x80 | (random.below(4) === 0 ? random.of(pae ? [1 << 13, 1 << 20] : [1 << 21]) : 0) : table | rights()
  if (pae) a.storeNumber(directory + 16, first).storeNumber(directory + 20, high())
  else a.storeNumber(directory + 4, first)
  for (const n of [0, 1]) {
    const entry = at.page + 0x1000 * n | rights()
    if (pae) a.storeNumber(table + 8 * (INDEX + n), entry).storeNumber(table + 8 * (INDEX + n) + 4, high())
    else a.storeNumber(table + 4 * (INDEX + n), entry)
  }
  // The identity is the supervisor's when SMEP or SMAP may be on.
  a.storeNumber(at.directory, at.identity | (user ? 7 : 3))
  a.storeNumber(at.directory3, user ? 0x87 : 0x83).storeNumber(at.directory3 + 8, user ? 0x20_0087 : 0x20_0083)
  for (const offset of [0, 0x800, 0xffc, 0x1000]) a.storeNumber(at.page + offset, 0x40cd_40cd)
  // Without PSE a large page of two levels would be a table at zero.
  const cr4 = (pae ? 1 << 5 : 0) | (large ? 1 << 4 : random.of([0, 1 << 4])) | (user ? 0 : random.of([0, 1 << 20, 1 << 21, 3 << 20])) | random.of([0, 1 << 7])
  a.set(EAX, cr4).op('mov', 'control rmreg', { reg: 4, rm: EAX })
  if (random.below(2) === 0) a.set(ECX, 0xc000_0080).set(EAX, 0x800).set(EDX, 0).op('wrmsr')
  a.set(EAX, pae ? at.pointers3 : at.directory).op('mov', 'control rmreg', { reg: 3, rm: EAX })
  a.set(EAX, random.of([0x8000_0011, 0x8001_0011]) | 0).op('mov', 'control rmreg', { reg: 0, rm: EAX })
  toLevel(a, user ? 3 : 0, random.of([2, 2, 0x4_0002]))
  const offset = random.of([0, 0x800, 0xffc, 0xffe, 0xfff])
  const what = random.of(['read', 'write', 'change', 'execute', 'push'])
  const place = { rm: { displacement: PAGE + offset } }
  if (what === 'read') a.op('mov', 'reg rm', { reg: EBX, ...place })
  else if (what === 'write') a.op('mov', 'rm reg', { reg: EBX, ...place })
  else if (what === 'change') a.op('xchg', 'rm reg', { reg: EBX, ...place })
  else if (what === 'execute') a.jump(PAGE + (offset & ~1))
  else a.op('push', 'rm', place)
  a.int(END)
  return `${what} at ${offset.toString(16)}, ${pae ? 'PAE' : 'two levels'}, ${large ? 'large' : 'small'}, entry ${first.toString(16)}, CR4 ${cr4.toString(16)}, ${user ? 'user' : 'supervisor'}`
}

const families: Readonly<Record<Family, Writer>> = { loads, looks, tables, transfers, returns, interrupts, privileges, virtual, real, paging }
export type Family = 'loads' | 'looks' | 'tables' | 'transfers' | 'returns' | 'interrupts' | 'privileges' | 'virtual' | 'real' | 'paging'
export const familyNames: readonly Family[] = Object.keys(families) as Family[]

/** So many random cases of a family. */
export function randomCases(random: Random, family: Family, count: number): Case[] {
  let place: number = at.cases
  return Array.from({ length: count }, () => {
    const a = new Assembler(place)
    const name = families[family](random, a)
    place = a.here
    return { name, code: a.bytes }
  })
}
