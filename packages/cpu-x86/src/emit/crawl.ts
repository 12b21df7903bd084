import { Debug, Leave } from '@machinist/cpu-core'
import { call, type Expr, type FuncRef, i32, i64, type ModuleBuilder } from '@machinist/wasm'
import type { State } from './layout.ts'
import type { StepFunctions } from './steps.ts'
import { Polled } from './system/events.ts'
import type { SharedFunctions } from './system/functions.ts'
import { EventKind } from './system/interrupts.ts'

export interface CrawlFunctions {
  /** One step, or `leave` is set. */
  readonly turn: FuncRef<readonly [], 'void'>
  /** `(result)`: after `step` has returned that, goes to the handler of what was raised. */
  readonly stepped: FuncRef<readonly ['i32'], 'void'>
}

/** What `poll` takes as used up by the instruction that comes next. */
const perInstruction = ['attention', 'shadow', 'single', 'system'] as const

/**
 * Emits `turn`, which does one step, or sets `leave`; and `crawl`, which is exported: one step at a time, until the budget is used up or `leave` is set. A step is an instruction
 * that ends, one iteration of REP, or an event that is taken in the place of an instruction or after a fault of it.
 */
export function emitCrawl(m: ModuleBuilder, state: State, { step }: Pick<StepFunctions, 'step'>, { poll, take, debugFetch }: Pick<SharedFunctions, 'poll' | 'take' | 'debugFetch'>): CrawlFunctions {
  const raised = m.func('raised', ['i32'], 'void', (f, unretired) => {
    f.do(state.set64('unretired', i64.add(state.get64('unretired'), i64.extendU(unretired))))
    f.drop(call(take))
  })
  const faulted = (): Expr<'i32'> => i32.ne(i32.and(state.get32('event'), EventKind.fault), 0)
  const stepped = m.func('stepped', ['i32'], 'void', (f, result) => f.if(result, () => f.do(call(raised, faulted()))))
  const turn = m.func('turn', [], 'void', (f) => {
    f.if(i32.leS(state.get32('budget'), 0), () => {
      f.do(state.set32('leave', Leave.budget))
      f.return()
    })
    const polled = f.let(i32.const(Polled.clear))
    const before = perInstruction.map((field) => f.let(state.get32(field)))
    f.if(i32.or(state.get32('attention'), state.get32('waiting')), () => f.set(polled, call(poll)))
    f.if(i32.eq(polled, Polled.waits), () => {
      f.do(state.set32('leave', Leave.halt))
      f.return()
    })
    f.if(i32.and(i32.eqz(polled), i32.ne(i32.and(state.get32('debug'), Debug.fetches), 0)), () => f.if(call(debugFetch), () => {
      perInstruction.forEach((field, i) => f.do(state.set32(field, before[i] ?? 0)))
      f.return()
    }))
    f.if(polled, () => f.do(call(raised, 1)), () => f.do(call(stepped, call(step))))
    f.do(state.set32('budget', i32.sub(state.get32('budget'), 1)))
  })
  m.export('crawl', m.func('crawl', [], 'void', (f) => {
    f.loop((again) => {
      f.if(state.get32('leave'), () => f.return())
      f.do(call(turn))
      f.br(again)
    })
  }))
  return { turn, stepped }
}
