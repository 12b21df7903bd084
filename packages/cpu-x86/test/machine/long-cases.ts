import type { Random } from '../host/random.ts'
import { Assembler, DS, EAX, EBX, ECX, EDX, ES, ESP, FS, GS } from './assembler.ts'
import { type Case, END } from './image.ts'
import { at, descriptor } from './layout.ts'
import { long, longGate } from './long-image.ts'
import { registers } from './long-registers.ts'

type Writer = (random: Random, a: Assembler) => string

const subjectAt = at.gdt + long.subject
const secondAt = at.gdt + long.second
const PAGE = 0x40_0000 + at.page
const INDEX = at.page >> 12 & 511

const words = (a: Assembler, address: number, values: readonly number[]): void => values.forEach((value, i) => void a.storeNumber(address + 4 * i, value))
/** A number of 64 bits in a register. */
const wide = (a: Assembler, register: number, value: bigint): void => void a.op('mov', 'opreg imm', { rm: register, operandSize: 8, immediates: [BigInt.asIntN(64, value)] })

/** Code of 64 bits, or of 32 in compatibility mode. */
function codeSegment(random: Random): readonly [number, number] {
  // Without a limit that matters: QEMU looks at it for code of 64 bits as well.
  return descriptor(0, 0xf_ffff, random.of([0x9a, 0x9b, 0x9e, 0x98, 0x92]) ^ (random.below(8) === 0 ? 0x80 : 0) | random.of([0, 3, random.below(4)]) << 5, random.of([10, 10, 10, 12]))
}
function anySelector(random: Random): number {
  return random.of([long.subject, long.subject, long.subject | 3, long.second, long.second | 3, 0, 3, long.data0, long.userData, long.user64, long.user32, long.tss, long.ldt, long.code0, 0x1f8, 0xfff8, 0xc, 0x84])
}
function toLevel3(a: Assembler, flags: number, cs: number = long.user64): void {
  a.set(EAX, long.userData)
  for (const register of [DS, ES, FS, GS]) a.segment(register, EAX)
  a.push(long.userData).push(at.stacks + 0x3000).push(flags).push(cs)
  a.set(EAX, a.here + 5 + 1 + 2).op('push', 'opreg', { rm: EAX }).op('iret', '', { operandSize: 8 })
}
function level(random: Random, a: Assembler, flags = 2): number {
  const outer = random.below(2) === 0
  if (outer) toLevel3(a, flags)
  else a.push(flags).op('popf')
  return outer ? 3 : 0
}
function subjects(random: Random, a: Assembler): void {
  const gate = random.below(2) === 0
  const access = random.of([12, 12, 12, 4, 5, 9, 11, 2, 14]) | random.of([0, 3, 3, random.below(4)]) << 5 | (random.below(8) === 0 ? 0 : 0x80)
  words(a, subjectAt, gate ? [...longGate(random.of([long.second, long.second | 3, anySelector(random)]), at.pads + 2 * random.below(16), access).slice(0, 2), random.below(16) === 0 ? 0x1_0000 : 0, random.below(16) === 0 ? 0x100 : 0] : [...codeSegment(random), 0, 0])
  words(a, secondAt, codeSegment(random))
}

const transfers: Writer = (random, a) => {
  subjects(random, a)
  const cpl = level(random, a)
  const which = anySelector(random)
  const size = random.of([4, 8, 4, 2] as const)
  const name = random.of(['jmp', 'call', 'call'])
  const offset = random.of([at.pads + 2 * random.below(8), 2 * random.below(8)])
  a.push(which).push(offset)
  if (size === 4) a.op('mov', 'rm imm', { operandSize: 2, rm: { base: ESP, displacement: 4 }, immediates: [BigInt(which << 16 >> 16)] })
  if (size === 2) a.op('mov', 'rm imm', { operandSize: 2, rm: { base: ESP, displacement: 2 }, immediates: [BigInt(which << 16 >> 16)] })
  a.op(name, 'mem', { operandSize: size, rm: { base: ESP } }).int(END)
  return `${name}${size * 8} ${which.toString(16)}:${offset.toString(16)} at ${cpl}`
}

const returns: Writer = (random, a) => {
  subjects(random, a)
  const cpl = level(random, a, 2 | random.of([0, 0x3000]))
  const which = random.below(2) === 0 ? random.of([long.user64, long.user32, long.code0, long.code32]) : anySelector(random)
  // QEMU lets a null SS have any RPL, and lets code of 32 bits have one.
  const any = random.of([long.userData, long.data0, 0, 3, long.userData, anySelector(random)])
  const stack = any >= 4 ? any : which === long.code0 ? 0 : long.userData
  const flat = [long.user64, long.user32, long.code0, long.code32].includes(which as never)
  const offset = flat || random.below(2) === 0 ? at.pads + 2 * random.below(8) : 2 * random.below(8)
  const size = random.of([8, 8, 4] as const)
  const interrupt = random.below(2) === 0
  const sp = at.stacks + 0x3000 - 0x100
  const values = interrupt ? [stack, sp, random.bits32() & 0x24_7cd5 | 2, which, offset] : [stack, sp, which, offset]
  for (const value of values) {
    if (size === 8) a.push(value)
    else a.op('lea', 'reg mem', { reg: ESP, operandSize: 8, rm: { base: ESP, displacement: -4 } }).op('mov', 'rm imm', { operandSize: 4, rm: { base: ESP }, immediates: [BigInt(value)] })
  }
  a.op(interrupt ? 'iret' : 'retf', '', { operandSize: size }).int(END)
  return `${interrupt ? 'iret' : 'retf'}${size * 8} to ${which.toString(16)}:${offset.toString(16)} stack ${stack.toString(16)} at ${cpl}`
}

const interrupts: Writer = (random, a) => {
  subjects(random, a)
  const vector = random.of([0x41, 3, 6, 13, 0x30])
  const access = random.of([14, 15, 14, 15, 5, 12, random.below(32)]) | random.of([0, 3, 3, random.below(4)]) << 5 | (random.below(8) === 0 ? 0 : 0x80)
  const target = random.of([long.second, long.code0, long.code0, anySelector(random)])
  const outer = random.below(2) === 0
  // Without a change of level IST leaves SS as it is (SDM volume 2, INT n); QEMU makes it null.
  words(a, at.idt + vector * 16, longGate(target, at.pads + 2 * random.below(16), access, outer && target === long.code0 ? random.of([0, 0, 1, 2, 3]) : 0))
  const flags = random.of([2, 0x202, 0x3202])
  const cpl = outer ? 3 : 0
  if (outer) toLevel3(a, flags)
  else a.push(flags).op('popf')
  if (random.below(3) === 0) a.op('lea', 'reg mem', { reg: ESP, operandSize: 8, rm: { base: ESP, displacement: -5 } })
  if (vector === 3) a.op('int3')
  else if (vector === 6) a.op('ud2')
  else if (vector === 13) a.set(EAX, 0xfff8).segment(DS, EAX)
  else a.int(random.below(8) === 0 ? 0x4e + random.below(4) : vector)
  a.int(END)
  return `int ${vector.toString(16)} access ${access.toString(16)} target ${target.toString(16)} at ${cpl}`
}

const kernels: Writer = (random, a) => {
  const msr = (number: number, low: number, high: number): void => void a.set(ECX, number).set(EAX, low).set(EDX, high).op('wrmsr')
  msr(0xc000_0081, 0, long.kernelCode | random.of([long.user32, long.user32, long.user32 & ~3]) << 16)
  msr(0xc000_0082, at.pads + 2 * random.below(8), 0)
  msr(0xc000_0084, random.bits32() & 0x24_7fd5, 0)
  msr(0x174, random.of([long.kernelCode, long.kernelCode | 3, 0]), 0)
  msr(0x175, at.stacks - 0x40, 0)
  msr(0x176, at.pads + 2 * random.below(8), 0)
  if (random.below(6) === 0) msr(0xc000_0080, 0x900, 0)
  const cpl = level(random, a, random.of([2, 0x202, 0x4_0002]))
  wide(a, 11, BigInt(random.bits32() & 0x24_7ed5 & ~0x100))
  wide(a, ECX, BigInt(at.pads + 2 * random.below(8)))
  wide(a, EDX, BigInt(at.pads + 2 * random.below(8)))
  const name = random.of(['syscall', 'sysret', 'sysret', 'sysenter', 'sysexit', 'sysexit'])
  const back = name === 'sysexit'
  // SYSEXIT takes RCX as the stack.
  if (back) wide(a, ECX, BigInt(at.stacks + 0x2f00))
  a.op(name, '', { operandSize: random.of([4, 8]) }).int(END)
  return `${name} at ${cpl}`
}

const paging: Writer = (random, a) => {
  const user = random.below(2) === 0
  const large = random.below(3) === 0
  const rights = (): number => random.of([7, 7, 3, 5, 1, 0, 7]) | random.of([0, 0x20, 0x60, 0x100])
  const high = (): number => random.of([0, 0, 0x8000_0000, random.below(12) === 0 ? 1 << random.below(20) + 11 : 0])
  words(a, at.directory3 + 16, [large ? rights() | 0x80 | (random.below(4) === 0 ? 1 << 13 + random.below(8) : 0) : at.table3 | rights(), high()])
  for (const n of [0, 1]) words(a, at.table3 + 8 * (INDEX + n), [at.page + 0x1000 * n | rights(), high()])
  const upper = random.below(3) === 0
  // Another way to the same directory, from an entry of each upper level.
  if (upper) words(a, at.level4 + 8, [at.pointers4 | rights() & ~0x100, high()])
  if (upper) words(a, at.pointers4, [at.directory3 | 7, 0])
  words(a, at.directory3, [user ? 0x87 : 0x83, 0, user ? 0x20_0087 : 0x20_0083, 0])
  for (const offset of [0, 0x800, 0xffc, 0x1000]) a.storeNumber(at.page + offset, 0x40cd_40cd)
  a.set(ECX, 0xc000_0080).set(EAX, random.of([0x901, 0x101])).set(EDX, 0).op('wrmsr')
  a.set(EAX, 0x20 | (user ? 0 : random.of([0, 1 << 20, 1 << 21, 3 << 20]))).op('mov', 'control rmreg', { reg: 4, rm: EAX })
  a.set(EAX, random.of([0x8000_0011, 0x8001_0011])).op('mov', 'control rmreg', { reg: 0, rm: EAX }).op('mov', 'rmreg control', { reg: 3, rm: EAX }).op('mov', 'control rmreg', { reg: 3, rm: EAX })
  const flags = random.of([2, 2, 0x4_0002])
  if (user) toLevel3(a, flags)
  else a.push(flags).op('popf')
  wide(a, EBX, BigInt(PAGE) + (upper ? 1n << 39n : 0n) + BigInt(random.of([0, 0x800, 0xff8, 0xffe])))
  const what = random.of(['read', 'write', 'change', 'execute', 'push'])
  const place = { rm: { base: EBX }, operandSize: 8 } as const
  if (what === 'read') a.op('mov', 'reg rm', { reg: EDX, ...place })
  else if (what === 'write') a.op('mov', 'rm reg', { reg: EDX, ...place })
  else if (what === 'change') a.op('xchg', 'rm reg', { reg: EDX, ...place })
  else if (what === 'execute') a.op('jmp', 'rm', { rm: EBX })
  else a.op('push', 'rm', { rm: { base: EBX } })
  a.int(END)
  return `${what}, ${upper ? 'upper' : 'lower'}, ${large ? 'large' : 'small'}, ${user ? 'user' : 'supervisor'}`
}

const ofRegisters: Writer = (random, a) => {
  const name = registers(random, a, () => level(random, a, random.of([2, 2, 0x3002])))
  a.int(END)
  return name
}

export type LongFamily = 'transfers' | 'returns' | 'interrupts' | 'kernels' | 'registers' | 'paging'
const families: Readonly<Record<LongFamily, Writer>> = { transfers, returns, interrupts, kernels, registers: ofRegisters, paging }
export const longFamilyNames: readonly LongFamily[] = Object.keys(families) as LongFamily[]

/** So many random cases of a family, in 64-bit mode. */
export function randomLongCases(random: Random, family: LongFamily, count: number): Case[] {
  let place: number = at.cases
  return Array.from({ length: count }, () => {
    const a = new Assembler(place, 64)
    const name = families[family](random, a)
    place = a.here
    return { name, code: a.bytes }
  })
}
