import { Leave } from '@machinist/cpu-core'
import { fetchEntry, tagOf, tlbLayout } from '@machinist/mmu'
import { call, type Func, type FuncRef, i32, i64, type Label, type ModuleBuilder } from '@machinist/wasm'
import type { CoreParts } from './core.ts'
import { hotHandlers } from './hot-variants.ts'
import { goTo, type HotPlace, HotStage } from './hot-stage.ts'
import { denseLayout, densePage, PLACE_BITS, Pseudo } from './op-format.ts'
import { currentBank } from './tlb.ts'

/** Steps that a run may do beyond its budget. */
export const OVERRUN = 4096

export interface RunParts {
  readonly parts: CoreParts
  /** One step, as `crawl` does them. */
  readonly turn: FuncRef<readonly [], 'void'>
  /** `(ops, offset)` → the number of the op that begins there, decoded with those behind it. */
  readonly decodeRun: FuncRef<readonly ['i32', 'i32'], 'i32'>
}

/**
 * Emits and exports `run`: as `crawl`, but 64-bit code goes by the ops of its page, and the budget is looked at where control jumps, so that it may be
 * overrun by what a page has.
 */
export function emitRun(m: ModuleBuilder, { parts, turn, decodeRun }: RunParts): void {
  const { state, shared } = parts
  const run = m.func('run', [], 'void', (f) => {
    const place = {
      op: f.local('i32'), ops: f.local('i32'), page: f.local('i64'), budget: f.local('i32'), tlb: f.local('i32'), target: f.local('i64'),
      kind: f.local('i32'), shift: f.local('i32'), source: f.local('i64'), result: f.local('i64'),
    }
    const { op, ops, page, budget, tlb, target, kind, shift, source, result } = place
    const save = (): void => {
      f.do(state.set32('budget', budget))
      f.do(state.set32('flagKind', kind))
      f.do(state.set32('flagShift', shift))
      f.do(state.set64('flagSource', source))
      f.do(state.set64('flagResult', result))
    }
    f.loop((resume) => {
      f.if(state.get32('leave'), () => f.return())
      f.if(i32.or(i32.or(state.get32('attention'), state.get32('waiting')), i32.ne(state.get32('mode'), 64)), () => {
        f.do(call(turn))
        f.br(resume)
      })
      f.set(target, state.get64('pc'))
      f.set(budget, state.get32('budget'))
      f.set(tlb, currentBank(state))
      f.set(kind, state.get32('flagKind'))
      f.set(shift, state.get32('flagShift'))
      f.set(source, state.get64('flagSource'))
      f.set(result, state.get64('flagResult'))
      f.loop((jump) => {
        f.if(i32.leS(budget, 0), () => {
          save()
          f.do(state.set64('pc', target))
          f.do(state.set32('leave', Leave.budget))
          f.return()
        })
        const slot = f.let(fetchEntry(tlb, target))
        f.set(ops, i32.load(slot, tlbLayout.fetch + tlbLayout.dataOffset))
        f.if(i32.or(i64.ne(i64.load(slot, tlbLayout.fetch), tagOf(target)), i32.eqz(ops)), () => {
          f.set(ops, call(shared.codeOps, target))
          f.if(i32.eqz(ops), () => {
            save()
            f.do(state.set64('pc', target))
            f.do(call(turn))
            f.br(resume)
          })
        })
        f.set(page, i64.and(target, -4096))
        f.do(state.set64('page', page))
        const offset = f.let(i32.and(i32.wrap(target), 4095))
        f.set(op, i32.load16U(i32.add(ops, i32.shl(offset, 1)), densePage.map))
        f.if(i32.eqz(op), () => f.set(op, call(decodeRun, ops, offset)))
        f.set(op, i32.add(ops, i32.shl(op, Math.log2(denseLayout.size))))
        f.loop((next) => {
          f.block((escape) => emitHandlers(f, parts, { ...place, next, jump, escape }))
          f.set(budget, i32.add(budget, 1))
          save()
          f.do(state.set64('pc', i64.add(page, i64.extendU(i32.and(i32.load16U(op, denseLayout.place), 2 ** PLACE_BITS - 1)))))
          f.do(call(turn))
          f.br(resume)
        })
      })
    })
  })
  m.export('run', run)
}

/** The dispatch, and the code of every handler; never falls through. */
function emitHandlers(f: Func, parts: CoreParts, place: HotPlace): void {
  const { op, budget, escape } = place
  const go = f.open('block')
  const labels: Label[] = [escape, go]
  for (let i = hotHandlers.length - 1; i >= 0; i--) labels[Pseudo.count + i] = f.open('block')
  f.set(budget, i32.sub(budget, 1))
  f.brTable(i32.load16U(op, denseLayout.handler), labels, escape)
  hotHandlers.forEach(({ variant, second }, i) => {
    const label = labels[Pseudo.count + i]
    if (label) f.close(label)
    f.scope(() => {
      const stage = new HotStage(f, parts, place, variant)
      if (second) stage.emitBoth(new HotStage(f, parts, place, second))
      else stage.emit()
    })
  })
  f.close(go)
  f.set(budget, i32.add(budget, 1))
  goTo(f, place)
}
