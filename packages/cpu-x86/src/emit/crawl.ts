import { call, type FuncRef, i32, i64, type ModuleBuilder } from '@machinist/wasm'
import type { State } from './layout.ts'
import type { StepFunctions } from './steps.ts'
import { EventKind } from './system/interrupts.ts'

/** Why a run ends: `leave` of the state. */
export const Leave = { none: 0, budget: 1, halt: 2, yield: 3, debug: 4, raised: 5 } as const

/** What `poll` says: the next instruction is to be executed, something was raised in its place, or the processor waits. */
export const Polled = { clear: 0, raised: 1, waits: 2 } as const

export interface EventFunctions {
  /** What comes before the next instruction: Polled. Asked only when that will be executed otherwise. */
  readonly poll: FuncRef<readonly [], 'i32'>
  /** Goes to the handler of what was raised. */
  readonly take: FuncRef<readonly [], 'void'>
}

/**
 * Emits and exports `crawl`: runs one step at a time, until the budget is used up or `leave` is set. A step is an instruction that ends, one
 * iteration of REP, or an event that is taken in the place of an instruction or after a fault of it.
 */
export function emitCrawl(m: ModuleBuilder, state: State, { step }: StepFunctions, { poll, take }: EventFunctions): FuncRef<readonly [], 'void'> {
  const crawl = m.func('crawl', [], 'void', (f) => {
    f.loop((again) => {
      f.if(state.get32('leave'), () => f.return())
      f.if(i32.leS(state.get32('budget'), 0), () => {
        f.do(state.set32('leave', Leave.budget))
        f.return()
      })
      const polled = f.let(i32.const(Polled.clear))
      f.if(state.get32('attention'), () => f.set(polled, call(poll)))
      f.if(i32.eq(polled, Polled.waits), () => {
        f.do(state.set32('leave', Leave.halt))
        f.return()
      })
      f.if(i32.eqz(polled), () => f.set(polled, call(step)))
      f.if(polled, () => {
        f.if(i32.and(state.get32('event'), EventKind.fault), () => f.do(state.set64('unretired', i64.add(state.get64('unretired'), 1))))
        f.do(call(take))
      })
      f.do(state.set32('budget', i32.sub(state.get32('budget'), 1)))
      f.br(again)
    })
  })
  m.export('crawl', crawl)
  return crawl
}
