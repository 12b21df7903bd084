import { PAGE_SIZE } from '@machinist/memory'
import { fetchEntry, tagOf, tlbLayout } from '@machinist/mmu'
import { emitExits, type ExitPlace, REGION_PARAMS, type RegionExits } from '@machinist/translator'
import { i32, i64, type Local, type ModuleBuilder } from '@machinist/wasm'
import { ENTER_FIELD, ENTRY_BITS, handlerOf, JUMP_FIELD, JUMP_SIZE, JUMPS, Pseudo } from '../handlers.ts'
import type { HartState } from './state.ts'

/**
 * The ways out of translated code, in the hart module: regions import them.
 *
 * @param jumps - address of the remembered jumps
 */
export function emitRegionExits(m: ModuleBuilder, s: HartState, jumps: number): RegionExits {
  // From region to region without the interpreter between them: what it would find in the fetch TLB, and at the op there.
  const chain: ExitPlace['chain'] = (f, pc, budget) => {
    const page = f.let(i64.and(pc, -PAGE_SIZE))
    const enter = (to: Local<'i32'>): void =>
      m.returnCallIndirect(f, REGION_PARAMS, 'i32', i32.shrU(to, ENTRY_BITS), i32.and(to, (1 << ENTRY_BITS) - 1), page, budget)
    const bank = f.let(s.get('fetchBank'))
    const mixed = i64.xor(i64.shrU(pc, 1), i64.shrU(pc, 12))
    const jump = f.let(i32.add(i32.mul(i32.and(i32.wrap(mixed), JUMPS - 1), JUMP_SIZE), jumps))
    const stamp = f.let(i64.load(bank, tlbLayout.stamp))
    f.if(i32.and(i64.eq(i64.load(jump, JUMP_FIELD.pc), pc), i64.eq(i64.load(jump, JUMP_FIELD.stamp), stamp)), () =>
      enter(f.let(i32.load(jump, JUMP_FIELD.target))),
    )
    const entry = f.let(fetchEntry(bank, pc))
    f.if(i64.eq(i64.load(entry, tlbLayout.fetch), tagOf(pc)), () => {
      const op = f.let(i32.add(i32.load(entry, tlbLayout.fetch + tlbLayout.dataOffset), i32.shl(i32.and(i32.wrap(pc), PAGE_SIZE - 2), 2)))
      f.if(i32.eq(i32.load16U(op), handlerOf(Pseudo.enter, 4)), () => {
        const to = f.let(i32.load(op, ENTER_FIELD.target))
        f.do(i64.store(jump, pc, JUMP_FIELD.pc))
        f.do(i64.store(jump, stamp, JUMP_FIELD.stamp))
        f.do(i32.store(jump, to, JUMP_FIELD.target))
        enter(to)
      })
    })
  }
  return emitExits(m, { pc: s.at('pc'), va: s.at('exitVa'), exit: s.at('exitKind'), access: s.at('exitAccess'), budget: s.at('budget'), chain })
}
