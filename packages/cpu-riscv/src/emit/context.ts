import { emitRam, emitSvWalker, emitTlb, type RamFunctions, type SvWalker, type TlbFunctions } from '@machinist/mmu'
import { emitSoftfloat } from '@machinist/softfloat'
import { type Expr, type Func, type FuncRef, type Global, i32, i64, type Label, ModuleBuilder } from '@machinist/wasm'
import { HartState } from './state.ts'
import { emitHelpers } from './helpers.ts'
import type { Helpers } from './stage.ts'

/** What generated code asks of TypeScript: rare, so a call is cheap enough. Numbers only, never BigInt. */
export interface HostCalls {
  /** `(entry address)`: makes a page of RAM readable; returns the page-map entry. */
  readonly readFault: FuncRef<readonly ['i32'], 'i32'>
  /**
   * `(entry address, offset, bytes)`: makes a page of RAM writable, and drops code of the bytes that are about to change; returns the page-map
   * entry. With 0 bytes, nothing changes yet.
   */
  readonly writeFault: FuncRef<readonly ['i32', 'i32', 'i32'], 'i32'>
  /** `(guest-physical address, bytes)`: 0 and the value in `mailbox`, or 1 when nobody answers. */
  readonly mmioRead: FuncRef<readonly ['f64', 'i32'], 'i32'>
  /** `(guest-physical address, bytes)`: writes `mailbox`. 1 when nobody answers. */
  readonly mmioWrite: FuncRef<readonly ['f64', 'i32'], 'i32'>
  /** `(frame, entry address)`: the page becomes a code page; returns the address of its pre-decoded ops. */
  readonly codePage: FuncRef<readonly ['i32', 'i32'], 'i32'>
  /** `(instruction bits, op, offset)`: decodes an instruction for which there is no rule, or that lies in two pages, with offset −1; returns what is told of it (`writeOp`). */
  readonly decode: FuncRef<readonly ['i32', 'i32', 'i32'], 'i32'>
  /** Ticks of the time counter since the machine was made. */
  readonly ticks: FuncRef<readonly [], 'f64'>
  /** `stimecmp`, or whether it counts, has changed. */
  readonly timerChanged: FuncRef<readonly [], 'void'>
  /** Some PMP register has changed. */
  readonly pmpChanged: FuncRef<readonly [], 'void'>
  /** `(register)`: a register of the hart's interrupt file, or {@link TOPEI}, to `mailbox`; from `mailbox`. */
  readonly fileRead: FuncRef<readonly ['i32'], 'void'>
  readonly fileWrite: FuncRef<readonly ['i32'], 'void'>
  /** `pc` is in a page that the fetch TLB lacks: 1 when the run is to be left before it. Asked with {@link Debug.fetches} alone. */
  readonly debugFetch: FuncRef<readonly [], 'i32'>
  /**
   * `(low and high word of the virtual address, bytes, access)`: something is accessed; with 0 bytes, 1 when the data TLB is not to have the page.
   * Asked with {@link Debug.accesses} alone.
   */
  readonly debugAccess: FuncRef<readonly ['i32', 'i32', 'i32', 'i32'], 'i32'>
  /** ECALL from S-mode with the built-in SBI. */
  readonly sbi: FuncRef<readonly [], 'void'>
}

/** Names of the imports, in module `host`. */
export type HostCallName = keyof HostCalls

/** Everything that the emitters of one engine share. */
export interface Emit {
  readonly m: ModuleBuilder
  readonly s: HartState
  readonly host: HostCalls
  readonly ram: RamFunctions
  readonly tlb: TlbFunctions
  readonly helpers: Helpers
  /** Address of the ops that `enter` ops have replaced. */
  readonly enters: number
  /** Addresses of the {@link CROSSINGS} and the remembered jumps. */
  readonly crossings: number
  readonly jumps: number
  /** Address of the rules by which instructions are decoded. */
  readonly rules: number
  /** Cause + 1 of the exception that the current instruction raised, or 0; and its value for `xtval`. */
  readonly pendingCause: Global<'i32'>
  readonly pendingValue: Global<'i64'>
}

export function createEmit(options: { readonly window: number; readonly enters: number; readonly crossings: number; readonly jumps: number; readonly rules: number; readonly memory: { initial: number; maximum: number; shared: boolean } }): Emit {
  const m = new ModuleBuilder()
  const host: HostCalls = {
    readFault: m.importFunction('host', 'readFault', ['i32'], 'i32'),
    writeFault: m.importFunction('host', 'writeFault', ['i32', 'i32', 'i32'], 'i32'),
    mmioRead: m.importFunction('host', 'mmioRead', ['f64', 'i32'], 'i32'),
    mmioWrite: m.importFunction('host', 'mmioWrite', ['f64', 'i32'], 'i32'),
    codePage: m.importFunction('host', 'codePage', ['i32', 'i32'], 'i32'),
    decode: m.importFunction('host', 'decode', ['i32', 'i32', 'i32'], 'i32'),
    ticks: m.importFunction('host', 'ticks', [], 'f64'),
    timerChanged: m.importFunction('host', 'timerChanged', [], 'void'),
    pmpChanged: m.importFunction('host', 'pmpChanged', [], 'void'),
    fileRead: m.importFunction('host', 'fileRead', ['i32'], 'void'),
    fileWrite: m.importFunction('host', 'fileWrite', ['i32'], 'void'),
    debugFetch: m.importFunction('host', 'debugFetch', [], 'i32'),
    debugAccess: m.importFunction('host', 'debugAccess', ['i32', 'i32', 'i32', 'i32'], 'i32'),
    sbi: m.importFunction('host', 'sbi', [], 'void'),
  }
  m.importMemory({ module: 'host', name: 'memory', ...options.memory })
  m.importTable('host', 'table', 1)
  const s = new HartState(options.window)
  const ram = emitRam(m, s.at('ramTable'), { read: host.readFault, write: host.writeFault })
  const tlb = emitTlb(m)
  // Translated code imports these, by name.
  const before = m.functionCount
  const helpers = emitHelpers(m, emitSoftfloat(m, { flags: s.at('fflags'), nan: 'canonical' }))
  m.exportSince(before)
  return { m, s, host, ram, tlb, helpers, enters: options.enters, crossings: options.crossings, jumps: options.jumps, rules: options.rules, pendingCause: m.global('i32', 0), pendingValue: m.global('i64', 0) }
}

/** `bit` of a 64-bit value, as 0 or 1. */
export function bit(value: Expr<'i64'>, mask: bigint): Expr<'i32'> {
  return i64.ne(i64.and(value, mask), 0)
}

/** Runs `cases[index]`; each may fall through to the end. */
export function emitSwitch(f: Func, index: Expr<'i32'>, cases: readonly (() => void)[], otherwise: () => void): void {
  f.block((end) => {
    const outer = f.open('block')
    const labels: Label[] = []
    for (let i = cases.length - 1; i >= 0; i--) labels[i] = f.open('block')
    f.brTable(index, labels, outer)
    cases.forEach((body, i) => {
      const label = labels[i]
      if (!label) return
      f.close(label)
      body()
      f.br(end)
    })
    f.close(outer)
    otherwise()
  })
}

type Counter = 'unretired' | 'tlbMisses' | 'slowSteps' | 'regionEnters' | 'regionMisses' | 'regionEscapes' | 'regionSteps'

/** Adds `by` to a 64-bit field. */
export function increment(e: Emit, f: Func, field: Counter, by: Expr<'i64'> | number = 1): void {
  f.do(e.s.set(field, i64.add(e.s.get(field), by)))
}

export { emitSvWalker, i32, type SvWalker }
