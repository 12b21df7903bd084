import { type FuncRef, i32, i64, select } from '@machinist/wasm'
import { PMP_ENTRIES } from '../hart-layout.ts'
import type { Emit } from './context.ts'

/**
 * Physical memory protection (privileged specification, 3.7): `(address, bytes, access, machine)` → 1 when the
 * whole range may be accessed. A range that an entry matches in part is refused, as the specification says of one
 * access; for a whole page it means that the page cannot be cached.
 */
export type PmpCheck = FuncRef<readonly ['i64', 'i32', 'i32', 'i32'], 'i32'>

export function emitPmp({ m, s }: Emit): PmpCheck {
  return m.func('pmp', ['i64', 'i32', 'i32', 'i32'], 'i32', (f, address, bytes, access, machine) => {
    f.if(i32.or(s.get('pmpOpen'), i32.and(machine, i32.eqz(s.get('pmpActive')))), () => f.return(1))
    const index = f.local('i32')
    const end = f.let(i64.add(address, i64.extendU(bytes)))
    const low = f.local('i64')
    const high = f.local('i64')
    const cfg = f.local('i32')
    f.loop((next) => {
      f.set(low, s.element('pmpLow', index))
      f.set(high, s.element('pmpHigh', index))
      f.if(i32.and(i64.ltU(address, high), i64.gtU(end, low)), () => {
        f.if(i32.or(i64.ltU(address, low), i64.gtU(end, high)), () => f.return(0))
        f.set(cfg, s.element('pmpcfg', index))
        // Unlocked entries do not bind M-mode.
        f.return(select('i32', i32.and(machine, i32.eqz(i32.and(cfg, 0x80))), 1, i32.and(i32.shrU(cfg, access), 1)))
      })
      f.set(index, i32.add(index, 1))
      f.brIf(next, i32.ltU(index, PMP_ENTRIES))
    })
    // No entry matches: M-mode may, others may not.
    f.return(machine)
  })
}
