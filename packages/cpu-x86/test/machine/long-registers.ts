import type { Random } from '../host/random.ts'
import { type Assembler, DS, EAX, EBX, ECX, EDX, ES, FS, GS } from './assembler.ts'
import { at, selector } from './layout.ts'

/** Bits of CR0 and CR4 that come and go while 64-bit mode goes on, without SMEP and SMAP, since the pages of cases are the program's as well. */
const CR0_BITS = [2, 4, 8, 0x20, 0x1_0000, 0x4_0000]
const CR4_BITS = [4, 8, 0x10, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800, 0x1_0000]
const bases = [0xc000_0100, 0xc000_0101, 0xc000_0102]

const some = (random: Random, bits: readonly number[]): number => bits.reduce((mask, bit) => random.below(2) === 0 ? mask | bit : mask, 0)
const wide = (a: Assembler, register: number, value: bigint): Assembler => a.op('mov', 'opreg imm', { rm: register, operandSize: 8, immediates: [BigInt.asIntN(64, value)] })
/** What is canonical: QEMU does not look. */
const canonical = (random: Random): bigint => BigInt.asUintN(64, BigInt.asIntN(48, random.bits64()))
const wrmsr = (random: Random, a: Assembler, number: number): void => {
  const value = canonical(random)
  a.set(ECX, number | 0).set(EAX, Number(value & 0xffff_ffffn) | 0).set(EDX, Number(value >> 32n) | 0).op('wrmsr')
}

/**
 * Control registers, debug registers, MSRs and bases in 64-bit mode, at level 0 or 3. Left out is what QEMU does not refuse: addresses that are not canonical, bits that are reserved; and what
 * it does not have. `enter` goes to the level.
 */
export function registers(random: Random, a: Assembler, enter: () => number): string {
  a.set(EAX, 0x20 | some(random, CR4_BITS)).op('mov', 'control rmreg', { reg: 4, rm: EAX })
  for (const msr of bases) if (random.below(2) === 0) wrmsr(random, a, msr)
  const value = canonical(random)
  const cpl = enter()
  wide(a, EBX, value)
  const size = random.of([4, 8] as const)
  // At level 3 DR4 and DR5 are #GP in QEMU, with CR4.DE as well.
  const debug = random.below(8) & (cpl === 3 ? 3 : 7)
  const memory = { rm: { displacement: at.pointers } }
  const based = (digit: number): void => void a.raw(0xf3, ...size === 8 ? [0x48] : [], 0x0f, 0xae, 0xc3 | digit << 3)
  const choices: readonly (readonly [string, () => unknown])[] = [
    ['swapgs', () => a.op('swapgs')], ['swapgs twice', () => a.op('swapgs').op('swapgs')],
    ['rdfsbase', () => { based(0) }], ['rdgsbase', () => { based(1) }], ['wrfsbase', () => { based(2) }], ['wrgsbase', () => { based(3) }],
    ['mov cr8', () => a.set(EAX, random.below(16)).op('mov', 'control rmreg', { reg: 8, rm: EAX }).op('mov', 'rmreg control', { reg: 8, rm: EDX })],
    ['mov cr0', () => a.set(EAX, 0x8000_0011 | some(random, CR0_BITS) | 0).op('mov', 'control rmreg', { reg: 0, rm: EAX }).op('mov', 'rmreg control', { reg: 0, rm: EDX })],
    ['mov cr2', () => a.op('mov', 'control rmreg', { reg: 2, rm: EBX })], ['mov from cr4', () => a.op('mov', 'rmreg control', { reg: 4, rm: EDX })],
    ['mov cr5', () => a.op('mov', 'rmreg control', { reg: cpl === 0 ? 5 : 4, rm: EDX })],
    ['lmsw', () => a.set(EAX, random.below(16) | 1).op('lmsw', 'rm', { rm: EAX })], ['clts', () => a.op('clts')], ['smsw', () => a.op('smsw', 'rm', { rm: EDX, operandSize: size })],
    ['sldt', () => a.op('sldt', 'rm', { rm: EDX, operandSize: size })], ['str', () => a.op('str', 'rm', { rm: EDX, operandSize: size })],
    ['sgdt', () => a.op('sgdt', 'mem', { rm: { displacement: at.page } }).op('mov', 'reg rm', { reg: EDX, operandSize: 8, rm: { displacement: at.page + 2 } })],
    ['mov dr', () => {
      // Nothing that would be met; of DR6 and DR7 bits that there are.
      wide(a, EAX, debug === 6 || debug === 4 ? BigInt(random.bits32() & 0xe00f) : debug === 7 || debug === 5 ? BigInt(random.bits32() & 0xffff_0300) & 0xffff_0300n : value)
      a.op('mov', 'debug rmreg', { reg: debug, rm: EAX }).op('mov', 'rmreg debug', { reg: debug, rm: EDX })
    }],
    ['rdmsr', () => a.set(ECX, random.of(bases) | 0).op('rdmsr')], ['wrmsr', () => { wrmsr(random, a, random.of([...bases, 0xc000_0082, 0x175, 0x176])) }],
    ['null', () => a.set(EAX, random.below(4)).segment(random.of([DS, ES, FS, GS]), EAX)],
    ['load fs', () => a.set(EAX, random.of([selector.data0, 0, 3, 0x1f8])).segment(random.of([FS, GS]), EAX).set(ECX, random.of(bases.slice(0, 2)) | 0).op('rdmsr')],
    ['popf', () => a.push(random.bits32() & 0x24_7ed5 & ~0x100).op('popf').op('pushf').op('pop', 'opreg', { rm: EDX })],
    ['cli', () => a.op('cli')], ['sti', () => a.op('sti')], ['invlpg', () => a.op('invlpg', 'mem', memory)], ['wbinvd', () => a.op('wbinvd')], ['hlt', () => cpl === 3 ? a.op('hlt') : a.op('cli')],
    ['rdtsc', () => a.op('rdtsc').set(EAX, 0).set(EDX, 0)], ['in', () => a.set(EDX, 0x80).raw(0xec).set(EAX, 0)],
  ]
  const [name, write] = random.of(choices)
  write()
  return `${name}${size * 8} at ${cpl}${name === 'mov dr' ? ` ${debug}` : ''}`
}
