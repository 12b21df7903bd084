import { describe, expect, test } from 'vitest'
import { Assembler, EAX, EBX, ECX, EDX, ESP, SS } from '../test/machine/assembler.ts'
import { descriptor, gate } from '../test/machine/layout.ts'
import { place, select, SmallSystem, toUser } from '../test/system/machine.ts'
import { Vector } from './index.ts'

const { generalProtection, invalidTss, stackSegment } = Vector
const [PE, MP, EM, TS, NE, WP, AM, NW, CD, PG] = [1, 2, 4, 8, 0x20, 0x1_0000, 0x4_0000, 0x2000_0000, 0x4000_0000, 0x8000_0000]
const [PAE, PGE, LA57, FSGSBASE, PCIDE] = [0x20, 0x80, 0x1000, 0x1_0000, 0x2_0000]
const NOT_CANONICAL = 0x8000_0000_0000n
const HIGHEST = 0xffff_8000_0000_0000n

const control = (a: Assembler, number: number, value: number): Assembler => a.set(EAX, value).op('mov', 'control rmreg', { reg: number, rm: EAX })
const wide = (a: Assembler, register: number, value: bigint): Assembler => a.op('mov', 'opreg imm', { rm: register, operandSize: 8, immediates: [BigInt.asIntN(64, value)] })

/** The vector and error code of the first exception in so many steps, or −1. */
function raised(small: SmallSystem, steps = 12): readonly [vector: number, error: number] {
  for (let i = 0; i < steps; i++) {
    const step = small.cpu.step()
    if (step.kind === 'exception') return [step.vector, step.error]
  }
  return [-1, 0]
}
const GP = [generalProtection, 0]
const NONE = [-1, 0]
const of = (mode: 32 | 64, write: (a: Assembler) => unknown): readonly [number, number] => raised(new SmallSystem(mode).code((a) => {
  write(a)
  return a.raw(...new Array<number>(16).fill(0x90))
}))

// SDM volume 2, MOV to control registers; volume 3, 2.5 and 5.1.2.
describe('CR0', () => {
  const now64 = PE | 0x10 | PG

  test('has no paging without protection, and no NW without CD', () => {
    expect([PG, PE | NW, PE | NW | CD, PE | CD, PE | MP | EM | TS | NE | WP | AM].map((value) => of(32, (a) => control(a, 0, value | 0)))).toEqual([GP, GP, NONE, NONE, NONE])
  })

  test('has paging in 64-bit mode, and 32 bits', () => {
    expect(of(64, (a) => control(a, 0, PE))).toEqual(GP)
    expect(of(64, (a) => wide(a, EAX, BigInt(now64 >>> 0) | 1n << 32n).op('mov', 'control rmreg', { reg: 0, rm: EAX }))).toEqual(GP)
    expect(of(64, (a) => wide(a, EAX, BigInt((now64 | TS) >>> 0)).op('mov', 'control rmreg', { reg: 0, rm: EAX }))).toEqual(NONE)
  })

  test('has no paging with LME and without PAE', () => {
    const efer = (a: Assembler): Assembler => a.set(ECX, 0xc000_0080).set(EAX, 0x100).set(EDX, 0).op('wrmsr')
    expect(of(32, (a) => control(efer(a), 0, (PE | PG) | 0))).toEqual(GP)
  })
})

describe('CR4', () => {
  test('keeps PAE and LA57 in long mode, and has no bits that there are not', () => {
    expect([0, PGE, PAE | LA57, PAE | 1 << 24].map((value) => of(64, (a) => control(a, 4, value)))).toEqual([GP, GP, GP, GP])
    expect(of(64, (a) => control(a, 4, PAE | PGE))).toEqual(NONE)
  })

  test('gets PCIDE in long mode alone, with PCID 0', () => {
    expect(of(32, (a) => control(a, 4, PAE | PCIDE))).toEqual(GP)
    expect(of(64, (a) => control(a, 4, PAE | PCIDE))).toEqual(NONE)
    expect(of(64, (a) => control(control(a, 3, place.paging | 1), 4, PAE | PCIDE))).toEqual(GP)
  })
})

test('CR8 has four bits', () => {
  expect([0xf, 0x10].map((value) => of(64, (a) => control(a, 8, value)))).toEqual([NONE, GP])
})

// SDM volume 2, WRMSR, SWAPGS, WRFSBASE; volume 1, 3.3.7.1.
describe('a base', () => {
  const bases = [0xc000_0100, 0xc000_0101, 0xc000_0102, 0xc000_0082, 0x175, 0x176]
  test('is canonical in MSRs', () => {
    for (const msr of bases) {
      const write = (value: bigint): readonly [number, number] => of(64, (a) => a.set(ECX, msr | 0).set(EAX, Number(value & 0xffff_ffffn) | 0).set(EDX, Number(value >> 32n) | 0).op('wrmsr'))
      expect([NOT_CANONICAL, HIGHEST - 1n, HIGHEST, NOT_CANONICAL - 1n].map(write), msr.toString(16)).toEqual([GP, GP, NONE, NONE])
    }
  })

  test('is canonical in WRFSBASE, which CR4.FSGSBASE lets be', () => {
    const write = (value: bigint, cr4 = PAE | FSGSBASE): readonly [number, number] => of(64, (a) => wide(control(a, 4, cr4), EBX, value).raw(0xf3, 0x48, 0x0f, 0xae, 0xd3))
    expect([write(HIGHEST), write(NOT_CANONICAL), write(HIGHEST, PAE)]).toEqual([NONE, GP, [Vector.invalidOpcode, 0]])
  })
})

// SDM volume 2, RET, IRET, SYSRET, JMP.
describe('a way to no canonical address', () => {
  test('is #GP before anything has changed, with RET, IRET, SYSRET and JMP', () => {
    const ways: readonly ((a: Assembler) => unknown)[] = [
      (a) => wide(a, EAX, NOT_CANONICAL).op('push', 'opreg', { rm: EAX }).op('ret'),
      (a) => wide(a, EAX, NOT_CANONICAL).op('jmp', 'rm', { rm: EAX }),
      (a) => wide(a.push(select.data).push(place.stack).push(2).push(select.code), EAX, NOT_CANONICAL).op('push', 'opreg', { rm: EAX }).op('iret', '', { operandSize: 8 }),
      (a) => wide(a.set(ECX, 0xc000_0080).set(EAX, 0x901).set(EDX, 0).op('wrmsr'), ECX, NOT_CANONICAL).op('sysret', '', { operandSize: 8 }),
    ]
    for (const way of ways) {
      const small = new SmallSystem(64).code(way)
      expect(raised(small)).toEqual(GP)
      expect([small.cpu.rip < NOT_CANONICAL, small.cpu.privilege]).toEqual([true, 0])
    }
  })

  test('is #SS of a stack', () => {
    expect(of(64, (a) => wide(a, ESP, NOT_CANONICAL + 4n).op('push', 'opreg', { rm: EAX }))).toEqual([stackSegment, 0])
    expect(of(64, (a) => wide(a, ESP, NOT_CANONICAL - 4n).op('pop', 'opreg', { rm: EAX }))).toEqual([stackSegment, 0])
  })
})

// SDM volume 3, 6.8; volume 2, RET, IRET and INT n: QEMU looks at no limit there.
describe('the limit of the code segment that is gone to', () => {
  const short = descriptor(0, place.code + 0xff, 0x9b, 4)
  const beyond = place.code + 0x100
  const system = (write: (a: Assembler) => unknown): SmallSystem => {
    const small = new SmallSystem(32)
    small.describe(select.free, short)
    return small.code(write)
  }
  test('holds for RET, IRET and far JMP', () => {
    expect(raised(system((a) => a.push(select.free).push(beyond).op('retf')))).toEqual(GP)
    expect(raised(system((a) => a.push(2).push(select.free).push(beyond).op('iret')))).toEqual(GP)
    expect(raised(system((a) => a.op('jmp', 'imm imm', { immediates: [BigInt(beyond), BigInt(select.free)] })))).toEqual(GP)
    expect(raised(system((a) => a.push(select.free).push(beyond - 1).op('retf')), 3)).toEqual(NONE)
  })

  test('holds for handlers, by #GP with EXT as the event has it', () => {
    const small = system((a) => a.int(0x30))
    small.gate(0x30, beyond, 0xee, select.free)
    small.step()
    expect([small.vector, small.word(Number(small.cpu.register(ESP)))]).toEqual([generalProtection, 0])
    const outside = system((a) => a.raw(0x90))
    outside.gate(0x30, beyond, 0xee, select.free)
    outside.cpu.deliver({ vector: 0x30, cause: 'external' })
    expect([outside.vector, outside.word(Number(outside.cpu.register(ESP)))]).toEqual([generalProtection, 1])
  })
})

// SDM volume 2, LTR and MOV; volume 3, 5.2.1 and 6.8.3.
describe('selectors and descriptors that long mode looks at', () => {
  test('LTR takes no null selector', () => {
    for (const mode of [32, 64] as const) expect(of(mode, (a) => a.set(EAX, 0).op('ltr', 'rm', { rm: EAX }))).toEqual(GP)
  })

  // SDM volume 3, figure 8-4 and 6.8.3.1.
  test('LTR, LLDT and a call gate have no type in their second half', () => {
    for (const [access, use] of [[0x89, (a: Assembler) => a.set(EAX, select.free).op('ltr', 'rm', { rm: EAX })], [0x82, (a: Assembler) => a.set(EAX, select.free).op('lldt', 'rm', { rm: EAX })], [0x8c, (a: Assembler) => a.push(select.free).push(0).op('call', 'mem', { operandSize: 8, rm: { base: ESP } })]] as const) {
      for (const type of [0, 0x100, 0x1000]) {
        const small = new SmallSystem(64)
        small.describe(select.free, access === 0x8c ? gate(select.code, place.code + 0x100, access) : descriptor(place.other, 0x67, access, 0))
        small.words(place.gdt + select.free + 8, 0, type)
        small.cpu.memory.fill(0x90, place.code + 0x100, place.code + 0x120)
        expect(raised(small.code((a) => use(a).raw(0x90, 0x90)), 5), `${access.toString(16)} ${type}`).toEqual(type === 0 ? NONE : [generalProtection, select.free])
      }
    }
  })

  test('code has not both L and D', () => {
    const small = new SmallSystem(64)
    small.describe(select.free, descriptor(0, 0xf_ffff, 0x9b, 14))
    small.code((a) => a.push(select.free).push(place.code + 0x100).op('retf', '', { operandSize: 8 }))
    expect(raised(small)).toEqual([generalProtection, select.free])
  })

  test('SS may be null at levels 0 to 2, with that level as its RPL', () => {
    expect([0, 1, 3].map((selector) => of(64, (a) => a.set(EAX, selector).segment(SS, EAX)))).toEqual([NONE, GP, GP])
    const user = new SmallSystem(64)
    user.cpu.memory.set(new Assembler(place.code + 0x100, 64).set(EAX, 3).segment(SS, EAX).bytes, place.code + 0x100)
    user.code((a) => toUser(a, place.code + 0x100))
    expect(raised(user)).toEqual(GP)
    expect(of(32, (a) => a.set(EAX, 0).segment(SS, EAX))).toEqual(GP)
  })

  test('a stack beyond the TSS is #TS with the TSS\'s selector', () => {
    for (const mode of [32, 64] as const) {
      const small = new SmallSystem(mode)
      small.describe(select.other, descriptor(place.other, 8, 0x89, 0))
      if (mode === 64) small.words(place.gdt + select.other + 8, 0, 0)
      small.cpu.memory.set(new Assembler(place.code + 0x100, mode).int(0x30).bytes, place.code + 0x100)
      small.code((a) => toUser(a.set(EAX, select.other).op('ltr', 'rm', { rm: EAX }), place.code + 0x100))
      // A handler at the program's level needs no other stack.
      small.gate(invalidTss, small.handler(invalidTss), 0xee, select.user)
      small.until(place.code + 0x100)
      small.step()
      expect([small.vector, small.word(Number(small.cpu.register(ESP)))]).toEqual([invalidTss, select.other])
    }
  })
})
