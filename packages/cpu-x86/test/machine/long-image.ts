import { Assembler, DS, EAX, EBX, ECX, EDI, EDX, ES, ESI, ESP, FS, GS, SS } from './assembler.ts'
import { type Case, END, finish, Memory, pads, pageTables } from './image.ts'
import { at, descriptor } from './layout.ts'

/** Selectors of 64-bit mode; SYSCALL's are in its order. */
export const long = {
  code32: 0x08, data0: 0x10, code0: 0x98, kernelCode: 0xb0, kernelData: 0xb8, user32: 0xc3, userData: 0xcb, user64: 0xd3, tss: 0xe0, ldt: 0xf0,
  subject: 0x180, second: 0x190, third: 0x1a0,
} as const

const VECTORS = 0x50
/** 32-bit words of a record: 44 pushed numbers of 64 bits and 8 beyond, an outer stack, descriptors and entries of page tables. */
export const LONG_RECORD: number = 2 * 50 + 16 + 8 + 8
const MSRS = [0xc000_0100, 0xc000_0101, 0xc000_0102, 0xc000_0080]
const INDEX = at.page >> 12 & 511

export function longGate(target: number, offset: number, access: number, ist = 0): number[] {
  return [(target << 16 | offset & 0xffff) >>> 0, ((offset & 0xffff_0000) | access << 8 | ist) >>> 0, 0, 0]
}

/** As the image of 32 bits, for cases in 64-bit mode at CPL 0. */
export function buildLongImage(cases: readonly Case[]): Uint8Array {
  const memory = new Memory(at.image, 0x10_0000)
  const gdt = new Array<number>(128).fill(0)
  const set = (which: number, ...words: number[]): void => words.forEach((word, i) => (gdt[(which >> 3) * 2 + i] = word))
  set(long.code32, ...descriptor(0, 0xf_ffff, 0x9b, 12))
  set(long.data0, ...descriptor(0, 0xf_ffff, 0x93, 12))
  for (const code of [long.code0, long.kernelCode]) set(code, ...descriptor(0, 0xf_ffff, 0x9b, 10))
  set(long.kernelData, ...descriptor(0, 0xf_ffff, 0x93, 12))
  set(long.user32, ...descriptor(0, 0xf_ffff, 0xfb, 12))
  set(long.userData, ...descriptor(0, 0xf_ffff, 0xf3, 12))
  set(long.user64, ...descriptor(0, 0xf_ffff, 0xfb, 10))
  set(long.tss, ...descriptor(at.tss, 0x67, 0x89, 0), 0, 0)
  set(long.ldt, ...descriptor(at.ldt, 0x7f, 0x82, 0), 0, 0)
  memory.words(at.gdt, gdt)
  // RSP0 to RSP2, and IST1 to IST7, of which one is not canonical.
  const stack = (n: number): number[] => [at.stacks + 0x1000 * n, 0]
  memory.words(at.tss, [0, ...stack(0), ...stack(1), ...stack(2), 0, 0, ...stack(4), ...stack(5), 0, 0x8000_0000, ...stack(6), ...stack(6), ...stack(6), ...stack(6), 0, 0, 0x68 << 16])
  memory.put(at.pristine, memory.contents.slice(at.tables - at.image, at.tablesEnd - at.image))
  memory.words(at.image, [0x1bad_b002, 0x1_0000, -(0x1bad_b002 + 0x1_0000), at.image, at.image, 0, 0, at.image + 0x40])

  const stubs = new Assembler(at.image + 0x400, 64)
  const common = at.image + 0x900
  const idt: number[] = []
  for (let vector = 0; vector < VECTORS; vector++) {
    idt.push(...longGate(long.code0, stubs.here, vector === END ? 0xee : 0x8e))
    if (![8, 10, 11, 12, 13, 14, 17].includes(vector)) stubs.push(0)
    stubs.push(vector).jump(common)
  }
  memory.put(at.image + 0x400, stubs.bytes)
  memory.words(at.idt, idt)
  memory.words(at.idtPristine, idt)
  memory.words(at.pointers, [0x1ff | at.gdt << 16, at.gdt >>> 16, 0])
  memory.words(at.pointers + 0x10, [VECTORS * 16 - 1 | at.idt << 16, at.idt >>> 16, 0])
  const logAt = at.pointers + 0x20
  const caseAt = at.pointers + 0x28
  const list = at.pointers + 0x100
  const copy = (a: Assembler, from: number, words: number): void => void a.set(ESI, from).set(ECX, words).raw(0xf3, 0xa5)

  const a = new Assembler(common, 64)
  for (let register = 15; register >= 0; register--) a.op('push', 'opreg', { rm: register })
  for (const segment of [DS, ES, FS, GS, SS]) a.op('mov', 'rm sreg', { reg: segment, rm: EAX }).op('push', 'opreg', { rm: EAX })
  for (const name of ['str', 'sldt']) a.op(name, 'rm', { rm: EAX }).op('push', 'opreg', { rm: EAX })
  for (const control of [0, 2, 3, 4]) a.op('mov', 'rmreg control', { reg: control, rm: EAX }).op('push', 'opreg', { rm: EAX })
  for (const msr of MSRS) a.set(ECX, msr).op('rdmsr').op('push', 'opreg', { rm: EAX }).op('push', 'opreg', { rm: EDX })
  a.op('cld').load(EDI, logAt).op('mov', 'rm reg', { rm: ESI, reg: ESP, operandSize: 8 }).set(ECX, 2 * 50).raw(0xf3, 0xa5)
  a.op('mov', 'reg rm', { reg: ESI, operandSize: 4, rm: { base: ESP, displacement: 8 * (16 + 5 + 2 + 4 + 8 + 5) } })
  a.op('and', 'rm imm', { rm: ESI, immediates: [0x7fffn] }).op('or', 'rm imm', { rm: ESI, immediates: [BigInt(at.stacks & ~0x7fff)] }).set(ECX, 16).raw(0xf3, 0xa5)
  copy(a, at.gdt + long.subject, 4)
  copy(a, at.gdt + long.second, 2)
  copy(a, at.gdt + long.tss, 2)
  for (const entry of [at.directory3 + 16, at.table3 + 8 * INDEX, at.level4 + 8, at.pointers4 + 8]) copy(a, entry, 2)
  a.store(logAt, EDI)
  const reset = a.here
  a.set(EAX, 0x20).op('mov', 'control rmreg', { reg: 4, rm: EAX })
  a.set(EAX, at.level4).op('mov', 'control rmreg', { reg: 3, rm: EAX }).set(EAX, 0x8000_0011).op('mov', 'control rmreg', { reg: 0, rm: EAX })
  a.set(EAX, 0).op('mov', 'control rmreg', { reg: 2, rm: EAX })
  a.set(EDI, at.tables)
  copy(a, at.pristine, (at.tablesEnd - at.tables) / 4)
  a.set(EDI, at.idt)
  copy(a, at.idtPristine, VECTORS * 4)
  a.op('lgdt', 'mem', { rm: { displacement: at.pointers } }).op('lidt', 'mem', { rm: { displacement: at.pointers + 0x10 } })
  a.set(EAX, long.data0)
  for (const segment of [DS, ES, SS, FS, GS]) a.segment(segment, EAX)
  for (const msr of MSRS) a.set(ECX, msr).set(EAX, msr === 0xc000_0080 ? 0x901 : 0).set(EDX, 0).op('wrmsr')
  a.set(ESP, at.stacks).push(2).op('popf')
  a.set(EAX, long.ldt).op('lldt', 'rm', { rm: EAX }).set(EAX, long.tss).op('ltr', 'rm', { rm: EAX })
  a.load(EBX, caseAt).op('add', 'rm imm', { rm: { displacement: caseAt }, immediates: [4n] }).op('mov', 'reg rm', { reg: EBX, rm: { base: EBX } })
  a.op('push', 'opreg', { rm: EBX })
  for (let register = 0; register < 16; register++) if (register !== ESP) a.set(register, 0)
  a.op('ret')
  memory.put(common, a.bytes)
  if (a.here > at.tables) throw new RangeError('the handler is too long')

  const start = new Assembler(at.image + 0x40)
  start.storeNumber(logAt, at.log).storeNumber(caseAt, list).set(EAX, 0xff).raw(0xe6, 0x21, 0xe6, 0xa1)
  start.op('lgdt', 'mem', { rm: { displacement: at.pointers } }).set(ESI, at.pads).set(EDI, 0).set(ECX, 0x400).raw(0xf3, 0xa5)
  start.set(EAX, 0x20).op('mov', 'control rmreg', { reg: 4, rm: EAX }).set(EAX, at.level4).op('mov', 'control rmreg', { reg: 3, rm: EAX })
  start.set(ECX, 0xc000_0080).set(EAX, 0x901).set(EDX, 0).op('wrmsr').set(EAX, 0x8000_0011).op('mov', 'control rmreg', { reg: 0, rm: EAX })
  start.op('jmp', 'imm imm', { immediates: [BigInt(reset), BigInt(long.code0)] })
  memory.put(at.image + 0x40, start.bytes)
  pageTables(memory)
  pads(memory)
  finish(memory, cases, { list, logAt, mode: 64 })
  return memory.contents
}
