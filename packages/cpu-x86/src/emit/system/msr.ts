import { call, type Expr, type Func, type FuncRef, i32, i64, type Local, type ModuleBuilder } from '@machinist/wasm'
import { Vector } from '../../vector.ts'
import { Efer } from '../control-bits.ts'
import { type Numbers, Register, segmentLayout, type State, type StateField } from '../layout.ts'
import type { MemoryFunctions } from '../memory.ts'
import { type Basics, bit, SystemCode } from './code.ts'
import { DebugControl } from './debug.ts'
import type { OutsideFunctions } from './outside.ts'

export interface MsrFunctions {
  /** `(number)`: into RDX:RAX. */
  readonly readMsr: FuncRef<readonly ['i32'], 'i32'>
  readonly writeMsr: FuncRef<readonly ['i32', 'i64'], 'i32'>
  /** The time-stamp counter. */
  readonly timestamp: FuncRef<readonly [], 'i64'>
}

/** Groups of MSRs that a model has together: bits of the state's `msrGroups`. */
export const MsrGroup = { tsc: 1, sep: 2, mtrr: 4, pat: 8, efer: 16, long: 32, tscAux: 64, tscAdjust: 128, speculation: 256, capabilities: 512, apic: 1024, machineCheck: 2048, intel: 4096, p5: 8192 } as const

/** By the names of SDM volume 4, table 2-2. */
const MSR = {
  p5Address: 0, p5Type: 1, tsc: 0x10, platformId: 0x17, apicBase: 0x1b, featureControl: 0x3a, tscAdjust: 0x3b, specCtrl: 0x48, predCmd: 0x49, biosSignId: 0x8b, mtrrCap: 0xfe, archCapabilities: 0x10a,
  sysenterCs: 0x174, sysenterEsp: 0x175, sysenterEip: 0x176, mcgCap: 0x179, mcgStatus: 0x17a, miscEnable: 0x1a0, debugCtl: 0x1d9, mtrrPhys: 0x200, mtrrFix64K: 0x250, mtrrFix16K: 0x258, mtrrFix4K: 0x268, pat: 0x277, mtrrDefType: 0x2ff,
  tscDeadline: 0x6e0, x2apic: 0x800,
  efer: 0xc000_0080, star: 0xc000_0081, lstar: 0xc000_0082, cstar: 0xc000_0083, fmask: 0xc000_0084,
  fsBase: 0xc000_0100, gsBase: 0xc000_0101, kernelGsBase: 0xc000_0102, tscAux: 0xc000_0103,
} as const
const X2APIC_COUNT = 0x100
/** IA32_MTRRCAP: eight variable ranges, the fixed ones, write combining. */
const VARIABLE_RANGES = 8
const MTRR_CAP = VARIABLE_RANGES | 0x100 | 0x400
/** Memory types of MTRRs, and of PAT (SDM volume 3, tables 12-8 and 12-10). */
const MTRR_TYPES = [0, 1, 4, 5, 6]
const PAT_TYPES = [...MTRR_TYPES, 7]
/** IA32_FEATURE_CONTROL is locked with nothing in it. */
const LOCKED = 1
/** IA32_ARCH_CAPABILITIES: what speculates elsewhere does not here. */
const ARCH_CAPABILITIES = [0, 1, 3, 4, 5, 6, 8, 13, 14, 15, 20, 24, 26, 27, 62].reduce((value, place) => value | 1n << BigInt(place), 0n)
/** IA32_MISC_ENABLE: fast strings are on; no branch trace storage, no event-based sampling. Software may turn fast strings off, and limit CPUID. */
export const MISC_ENABLE = { reset: 0x1801, writable: 0x40_0001 } as const
/** IBRS, STIBP, SSBD and BHI_DIS_S of IA32_SPEC_CTRL, which a kernel sets once and then needs no code of its own against speculation. */
const SPEC_CTRL_BITS = 0x407

/** Model-specific registers. What belongs to a local APIC is asked of it. */
export function emitMsr(m: ModuleBuilder, state: State, basics: Basics, memory: MemoryFunctions, outside: OutsideFunctions, { physicalBits }: { physicalBits: number }): MsrFunctions {
  const gp = Vector.generalProtection
  /** Those that are a number in the state, and what may be written to it: anything, a canonical address, 32 bits, or certain bits. */
  const plain: readonly (readonly [number, Numbers, number, 'any' | 'canonical' | 'low' | number])[] = [
    [MSR.star, 'star', MsrGroup.long, 'any'], [MSR.lstar, 'lstar', MsrGroup.long, 'canonical'], [MSR.cstar, 'cstar', MsrGroup.long, 'canonical'], [MSR.fmask, 'fmask', MsrGroup.long, 'low'],
    [MSR.kernelGsBase, 'kernelGsBase', MsrGroup.long, 'canonical'], [MSR.tscAux, 'tscAux', MsrGroup.tscAux, 'low'],
    [MSR.sysenterCs, 'sysenterCs', MsrGroup.sep, 'any'], [MSR.sysenterEsp, 'sysenterEsp', MsrGroup.sep, 'canonical'], [MSR.sysenterEip, 'sysenterEip', MsrGroup.sep, 'canonical'],
    [MSR.specCtrl, 'specCtrl', MsrGroup.speculation, SPEC_CTRL_BITS], [MSR.mcgStatus, 'mcgStatus', MsrGroup.machineCheck, 0],
    [MSR.debugCtl, 'debugCtl', MsrGroup.intel, DebugControl.lbr | DebugControl.btf],
  ]
  const bases = [[MSR.fsBase, Register.fs], [MSR.gsBase, Register.gs]] as const
  /** Those that never change: what they read as, and what may be written, to no effect. */
  const constant: readonly (readonly [number, bigint, number, bigint | null])[] = [
    [MSR.platformId, 0n, MsrGroup.intel, null], [MSR.featureControl, BigInt(LOCKED), MsrGroup.intel, null], [MSR.biosSignId, 1n << 32n, MsrGroup.intel, -1n], [MSR.mtrrCap, BigInt(MTRR_CAP), MsrGroup.mtrr, null],
    [MSR.archCapabilities, ARCH_CAPABILITIES, MsrGroup.capabilities, null], [MSR.mcgCap, 0n, MsrGroup.machineCheck, null],
    [MSR.p5Address, 0n, MsrGroup.p5, -1n], [MSR.p5Type, 0n, MsrGroup.p5, -1n],
  ]
  const fixedRanges = [MSR.mtrrFix64K, MSR.mtrrFix16K, MSR.mtrrFix16K + 1, ...Array.from({ length: 8 }, (_, i) => MSR.mtrrFix4K + i)]

  const is = (f: Func, number: Local<'i32'>, value: number, group: number, then: () => void): void => f.if(i32.eq(number, value | 0), () => f.if(i32.and(state.get32('msrGroups'), group), then))
  const answer = (f: Func, value: Expr<'i64'>): void => {
    const all = f.let(value)
    f.do(i64.store(state.register(0), i64.and(all, 0xffff_ffff)))
    f.do(i64.store(state.register(2), i64.shrU(all, 32)))
    f.return(0)
  }
  /** Those of the local APIC. */
  const isLocal = (f: Func, number: Local<'i32'>): Expr<'i32'> => i32.and(
    i32.ne(i32.and(state.get32('msrGroups'), MsrGroup.apic), 0),
    i32.or(i32.or(i32.eq(number, MSR.apicBase), i32.eq(number, MSR.tscDeadline)), f.let(i32.ltU(i32.sub(number, MSR.x2apic), X2APIC_COUNT))),
  )
  const element = (field: StateField, index: Expr<'i32'>): Expr<'i32'> => i32.add(i32.shl(index, 3), state.field(field))
  const isMtrr = (f: Func, number: Local<'i32'>, then: (place: Expr<'i32'>) => void): void => f.if(i32.and(i32.ltU(i32.sub(number, MSR.mtrrPhys), 2 * VARIABLE_RANGES), i32.ne(i32.and(state.get32('msrGroups'), MsrGroup.mtrr), 0)), () => {
    then(element('mtrrVariable', i32.sub(number, MSR.mtrrPhys)))
  })
  /** Whether all of some bytes are types that there are. */
  const typesIn = (f: Func, value: Local<'i64'>, bytes: number, types: readonly number[], then: () => void): void => {
    for (let i = 0; i < bytes; i++) {
      const type = f.let(i32.wrap(i64.and(i64.shrU(value, 8 * i), 255)))
      f.if(i32.eqz(types.map((one) => i32.eq(type, one)).reduce((a, b) => i32.or(a, b))), then)
    }
  }

  const timestamp = m.func('timestamp', [], 'i64', (f) => f.return(i64.add(i64.truncSatF64U(call(outside.ticks)), i64.add(state.get64('timeBase'), state.get64('tscAdjust')))))
  const readMsr = m.func('readMsr', ['i32'], 'i32', (f, number) => {
    const code = new SystemCode(f, state, basics)
    for (const [which, register] of bases) is(f, number, which, MsrGroup.long, () => answer(f, code.base(register)))
    for (const [which, field, group] of plain) is(f, number, which, group, () => answer(f, state.get64(field)))
    is(f, number, MSR.efer, MsrGroup.efer, () => answer(f, state.get64('efer')))
    is(f, number, MSR.tsc, MsrGroup.tsc, () => answer(f, call(timestamp)))
    is(f, number, MSR.tscAdjust, MsrGroup.tscAdjust, () => answer(f, state.get64('tscAdjust')))
    f.if(isLocal(f, number), () => {
      code.raiseIf(call(outside.readLocalMsr, number), gp)
      answer(f, state.get64('mailbox'))
    })
    is(f, number, MSR.pat, MsrGroup.pat, () => answer(f, state.get64('pat')))
    is(f, number, MSR.miscEnable, MsrGroup.intel, () => answer(f, state.get64('miscEnable')))
    is(f, number, MSR.mtrrDefType, MsrGroup.mtrr, () => answer(f, state.get64('mtrrDefault')))
    isMtrr(f, number, (place) => answer(f, i64.load(place)))
    fixedRanges.forEach((which, i) => is(f, number, which, MsrGroup.mtrr, () => answer(f, i64.load(state.field('mtrrFixed') + 8 * i))))
    for (const [which, value, group] of constant) is(f, number, which, group, () => answer(f, i64.const(BigInt.asIntN(64, value))))
    code.raise(gp, 0)
  })
  const writeMsr = m.func('writeMsr', ['i32', 'i64'], 'i32', (f, number, value) => {
    const code = new SystemCode(f, state, basics)
    const bits = (allowed: bigint): void => code.raiseIf(i64.ne(i64.and(value, i64.const(BigInt.asIntN(64, ~allowed))), 0), gp)
    for (const [which, register] of bases) is(f, number, which, MsrGroup.long, () => {
      code.raiseIf(call(memory.unusual, value), gp)
      f.do(i64.store(state.segment(register) + segmentLayout.base, value))
      f.return(0)
    })
    for (const [which, field, group, kind] of plain) is(f, number, which, group, () => {
      if (kind === 'canonical') code.raiseIf(call(memory.unusual, value), gp)
      if (kind === 'low') code.raiseIf(i64.ne(i64.shrU(value, 32), 0), gp)
      if (typeof kind === 'number') bits(BigInt(kind))
      f.do(state.set64(field, value))
      f.return(0)
    })
    f.if(isLocal(f, number), () => {
      f.do(state.set64('mailbox', value))
      code.raiseIf(call(outside.writeLocalMsr, number), gp)
      // Its page lies over RAM that is there.
      f.if(i32.eq(number, MSR.apicBase), () => f.do(call(memory.flushAll)))
      f.return(0)
    })
    /** What WRMSR adds to the counter it adds to IA32_TSC_ADJUST, and the other way round (SDM volume 3, 18.17.3). */
    const moves = (by: Expr<'i64'>): void => {
      const distance = f.let(by)
      f.do(state.set64('tscAdjust', i64.add(state.get64('tscAdjust'), distance)))
      f.do(call(outside.timeMoved, distance))
      f.return(0)
    }
    is(f, number, MSR.tsc, MsrGroup.tsc, () => moves(i64.sub(value, call(timestamp))))
    is(f, number, MSR.tscAdjust, MsrGroup.tscAdjust, () => moves(i64.sub(value, state.get64('tscAdjust'))))
    is(f, number, MSR.efer, MsrGroup.efer, () => {
      const now = f.let(state.get64('efer'))
      // LMA is not written; LME does not change while paging is on.
      code.raiseIf(i64.ne(i64.and(value, i64.xor(i64.or(state.get64('eferBits'), Efer.lma), -1)), 0), gp)
      code.raiseIf(i32.and(bit(state.get64('cr0'), 0x8000_0000), bit(i64.xor(now, value), Efer.lme)), gp)
      f.do(state.set64('efer', i64.or(i64.and(value, ~Efer.lma), i64.and(now, Efer.lma))))
      f.if(bit(i64.xor(now, value), Efer.nxe), () => f.do(call(memory.flushAll)))
      f.do(call(memory.updateView))
      f.return(0)
    })
    is(f, number, MSR.pat, MsrGroup.pat, () => {
      typesIn(f, value, 8, PAT_TYPES, () => code.raise(gp, 0))
      f.do(state.set64('pat', value))
      f.return(0)
    })
    is(f, number, MSR.predCmd, MsrGroup.speculation, () => {
      bits(1n)
      f.return(0)
    })
    is(f, number, MSR.miscEnable, MsrGroup.intel, () => {
      // Bits that tell what there is may be written as they are.
      code.raiseIf(i64.ne(i64.and(i64.xor(value, state.get64('miscEnable')), ~MISC_ENABLE.writable), 0), gp)
      f.do(state.set64('miscEnable', value))
      f.return(0)
    })
    is(f, number, MSR.mtrrDefType, MsrGroup.mtrr, () => {
      bits(0xcffn)
      typesIn(f, value, 1, MTRR_TYPES, () => code.raise(gp, 0))
      f.do(state.set64('mtrrDefault', value))
      f.return(0)
    })
    isMtrr(f, number, (place) => {
      const at = f.let(place)
      const physical = (1n << BigInt(physicalBits)) - 1n
      f.if(i32.and(number, 1), () => bits(physical & ~0x7ffn), () => {
        bits(physical & ~0xf00n)
        typesIn(f, value, 1, MTRR_TYPES, () => code.raise(gp, 0))
      })
      f.do(i64.store(at, value))
      f.return(0)
    })
    fixedRanges.forEach((which, i) => is(f, number, which, MsrGroup.mtrr, () => {
      typesIn(f, value, 8, MTRR_TYPES, () => code.raise(gp, 0))
      f.do(i64.store(state.field('mtrrFixed') + 8 * i, value))
      f.return(0)
    }))
    for (const [which, , group, allowed] of constant) if (allowed !== null) is(f, number, which, group, () => {
      bits(allowed)
      f.return(0)
    })
    code.raise(gp, 0)
  })
  return { readMsr, writeMsr, timestamp }
}
