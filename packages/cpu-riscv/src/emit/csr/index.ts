import { call, type Expr, type Func, type FuncRef, i32 } from '@machinist/wasm'
import { Mode } from '../../cause.ts'
import { Csr } from '../../csr-numbers.ts'
import { Envcfg, MISA, Status } from '../../status.ts'
import { bit, type Emit, emitSwitch } from '../context.ts'
import type { HartState } from '../state.ts'
import type { TranslationFunctions } from '../translation.ts'
import type { TrapFunctions } from '../trap.ts'
import { counterCsrs } from './counters.ts'
import { constant, type CsrDefinition, plain } from './definition.ts'
import { floatCsrs } from './float.ts'
import { interruptFileCsrs } from './interrupt-file.ts'
import { interruptCsrs } from './interrupts.ts'
import { csrIndex, csrOrder } from './order.ts'
import { pmpCsrs } from './pmp.ts'
import { statusCsrs } from './status.ts'
import { triggerCsrs } from './triggers.ts'

export { readSstatus } from './status.ts'

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

/** Emits the functions by which instructions access control and status registers. */
export function emitCsrs(e: Emit, translation: TranslationFunctions, traps: TrapFunctions): CsrFunctions {
  const { m, s } = e
  const float = floatCsrs(e)
  const status = statusCsrs(e, translation, traps, float.updateFloat)
  const definitions: readonly CsrDefinition[] = [
    ...float.definitions,
    ...status.definitions,
    ...counterCsrs(e),
    ...interruptCsrs(e, translation, traps),
    ...interruptFileCsrs(e, traps),
    ...pmpCsrs(e),
    ...[...plainSupervisor].map(([number, { field, mask }]) => plain(s, number, field, mask)),
    plain(s, Csr.stvec, 'stvec', ~2n),
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
    constant(Csr.misa, MISA),
    ...triggerCsrs,
    plain(s, Csr.mtvec, 'mtvec', ~2n),
    plain(s, Csr.mscratch, 'mscratch'),
    plain(s, Csr.mepc, 'mepc', ~1n),
    plain(s, Csr.mcause, 'mcause'),
    plain(s, Csr.mtval, 'mtval'),
  ]
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
  return { denied, read, modify, write, updateFloat: float.updateFloat, writeSstatus: status.writeSstatus }
}
