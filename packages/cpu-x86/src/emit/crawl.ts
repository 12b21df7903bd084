import { Leave } from '@machinist/cpu-core'
import { call, type FuncRef, i32, i64, type ModuleBuilder } from '@machinist/wasm'
import type { State } from './layout.ts'
import type { StepFunctions } from './steps.ts'
import { Polled } from './system/events.ts'
import type { SharedFunctions } from './system/functions.ts'
import { EventKind } from './system/interrupts.ts'

/**
 * Emits `turn`, which does one step, or sets `leave`; and `crawl`, which is exported: one step at a time, until the budget is used up or `leave` is set. A step is an instruction
 * that ends, one iteration of REP, or an event that is taken in the place of an instruction or after a fault of it.
 */
export function emitCrawl(m: ModuleBuilder, state: State, { step }: StepFunctions, { poll, take }: Pick<SharedFunctions, 'poll' | 'take'>): FuncRef<readonly [], 'void'> {
  const turn = m.func('turn', [], 'void', (f) => {
    f.if(i32.leS(state.get32('budget'), 0), () => {
      f.do(state.set32('leave', Leave.budget))
      f.return()
    })
    const polled = f.let(i32.const(Polled.clear))
    f.if(i32.or(state.get32('attention'), state.get32('waiting')), () => f.set(polled, call(poll)))
    f.if(i32.eq(polled, Polled.waits), () => {
      f.do(state.set32('leave', Leave.halt))
      f.return()
    })
    const unretired = f.let(polled)
    f.if(i32.eqz(polled), () => {
      f.set(polled, call(step))
      f.set(unretired, i32.and(polled, i32.ne(i32.and(state.get32('event'), EventKind.fault), 0)))
    })
    f.if(polled, () => {
      f.do(state.set64('unretired', i64.add(state.get64('unretired'), i64.extendU(unretired))))
      f.drop(call(take))
    })
    f.do(state.set32('budget', i32.sub(state.get32('budget'), 1)))
  })
  m.export('crawl', m.func('crawl', [], 'void', (f) => {
    f.loop((again) => {
      f.if(state.get32('leave'), () => f.return())
      f.do(call(turn))
      f.br(again)
    })
  }))
  return turn
}
