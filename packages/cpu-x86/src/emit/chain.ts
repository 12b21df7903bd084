import { chainRegions } from '@machinist/cpu-core'
import { tlbLayout } from '@machinist/mmu'
import type { ExitPlace } from '@machinist/translator'
import { type Expr, i32, i64, type ModuleBuilder } from '@machinist/wasm'
import type { State } from './layout.ts'
import { denseLayout, densePage, ENTER_FIELD, Pseudo } from './op-format.ts'
import { currentBank } from './tlb.ts'

/** Where the mode lies in what tells jumps apart, above the stamps of banks. */
const MODE_SHIFT = 56

/**
 * How translated code goes on to other translated code. The bytes at an address may be those of 64-bit code and of 32-bit code, so remembered jumps have the mode as well. Whether code is flat changes only where
 * translated code is left.
 *
 * @param jumps - address of the remembered jumps
 */
export function chainOf(m: ModuleBuilder, state: State, jumps: Expr<'i32'>): NonNullable<ExitPlace['chain']> {
  return chainRegions(m, {
    jumps,
    granule: 1,
    bank: () => currentBank(state),
    stamp: (bank) => i64.or(i64.load(bank, tlbLayout.stamp), i64.shl(i64.extendU(state.get32('mode')), MODE_SHIFT)),
    find: (f, found, pc, enter) => {
      // 0 of a page whose bytes were only looked at.
      const ops = f.let(found)
      const number = i32.load16U(i32.add(ops, i32.shl(i32.and(i32.wrap(pc), 4095), 1)), densePage.map)
      const op = f.let(i32.add(ops, i32.shl(number, Math.log2(denseLayout.size))))
      const same = i32.eq(i32.and(i32.load(ops, densePage.key), -2), state.get32('mode'))
      f.if(i32.and(i32.and(i32.ne(ops, 0), same), i32.eq(i32.load16U(op, denseLayout.handler), Pseudo.enter)), () => enter(i32.load(op, ENTER_FIELD.target)))
    },
  })
}
