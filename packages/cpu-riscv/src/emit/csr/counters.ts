import { call, type Expr, type Func, i32, i64, type Local, select } from '@machinist/wasm'
import { Mode } from '../../cause.ts'
import { Csr } from '../../csr-numbers.ts'
import { bit, type Emit } from '../context.ts'
import { constant, type CsrDefinition, plain } from './definition.ts'
import { range } from './order.ts'

/** Counters, and who may read them (privileged specification, 3.1.10 to 3.1.12 and 12.1.5). */
export function counterCsrs({ m, s, host }: Emit): readonly CsrDefinition[] {
  const retired = m.func('retiredNow', [], 'i64', (f) => {
    f.return(i64.sub(i64.add(s.get('steps'), i64.extendS(i32.sub(s.get('budgetStart'), s.get('budget')))), s.get('unretired')))
  })
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
  return [
    { number: Csr.cycle, read: cycle, write: () => undefined, denied: () => counterDenied(0) },
    {
      number: Csr.time,
      read: () => i64.add(i64.truncSatF64S(call(host.ticks)), s.get('timeBase')),
      write: () => undefined,
      denied: () => counterDenied(1),
    },
    { number: Csr.instret, read: instret, write: () => undefined, denied: () => counterDenied(2) },
    plain(s, Csr.scounteren, 'scounteren', 0xffff_ffffn),
    plain(s, Csr.mcounteren, 'mcounteren', 0xffff_ffffn),
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
    { number: Csr.mcycle, read: cycle, write: writeCounter('cycleOffset', 1n) },
    { number: Csr.minstret, read: instret, write: writeCounter('instretOffset', 4n) },
    ...range(3, 32).map((i): CsrDefinition => ({ ...constant(0xc00 + i, 0n), denied: () => counterDenied(i) })),
    // Hardware performance counters count no events: WARL, all zero.
    ...range(3, 32).map((i) => constant(0xb00 + i, 0n)),
    ...range(3, 32).map((i) => constant(0x320 + i, 0n)),
  ]
}
