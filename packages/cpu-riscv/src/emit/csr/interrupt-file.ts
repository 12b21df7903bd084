import { call, type Expr, type Func, i32, i64, type Local, select } from '@machinist/wasm'
import { Interrupt } from '../../cause.ts'
import { Csr } from '../../csr-numbers.ts'
import { TOPEI } from '../../interrupt-file.ts'
import { bit, type Emit } from '../context.ts'
import type { TrapFunctions } from '../trap.ts'
import { attend, type CsrDefinition, plain } from './definition.ts'

/** What `siselect` holds: the registers there are, and room for values that software tries. */
const SISELECT = 0x1ffn

/** The way to the hart's interrupt file, and `stopi` (AIA 1.0, chapters 2, 3 and 5). Without Ssaia they do not exist. */
export function interruptFileCsrs({ s, host }: Emit, traps: TrapFunctions): readonly CsrDefinition[] {
  /** A register of the file passes through `mailbox`. */
  const readFile = (f: Func, register: Expr<'i32'>): Expr<'i64'> => {
    f.do(call(host.fileRead, register))
    return s.get('mailbox')
  }
  const writeFile = (f: Func, register: Expr<'i32'>, value: Local<'i64'>): void => {
    f.do(s.set('mailbox', value))
    f.do(call(host.fileWrite, register))
    attend(s, f)
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
  return [
    { ...plain(s, Csr.siselect, 'siselect', SISELECT), denied: withoutFile },
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
  ]
}
