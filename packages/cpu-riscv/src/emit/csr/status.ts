import { call, type Expr, type FuncRef, i64, select } from '@machinist/wasm'
import { Csr } from '../../csr-numbers.ts'
import { Status } from '../../status.ts'
import { bit, type Emit } from '../context.ts'
import type { HartState } from '../state.ts'
import type { TranslationFunctions } from '../translation.ts'
import type { TrapFunctions } from '../trap.ts'
import { attend, type CsrDefinition, merged } from './definition.ts'

const SSTATUS = Status.SIE | Status.SPIE | Status.SPP | Status.FS | Status.SUM | Status.MXR
const MSTATUS = SSTATUS | Status.MIE | Status.MPIE | Status.MPRV | Status.TVM | Status.TW | Status.TSR

/** What `sstatus` reads as. */
export function readSstatus(s: HartState): Expr<'i64'> {
  return i64.and(s.get('mstatus'), SSTATUS | Status.UXL | Status.SD)
}

export interface StatusCsrs {
  readonly definitions: readonly CsrDefinition[]
  /** `(value)`: writes `sstatus`; 1 when no interrupt is pending that this may have let through. */
  readonly writeSstatus: FuncRef<readonly ['i64'], 'i32'>
}

/** `mstatus` and `sstatus` (privileged specification, 3.1.6 and 12.1.1). */
export function statusCsrs({ m, s }: Emit, translation: TranslationFunctions, traps: TrapFunctions, updateFloat: FuncRef<readonly [], 'void'>): StatusCsrs {
  const writeStatus = m.func('writeMstatus', ['i64'], 'void', (f, value) => {
    const old = f.let(s.get('mstatus'))
    // SD summarises FS.
    f.set(value, i64.and(value, ~Status.SD))
    f.set(value, i64.or(value, select('i64', i64.eq(i64.and(value, Status.FS), Status.FS), Status.SD, 0)))
    f.do(s.set('mstatus', value))
    attend(s, f)
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
  return {
    writeSstatus,
    definitions: [
      {
        number: Csr.sstatus,
        read: () => readSstatus(s),
        write: (f, value) => f.drop(call(writeSstatus, value)),
      },
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
    ],
  }
}
