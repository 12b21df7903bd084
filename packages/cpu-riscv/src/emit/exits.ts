import { chainRegions } from '@machinist/cpu-core'
import { PAGE_SIZE } from '@machinist/memory'
import { tlbLayout } from '@machinist/mmu'
import { emitExits, type RegionExits } from '@machinist/translator'
import { i32, i64, type ModuleBuilder } from '@machinist/wasm'
import { ENTER_FIELD, handlerOf, Pseudo } from '../handlers.ts'
import type { HartState } from './state.ts'

/**
 * The ways out of translated code, in the hart module: regions import them.
 *
 * @param jumps - address of the remembered jumps
 */
export function emitRegionExits(m: ModuleBuilder, s: HartState, jumps: number): RegionExits {
  const chain = chainRegions(m, {
    jumps,
    granule: 2,
    bank: () => s.get('fetchBank'),
    stamp: (bank) => i64.load(bank, tlbLayout.stamp),
    find: (f, ops, pc, enter) => {
      const op = f.let(i32.add(ops, i32.shl(i32.and(i32.wrap(pc), PAGE_SIZE - 2), 2)))
      f.if(i32.eq(i32.load16U(op), handlerOf(Pseudo.enter, 4)), () => enter(i32.load(op, ENTER_FIELD.target)))
    },
  })
  return emitExits(m, { pc: s.at('pc'), va: s.at('exitVa'), exit: s.at('exitKind'), access: s.at('exitAccess'), budget: s.at('budget'), chain })
}
