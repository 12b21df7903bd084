import { call, type Expr, type Func, type FuncRef, i32, i64, type Local, select } from '@machinist/wasm'
import { Interrupt, Mode } from '../cause.ts'
import { Csr } from '../csr-numbers.ts'
import { type HartField, PMP_ENTRIES } from '../hart-layout.ts'
import { TOPEI } from '../interrupt-file.ts'
import { Envcfg, MISA, Status } from '../status.ts'
import { bit, type Emit, emitSwitch } from './context.ts'
import type { HartState } from './state.ts'
import type { TranslationFunctions } from './translation.ts'
import type { TrapFunctions } from './trap.ts'

/** One control and status register: what a read gives, and what a write of `value` does. */
interface CsrDefinition {
  readonly number: number
  readonly read: (f: Func) => Expr<'i64'>
  readonly write: (f: Func, value: Local<'i64'>) => void
  /** What CSRRS and CSRRC combine with, when that differs from what they return (`mip.SEIP`, 3.1.9). */
  readonly modify?: (f: Func) => Expr<'i64'>
  /** Conditions besides privilege under which an access is illegal: 1 when it is. */
  readonly denied?: (f: Func) => Expr<'i32'>
}

export interface CsrFunctions {
  /** `(index, is write)` → 1 when the access is an illegal instruction. */
  readonly denied: FuncRef<readonly ['i32', 'i32'], 'i32'>
  readonly read: FuncRef<readonly ['i32'], 'i64'>
  readonly modify: FuncRef<readonly ['i32'], 'i64'>
  readonly write: FuncRef<readonly ['i32', 'i64'], 'void'>
  /** Works out `floatReady` again. */
  readonly updateFloat: FuncRef<readonly [], 'void'>
  /** `(value)`: writes `sstatus`; 1 when no interrupt is pending that this may have let through. */
  readonly writeSstatus: FuncRef<readonly ['i64'], 'i32'>
}

/** Supervisor CSRs that are a field of the record and nothing else: what a write keeps of a value. */
export const plainSupervisor: ReadonlyMap<number, { readonly field: 'sscratch' | 'sepc' | 'scause' | 'stval'; readonly mask: bigint }> = new Map([
  [Csr.sscratch, { field: 'sscratch', mask: -1n }],
  [Csr.sepc, { field: 'sepc', mask: ~1n }],
  [Csr.scause, { field: 'scause', mask: -1n }],
  [Csr.stval, { field: 'stval', mask: -1n }],
])

/** Whether CBO.ZERO needs a closer look: anywhere but in S-mode with `menvcfg.CBZE` set. */
export function zeroDenied(s: HartState): Expr<'i32'> {
  return i32.or(i32.ne(s.get('mode'), Mode.supervisor), i32.eqz(bit(s.get('menvcfg'), Envcfg.CBZE)))
}

/** What `sstatus` reads as. */
export function readSstatus(s: HartState): Expr<'i64'> {
  return i64.and(s.get('mstatus'), SSTATUS | Status.UXL | Status.SD)
}

/** Number of each register, at the index that generated code knows it by; index 0 is the one that does not exist. */
export const csrOrder: readonly number[] = [
  -1,
  ...Object.entries(Csr)
    .filter(([name]) => !/^(pmp|hpm|mhpm)/.test(name))
    .map(([, number]) => number),
  ...range(0, 8).map((i) => Csr.pmpcfg0 + 2 * i),
  ...range(0, 64).map((i) => Csr.pmpaddr0 + i),
  ...range(0, 29).map((i) => Csr.hpmcounter3 + i),
  ...range(0, 29).map((i) => Csr.mhpmcounter3 + i),
  ...range(0, 29).map((i) => Csr.mhpmevent3 + i),
]

const indexes: ReadonlyMap<number, number> = new Map(csrOrder.map((number, i) => [number, i]))

/** The index of CSR `number`; 0 when it does not exist. */
export function csrIndex(number: number): number {
  return indexes.get(number) ?? 0
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i)
}

/** Bits of mip, mie and mideleg that exist. */
const M_INTERRUPTS = 0xaaan
const S_INTERRUPTS = 0x222n
/** Every exception but ECALL from M-mode can be delegated. */
const DELEGABLE = 0xb3ffn
const SSTATUS = Status.SIE | Status.SPIE | Status.SPP | Status.FS | Status.SUM | Status.MXR
const MSTATUS = SSTATUS | Status.MIE | Status.MPIE | Status.MPRV | Status.TVM | Status.TW | Status.TSR
const ENVCFG = Envcfg.FIOM | Envcfg.CBCFE | Envcfg.CBZE
const STIP = 1n << 5n
/** What `siselect` holds: the registers there are, and room for values that software tries. */
const SISELECT = 0x1ffn

export function emitCsrs(e: Emit, translation: TranslationFunctions, traps: TrapFunctions): CsrFunctions {
  const { m, s, host } = e
  const updateFloat = m.func('updateFloat', [], 'void', (f) => {
    const dirty = i64.eq(i64.and(s.get('mstatus'), Status.FS), Status.FS)
    f.do(s.set('floatReady', select('i32', i32.and(dirty, i32.leU(s.get('frm'), 4)), i32.add(s.get('frm'), 1), 0)))
  })
  const retired = m.func('retiredNow', [], 'i64', (f) => {
    f.return(i64.sub(i64.add(s.get('steps'), i64.extendS(i32.sub(s.get('budgetStart'), s.get('budget')))), s.get('unretired')))
  })

  const field = (number: number, name: HartField & ('mscratch' | 'mtvec' | 'mepc'), mask: bigint = -1n): CsrDefinition => ({
    number,
    read: () => s.get(name),
    write: (f, value) => f.do(s.set(name, mask === -1n ? value : i64.and(value, mask))),
  })
  const plain = (number: number, name: string, mask: bigint = -1n): CsrDefinition => field(number, name as 'mscratch', mask)
  const constant = (number: number, value: bigint): CsrDefinition => ({ number, read: () => i64.const(value), write: () => undefined })
  const merged = (old: Expr<'i64'>, value: Expr<'i64'>, mask: bigint): Expr<'i64'> => i64.or(i64.and(old, ~mask), i64.and(value, mask))
  const attend = (f: Func): void => f.do(s.set('attention', 1))

  const writeStatus = m.func('writeMstatus', ['i64'], 'void', (f, value) => {
    const old = f.let(s.get('mstatus'))
    // SD summarises FS.
    f.set(value, i64.and(value, ~Status.SD))
    f.set(value, i64.or(value, select('i64', i64.eq(i64.and(value, Status.FS), Status.FS), Status.SD, 0)))
    f.do(s.set('mstatus', value))
    attend(f)
    f.if(bit(i64.xor(old, value), Status.MXR), () => f.do(call(translation.flushAll)))
    f.if(bit(i64.xor(old, value), Status.FS), () => f.do(call(updateFloat)))
    f.if(bit(i64.xor(old, value), Status.MPRV | Status.MPP | Status.SUM | Status.MXR), () => f.do(call(translation.updateView)))
  })
  const writeSstatus = m.func('writeSstatus', ['i64'], 'i32', (f, value) => {
    f.do(call(writeStatus, merged(s.get('mstatus'), value, SSTATUS)))
    f.if(i64.ne(i64.and(traps.pending(f), s.get('mie')), 0), () => f.return(0))
    f.do(s.set('attention', 0))
    f.return(1)
  })
  const dirtyFloat = (f: Func): void => {
    f.do(s.set('mstatus', i64.or(s.get('mstatus'), Status.FS | Status.SD)))
    f.do(call(updateFloat))
  }
  const floatOff = (): Expr<'i32'> => i64.eqz(i64.and(s.get('mstatus'), Status.FS))

  /** Counters below M-mode need their bit in `mcounteren`, and in U-mode in `scounteren` too. */
  const counterDenied = (index: number): Expr<'i32'> => {
    const mask = 1n << BigInt(index)
    const mode = s.get('mode')
    return i32.or(
      i32.and(i32.ltU(mode, Mode.machine), i32.eqz(bit(s.get('mcounteren'), mask))),
      i32.and(i32.eqz(mode), i32.eqz(bit(s.get('scounteren'), mask))),
    )
  }
  const counter = (name: 'instretOffset' | 'cycleOffset', inhibit: bigint): ((f: Func) => Expr<'i64'>) => {
    return () => i64.add(s.get(name), select('i64', bit(s.get('mcountinhibit'), inhibit), 0, call(retired)))
  }
  // The value written is what the next instruction reads: this one does not count itself.
  const writeCounter = (name: 'instretOffset' | 'cycleOffset', inhibit: bigint) => (f: Func, value: Local<'i64'>): void =>
    f.do(s.set(name, i64.sub(value, select('i64', bit(s.get('mcountinhibit'), inhibit), 0, i64.add(call(retired), 1)))))
  const cycle = counter('cycleOffset', 1n)
  const instret = counter('instretOffset', 4n)

  const usesSstc = (): Expr<'i32'> => bit(s.get('menvcfg'), Envcfg.STCE)
  /** With Sstc on, STIP is a line; otherwise software sets it. */
  const writeMip = (f: Func, value: Expr<'i64'>, mask: bigint): void => {
    const writable = f.let(select('i64', usesSstc(), mask & ~STIP, mask))
    f.do(s.set('mip', i64.or(i64.and(s.get('mip'), i64.xor(writable, -1)), i64.and(value, writable))))
    attend(f)
  }
  const legalCbie = (old: Expr<'i64'>, value: Local<'i64'>): Expr<'i64'> =>
    select('i64', i64.eq(i64.and(value, Envcfg.CBIE), 2n << 4n), i64.and(old, Envcfg.CBIE), i64.and(value, Envcfg.CBIE))

  /** A register of the interrupt file passes through `mailbox`. */
  const readFile = (f: Func, register: Expr<'i32'>): Expr<'i64'> => {
    f.do(call(host.fileRead, register))
    return s.get('mailbox')
  }
  const writeFile = (f: Func, register: Expr<'i32'>, value: Local<'i64'>): void => {
    f.do(s.set('mailbox', value))
    f.do(call(host.fileWrite, register))
    attend(f)
  }
  const withoutFile = (): Expr<'i32'> => i32.eqz(s.get('ssaia'))
  const selected = (): Expr<'i32'> => i32.wrap(s.get('siselect'))
  const selects = (from: number, count: number): Expr<'i32'> => i32.ltU(i32.sub(selected(), from), count)
  /** There are priorities at 0x30 and arrays at 0x80, of which RV64 has the even ones; all of 0x70 to 0x7f answers (AIA 1.0, 2.1 and 3.8). */
  const unselectable = (): Expr<'i32'> =>
    i32.eqz(i32.or(selects(0x70, 0x10), i32.and(i32.or(selects(0x30, 0x10), selects(0x80, 0x80)), i32.eqz(i32.and(selected(), 1)))))
  /** The interrupt that would be taken in S-mode first, and a priority of 1: `iprio` is read-only zero (AIA 1.0, 5.4.2). */
  const stopi = (f: Func): Expr<'i64'> => {
    const active = f.let(i64.and(i64.and(traps.pending(f), s.get('mie')), s.get('mideleg')))
    return [Interrupt.stip, Interrupt.ssip, Interrupt.seip].reduce<Expr<'i64'>>(
      (lower, code) => select('i64', bit(active, 1n << BigInt(code)), (BigInt(code) << 16n) | 1n, lower), i64.const(0n))
  }

  const definitions: readonly CsrDefinition[] = [
    {
      number: Csr.fflags,
      read: () => i64.extendU(s.get('fflags')),
      write: (f, value) => {
        f.do(s.set('fflags', i32.and(i32.wrap(value), 31)))
        dirtyFloat(f)
      },
      denied: floatOff,
    },
    {
      number: Csr.frm,
      read: () => i64.extendU(s.get('frm')),
      write: (f, value) => {
        f.do(s.set('frm', i32.and(i32.wrap(value), 7)))
        dirtyFloat(f)
      },
      denied: floatOff,
    },
    {
      number: Csr.fcsr,
      read: () => i64.extendU(i32.or(i32.shl(s.get('frm'), 5), s.get('fflags'))),
      write: (f, value) => {
        f.do(s.set('fflags', i32.and(i32.wrap(value), 31)))
        f.do(s.set('frm', i32.and(i32.shrU(i32.wrap(value), 5), 7)))
        dirtyFloat(f)
      },
      denied: floatOff,
    },
    { number: Csr.cycle, read: cycle, write: () => undefined, denied: () => counterDenied(0) },
    {
      number: Csr.time,
      read: () => i64.add(i64.truncSatF64S(call(host.ticks)), s.get('timeBase')),
      write: () => undefined,
      denied: () => counterDenied(1),
    },
    { number: Csr.instret, read: instret, write: () => undefined, denied: () => counterDenied(2) },
    {
      number: Csr.sstatus,
      read: () => readSstatus(s),
      write: (f, value) => f.drop(call(writeSstatus, value)),
    },
    {
      number: Csr.sie,
      read: () => i64.and(s.get('mie'), s.get('mideleg')),
      write: (f, value) => {
        const mask = f.let(s.get('mideleg'))
        f.do(s.set('mie', i64.or(i64.and(s.get('mie'), i64.xor(mask, -1)), i64.and(value, mask))))
        attend(f)
      },
    },
    plain(Csr.stvec, 'stvec', ~2n),
    plain(Csr.scounteren, 'scounteren', 0xffff_ffffn),
    {
      number: Csr.senvcfg,
      read: () => s.get('senvcfg'),
      write: (f, value) => f.do(s.set('senvcfg', i64.or(i64.and(value, ENVCFG), legalCbie(s.get('senvcfg'), value)))),
    },
    ...[...plainSupervisor].map(([number, { field: name, mask }]) => plain(number, name, mask)),
    {
      number: Csr.sip,
      read: (f) => i64.and(traps.pending(f), s.get('mideleg')),
      modify: () => i64.and(s.get('mip'), s.get('mideleg')),
      // Only SSIP is writable from S-mode, and only when delegated.
      write: (f, value) => {
        const mask = f.let(i64.and(s.get('mideleg'), 2))
        f.do(s.set('mip', i64.or(i64.and(s.get('mip'), i64.xor(mask, -1)), i64.and(value, mask))))
        attend(f)
      },
    },
    {
      number: Csr.stimecmp,
      read: () => s.get('stimecmp'),
      write: (f, value) => {
        f.do(s.set('stimecmp', value))
        f.do(call(host.timerChanged))
      },
      denied: () =>
        i32.and(i32.ltU(s.get('mode'), Mode.machine), i32.eqz(i32.and(usesSstc(), bit(s.get('mcounteren'), 2n)))),
    },
    { ...plain(Csr.siselect, 'siselect', SISELECT), denied: withoutFile },
    {
      number: Csr.sireg,
      read: (f) => readFile(f, selected()),
      write: (f, value) => writeFile(f, selected(), value),
      denied: () => i32.or(withoutFile(), unselectable()),
    },
    {
      number: Csr.stopei,
      read: (f) => readFile(f, i32.const(TOPEI)),
      write: (f, value) => writeFile(f, i32.const(TOPEI), value),
      denied: withoutFile,
    },
    { number: Csr.stopi, read: stopi, write: () => undefined, denied: withoutFile },
    {
      number: Csr.satp,
      read: () => s.get('satp'),
      write: (f, value) => f.do(call(translation.writeSatp, value)),
      denied: () => i32.and(i32.eq(s.get('mode'), Mode.supervisor), bit(s.get('mstatus'), Status.TVM)),
    },
    constant(Csr.mvendorid, 0n),
    constant(Csr.marchid, 0n),
    constant(Csr.mimpid, 0n),
    { number: Csr.mhartid, read: () => s.get('mhartid'), write: () => undefined },
    constant(Csr.mconfigptr, 0n),
    {
      number: Csr.mstatus,
      read: () => s.get('mstatus'),
      write: (f, value) => {
        const old = f.let(s.get('mstatus'))
        // MPP holds U, S or M: the reserved value 2 leaves it as it was.
        const mpp = select('i64', i64.eq(i64.and(value, Status.MPP), 2n << 11n), i64.and(old, Status.MPP), i64.and(value, Status.MPP))
        f.do(call(writeStatus, i64.or(i64.and(merged(old, value, MSTATUS), ~Status.MPP), mpp)))
      },
    },
    constant(Csr.misa, MISA),
    plain(Csr.medeleg, 'medeleg', DELEGABLE),
    {
      number: Csr.mideleg,
      read: () => s.get('mideleg'),
      write: (f, value) => {
        f.do(s.set('mideleg', i64.and(value, S_INTERRUPTS)))
        attend(f)
      },
    },
    {
      number: Csr.mie,
      read: () => s.get('mie'),
      write: (f, value) => {
        f.do(s.set('mie', i64.and(value, M_INTERRUPTS)))
        attend(f)
      },
    },
    plain(Csr.mtvec, 'mtvec', ~2n),
    plain(Csr.mcounteren, 'mcounteren', 0xffff_ffffn),
    {
      number: Csr.menvcfg,
      read: () => s.get('menvcfg'),
      write: (f, value) => {
        const old = f.let(s.get('menvcfg'))
        f.do(s.set('menvcfg', i64.or(i64.and(value, ENVCFG | Envcfg.ADUE | Envcfg.STCE), legalCbie(old, value))))
        f.do(call(translation.updateView))
        // From now on STIP shows the comparison alone, whatever software set before (Sstc, chapter 2).
        f.if(bit(value, Envcfg.STCE), () => f.do(s.set('mip', i64.and(s.get('mip'), ~STIP))))
        f.if(bit(i64.xor(old, value), Envcfg.STCE), () => f.do(call(host.timerChanged)))
      },
    },
    {
      number: Csr.mcountinhibit,
      read: () => s.get('mcountinhibit'),
      // A counter that stops keeps its value in its offset; one that starts goes on from there.
      write: (f, value) => {
        const now = f.let(i64.add(call(retired), 1))
        const change = f.let(i64.and(i64.xor(s.get('mcountinhibit'), value), 5))
        for (const [name, mask] of [['cycleOffset', 1n], ['instretOffset', 4n]] as const) {
          f.if(bit(change, mask), () => {
            f.do(s.set(name, select('i64', bit(value, mask), i64.add(s.get(name), now), i64.sub(s.get(name), now))))
          })
        }
        f.do(s.set('mcountinhibit', i64.and(value, 5)))
      },
    },
    plain(Csr.mscratch, 'mscratch'),
    plain(Csr.mepc, 'mepc', ~1n),
    plain(Csr.mcause, 'mcause'),
    plain(Csr.mtval, 'mtval'),
    {
      number: Csr.mip,
      read: (f) => traps.pending(f),
      modify: () => s.get('mip'),
      write: (f, value) => writeMip(f, value, S_INTERRUPTS),
    },
    { number: Csr.mcycle, read: cycle, write: writeCounter('cycleOffset', 1n) },
    { number: Csr.minstret, read: instret, write: writeCounter('instretOffset', 4n) },
    ...range(0, 8).map((i) => pmpcfg(i)),
    ...range(0, 64).map((i) => pmpaddr(i)),
    ...range(3, 32).map((i): CsrDefinition => ({ number: 0xc00 + i, read: () => i64.const(0), write: () => undefined, denied: () => counterDenied(i) })),
    // Hardware performance counters count no events: WARL, all zero.
    ...range(3, 32).map((i) => constant(0xb00 + i, 0n)),
    ...range(3, 32).map((i) => constant(0x320 + i, 0n)),
  ]

  /** `pmpcfg(2i)` holds eight configurations; entries that are not implemented read as zero. */
  function pmpcfg(i: number): CsrDefinition {
    const number = Csr.pmpcfg0 + 2 * i
    if (8 * i >= PMP_ENTRIES) return constant(number, 0n)
    return {
      number,
      read: () => i64.load(0, s.at('pmpcfg') + 8 * i),
      write: (f, value) => {
        for (let k = 0; k < 8; k++) {
          const at = s.at('pmpcfg') + 8 * i + k
          const wanted = f.let(i32.and(i32.wrap(i64.shrU(value, 8 * k)), 0x9f))
          // Locked entries stay; W without R is reserved, and loses its W.
          f.if(i32.eqz(i32.and(i32.load8U(0, at), 0x80)), () => {
            f.if(i32.eq(i32.and(wanted, 3), 2), () => f.set(wanted, i32.and(wanted, ~2)))
            f.do(i32.store8(0, wanted, at))
          })
        }
        f.do(call(host.pmpChanged))
      },
    }
  }

  function pmpaddr(i: number): CsrDefinition {
    const number = Csr.pmpaddr0 + i
    if (i >= PMP_ENTRIES) return constant(number, 0n)
    const at = s.at('pmpaddr') + 8 * i
    return {
      number,
      read: () => i64.load(0, at),
      write: (f, value) => {
        const locked = i32.and(i32.load8U(0, s.at('pmpcfg') + i), 0x80)
        // A locked TOR entry locks the address below it, its lower bound, too.
        const bound = i + 1 < PMP_ENTRIES ? i32.eq(i32.and(i32.load8U(0, s.at('pmpcfg') + i + 1), 0x98), 0x88) : i32.const(0)
        f.if(i32.eqz(i32.or(locked, bound)), () => {
          f.do(i64.store(0, i64.and(value, (1n << 54n) - 1n), at))
          f.do(call(host.pmpChanged))
        })
      },
    }
  }

  const byNumber = new Map(definitions.map((definition) => [definition.number, definition]))
  const ordered = csrOrder.slice(1).map((number) => {
    const definition = byNumber.get(number)
    if (!definition) throw new RangeError(`CSR ${number} has no definition`)
    return definition
  })
  const table = (f: Func, index: Expr<'i32'>, body: (definition: CsrDefinition) => void, missing: () => void): void =>
    emitSwitch(
      f,
      index,
      [missing, ...ordered.map((definition) => () => body(definition))],
      missing,
    )

  const denied = m.func('csrDenied', ['i32', 'i32'], 'i32', (f, index, write) => {
    table(
      f,
      index,
      ({ number, denied: more }) => {
        // Bits 11:10 of the number say whether it is read-only, bits 9:8 the lowest privilege.
        if (number >> 10 === 3) f.if(write, () => f.return(1))
        if ((number >> 8) & 3) f.if(i32.ltU(s.get('mode'), (number >> 8) & 3), () => f.return(1))
        f.return(more ? more(f) : 0)
      },
      () => f.return(1),
    )
    f.return(1)
  })
  const read = m.func('csrRead', ['i32'], 'i64', (f, index) => {
    table(f, index, (definition) => f.return(definition.read(f)), () => f.return(0))
    f.return(0)
  })
  const modify = m.func('csrModify', ['i32'], 'i64', (f, index) => {
    for (const number of [Csr.mip, Csr.sip]) {
      const special = byNumber.get(number)?.modify
      if (special) f.if(i32.eq(index, csrIndex(number)), () => f.return(special(f)))
    }
    f.return(call(read, index))
  })
  const write = m.func('csrWrite', ['i32', 'i64'], 'void', (f, index, value) => {
    table(f, index, (definition) => definition.write(f, value), () => undefined)
  })
  return { denied, read, modify, write, updateFloat, writeSstatus }
}
