import { call, i32, i64 } from '@machinist/wasm'
import { Csr } from '../../csr-numbers.ts'
import { PMP_ENTRIES } from '../../hart-layout.ts'
import type { Emit } from '../context.ts'
import { constant, type CsrDefinition } from './definition.ts'
import { range } from './order.ts'

/** Physical memory protection (privileged specification, 3.7.1). Entries that are not implemented read as zero. */
export function pmpCsrs({ s, host }: Emit): readonly CsrDefinition[] {
  /** `pmpcfg(2i)` holds eight configurations. */
  const pmpcfg = (i: number): CsrDefinition => {
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
  const pmpaddr = (i: number): CsrDefinition => {
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
  return [...range(0, 8).map(pmpcfg), ...range(0, 64).map(pmpaddr)]
}
