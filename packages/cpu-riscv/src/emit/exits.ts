import { PAGE_SIZE } from '@machinist/memory'
import { fetchEntry, tlbLayout } from '@machinist/mmu'
import { emitExits, type ExitPlace, REGION_PARAMS, type RegionExits } from '@machinist/translator'
import { i32, i64, type ModuleBuilder } from '@machinist/wasm'
import { ENTER_FIELD, ENTRY_BITS, handlerOf, Pseudo } from '../handlers.ts'
import type { HartState } from './state.ts'

/** The ways out of translated code, in the hart module: regions import them. */
export function emitRegionExits(m: ModuleBuilder, s: HartState): RegionExits {
  // From region to region without the interpreter between them: what it would find in the fetch TLB, and at the op there.
  const chain: ExitPlace['chain'] = (f, pc, budget) => {
    const entry = f.let(fetchEntry(s.get('fetchBank'), pc))
    const page = f.let(i64.and(pc, -PAGE_SIZE))
    f.if(i64.eq(i64.load(entry, tlbLayout.fetch), page), () => {
      const op = f.let(i32.add(i32.load(entry, tlbLayout.fetch + tlbLayout.dataOffset), i32.shl(i32.and(i32.wrap(pc), PAGE_SIZE - 2), 2)))
      f.if(i32.eq(i32.load16U(op), handlerOf(Pseudo.enter, 4)), () => {
        const to = f.let(i32.load(op, ENTER_FIELD.target))
        m.returnCallIndirect(f, REGION_PARAMS, 'i32', i32.shrU(to, ENTRY_BITS), i32.and(to, (1 << ENTRY_BITS) - 1), page, budget)
      })
    })
  }
  return emitExits(m, { pc: s.at('pc'), va: s.at('exitVa'), exit: s.at('exitKind'), access: s.at('exitAccess'), budget: s.at('budget'), chain })
}
