import { call, type Expr, i32, i64, type Local, select } from '@machinist/wasm'
import { Mode } from '../../cause.ts'
import { Csr } from '../../csr-numbers.ts'
import { Envcfg } from '../../status.ts'
import { bit, type Emit } from '../context.ts'
import type { TranslationFunctions } from '../translation.ts'
import type { TrapFunctions } from '../trap.ts'
import { attend, type CsrDefinition, mergedBy, plain } from './definition.ts'

/** Bits of mip, mie and mideleg that exist. */
const M_INTERRUPTS = 0xaaan
const S_INTERRUPTS = 0x222n
/** Every exception but ECALL from M-mode can be delegated. */
const DELEGABLE = 0xb3ffn
const ENVCFG = Envcfg.FIOM | Envcfg.CBCFE | Envcfg.CBZE
const STIP = 1n << 5n

/** What is pending, enabled and delegated, the timer of Sstc, and `menvcfg`, which turns that on (privileged specification, 3.1.8, 3.1.9, 3.1.18). */
export function interruptCsrs({ s, host }: Emit, translation: TranslationFunctions, traps: TrapFunctions): readonly CsrDefinition[] {
  const usesSstc = (): Expr<'i32'> => bit(s.get('menvcfg'), Envcfg.STCE)
  const legalCbie = (old: Expr<'i64'>, value: Local<'i64'>): Expr<'i64'> =>
    select('i64', i64.eq(i64.and(value, Envcfg.CBIE), 2n << 4n), i64.and(old, Envcfg.CBIE), i64.and(value, Envcfg.CBIE))
  return [
    {
      number: Csr.sie,
      read: () => i64.and(s.get('mie'), s.get('mideleg')),
      write: (f, value) => {
        f.do(s.set('mie', mergedBy(s.get('mie'), value, f.let(s.get('mideleg')))))
        attend(s, f)
      },
    },
    {
      number: Csr.sip,
      read: (f) => i64.and(traps.pending(f), s.get('mideleg')),
      modify: () => i64.and(s.get('mip'), s.get('mideleg')),
      // Only SSIP is writable from S-mode, and only when delegated.
      write: (f, value) => {
        f.do(s.set('mip', mergedBy(s.get('mip'), value, f.let(i64.and(s.get('mideleg'), 2)))))
        attend(s, f)
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
    {
      number: Csr.senvcfg,
      read: () => s.get('senvcfg'),
      write: (f, value) => f.do(s.set('senvcfg', i64.or(i64.and(value, ENVCFG), legalCbie(s.get('senvcfg'), value)))),
    },
    plain(s, Csr.medeleg, 'medeleg', DELEGABLE),
    {
      number: Csr.mideleg,
      read: () => s.get('mideleg'),
      write: (f, value) => {
        f.do(s.set('mideleg', i64.and(value, S_INTERRUPTS)))
        attend(s, f)
      },
    },
    {
      number: Csr.mie,
      read: () => s.get('mie'),
      write: (f, value) => {
        f.do(s.set('mie', i64.and(value, M_INTERRUPTS)))
        attend(s, f)
      },
    },
    {
      number: Csr.mip,
      read: (f) => traps.pending(f),
      modify: () => s.get('mip'),
      // With Sstc on, STIP is a line; otherwise software sets it.
      write: (f, value) => {
        f.do(s.set('mip', mergedBy(s.get('mip'), value, f.let(select('i64', usesSstc(), S_INTERRUPTS & ~STIP, S_INTERRUPTS)))))
        attend(s, f)
      },
    },
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
  ]
}
