import { callRegion, Leave } from '@machinist/cpu-core'
import { fetchEntry, tagOf, tlbLayout } from '@machinist/mmu'
import { Exit, LIMITS } from '@machinist/translator'
import { call, type Expr, type Func, type FuncRef, i32, i64, type Label, type ModuleBuilder, select } from '@machinist/wasm'
import type { CrawlFunctions } from './crawl.ts'
import type { CoreParts } from './core.ts'
import { hotHandlers } from './hot-variants.ts'
import { goTo, type HotPlace, HotStage } from './hot-stage.ts'
import { Register, SegmentBit, segmentLayout, SegmentRight, type State } from './layout.ts'
import { DenseKey, denseLayout, densePage, ENTER_FIELD, PLACE_BITS, Pseudo } from './op-format.ts'
import type { StepFunctions } from './steps.ts'
import { currentBank } from './tlb.ts'

/** Steps that ops may do beyond their budget: of those that are decoded at once there are fewer. And translated code. */
export const OVERRUN = 64
export const REGION_OVERRUN: number = LIMITS.most + OVERRUN

export interface RunParts extends CrawlFunctions, Pick<StepFunctions, 'stepAt'> {
  readonly parts: CoreParts
  /** `(ops, offset, key)` → the number of the op that begins there, decoded with those behind it as code of that DenseKey. */
  readonly decodeRun: FuncRef<readonly ['i32', 'i32', 'i32'], 'i32'>
}

/**
 * Emits and exports `run`: as `crawl`, but 64-bit code, and flat 32-bit code, goes by the ops of its page or as translated code, and the budget is looked at where control jumps, so that it may be
 * overrun by OVERRUN, or by REGION_OVERRUN unless `plain` is set. And `outside`, for translated code: executes the instruction at an address; 1 when control went on behind it, and nothing else.
 */
export function emitRun(m: ModuleBuilder, { parts, turn, stepped, stepAt, decodeRun }: RunParts): void {
  const { state, shared } = parts
  m.export('outside', emitOutside(m, state, turn))
  const flat = emitFlat(m, state)
  const run = m.func('run', [], 'void', (f) => {
    const place = {
      op: f.local('i32'), ops: f.local('i32'), page: f.local('i64'), budget: f.local('i32'), tlb: f.local('i32'), mask: f.local('i64'), target: f.local('i64'),
      kind: f.local('i32'), shift: f.local('i32'), source: f.local('i64'), result: f.local('i64'),
    }
    const key = f.local('i32')
    // Whether control came to `target` by a jump.
    const arriving = f.local('i32')
    const { op, ops, page, budget, tlb, mask, target, kind, shift, source, result } = place
    const save = (): void => {
      f.do(state.set32('budget', budget))
      f.do(state.set32('flagKind', kind))
      f.do(state.set32('flagShift', shift))
      f.do(state.set64('flagSource', source))
      f.do(state.set64('flagResult', result))
    }
    const load = (): void => {
      f.set(budget, state.get32('budget'))
      f.set(kind, state.get32('flagKind'))
      f.set(shift, state.get32('flagShift'))
      f.set(source, state.get64('flagSource'))
      f.set(result, state.get64('flagResult'))
    }
    const offsetOf = (): Expr<'i32'> => i32.and(i32.load16U(op, denseLayout.place), 2 ** PLACE_BITS - 1)
    /** With the instruction of the op as the one that is to be executed, and counted. */
    const leave = (): void => {
      f.set(budget, i32.add(budget, 1))
      save()
      f.do(state.set64('pc', i64.add(page, i64.extendU(offsetOf()))))
    }
    /** Calls the function of the op's instruction; goes on behind it when nothing has happened, the page is where it was, and its next instruction is decoded. */
    const callFunction = (next: Label, resume: Label): void => {
      leave()
      const raised = f.let(call(stepAt, i32.add(i32.load(ops, densePage.frame), offsetOf()), key))
      f.do(call(stepped, raised))
      f.do(state.set32('budget', i32.sub(state.get32('budget'), 1)))
      f.brIf(resume, i32.or(i32.or(raised, state.get32('leave')), i32.or(state.get32('attention'), state.get32('waiting'))))
      const pc = f.let(state.get64('pc'))
      const behind = f.let(i32.sub(i32.wrap(pc), i32.wrap(page)))
      f.brIf(resume, i32.or(i64.ne(pc, state.get64('next')), i32.geU(behind, 4096)))
      // Whatever moves the page, or forgets its ops, empties its entry.
      const slot = f.let(fetchEntry(tlb, page))
      const same = i32.and(i64.eq(i64.load(slot, tlbLayout.fetch), tagOf(page)), i32.eq(i32.load(slot, tlbLayout.fetch + tlbLayout.dataOffset), ops))
      f.brIf(resume, i32.eqz(same))
      const number = f.let(i32.load16U(i32.add(ops, i32.shl(behind, 1)), densePage.map))
      f.brIf(resume, i32.or(i32.eqz(number), i32.leS(state.get32('budget'), 0)))
      load()
      f.set(op, i32.add(ops, i32.shl(number, Math.log2(denseLayout.size))))
      f.br(next)
    }
    /** Calls the translated code that an op enters, and goes on where it leaves. */
    const callTranslated = (next: Label, jump: Label, resume: Label): void => {
      // Dispatching the op has counted one instruction too many.
      f.set(budget, i32.add(budget, 1))
      f.if(state.get32('plain'), () => {
        f.set(op, i32.add(ops, i32.shl(i32.load(op, ENTER_FIELD.original), Math.log2(denseLayout.size))))
        f.br(next)
      })
      save()
      const to = f.let(i32.load(op, ENTER_FIELD.target))
      const left = f.let(callRegion(m, to, page, budget))
      f.do(state.set64('regionSteps', i64.add(state.get64('regionSteps'), i64.extendS(i32.sub(budget, left)))))
      f.do(state.set32('budget', left))
      f.if(i32.eq(state.get32('exitKind'), Exit.jump), () => {
        load()
        f.set(target, i64.and(state.get64('pc'), mask))
        f.set(arriving, 1)
        f.br(jump)
      })
      f.do(state.set64('pc', i64.and(state.get64('pc'), mask)))
      f.brIf(resume, i32.eq(state.get32('exitKind'), Exit.moved))
      f.do(call(turn))
      f.br(resume)
    }
    f.loop((resume) => {
      f.if(state.get32('leave'), () => f.return())
      f.set(key, select('i32', i32.eq(state.get32('mode'), 64), DenseKey.long, DenseKey.flat))
      f.set(mask, select('i64', i32.eq(key, DenseKey.long), -1n, 0xffff_ffffn))
      const odd = f.let(i32.or(state.get32('attention'), state.get32('waiting')))
      f.if(i32.ne(key, DenseKey.long), () => f.set(odd, i32.or(odd, i32.eqz(call(flat)))))
      f.if(odd, () => {
        f.do(call(turn))
        f.br(resume)
      })
      f.set(target, state.get64('pc'))
      f.set(tlb, currentBank(state))
      f.set(arriving, 0)
      load()
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
        f.if(i32.or(i32.eqz(op), i32.ne(i32.load(ops, densePage.key), key)), () => f.set(op, call(decodeRun, ops, offset, key)))
        f.if(arriving, () => f.do(i32.store8(i32.add(ops, offset), 1, densePage.marks)))
        f.set(arriving, 1)
        f.set(op, i32.add(ops, i32.shl(op, Math.log2(denseLayout.size))))
        f.loop((next) => {
          f.block((escape) => {
            f.block((enter) => {
              f.block((outside) => emitHandlers(f, parts, { ...place, next, jump, escape }, outside, enter))
              callFunction(next, resume)
            })
            callTranslated(next, jump, resume)
          })
          leave()
          f.do(call(turn))
          f.br(resume)
        })
      })
    })
  })
  m.export('run', run)
}

/** See `emitRun`. What it executes may change numbers and memory, and nothing that translated code takes as known. */
function emitOutside(m: ModuleBuilder, state: State, turn: CrawlFunctions['turn']): FuncRef<readonly ['i64', 'i32'], 'i32'> {
  return m.func('outside', ['i64', 'i32'], 'i32', (f, pc, budget) => {
    const [bank, unretired] = [f.let(currentBank(state)), f.let(state.get64('unretired'))]
    f.do(state.set64('pc', pc))
    f.do(state.set32('budget', budget))
    f.do(state.set32('dropped', 0))
    f.do(call(turn))
    const behind = i32.and(i64.eq(state.get64('pc'), state.get64('next')), i64.eq(unretired, state.get64('unretired')))
    const wanted = (['leave', 'attention', 'waiting', 'dropped', 'repeating'] as const).map((field) => state.get32(field)).reduce((all, one) => i32.or(all, one))
    f.return(i32.and(behind, i32.and(i32.eqz(wanted), i32.eq(bank, currentBank(state)))))
  })
}

/** Whether code is of 32 bits, and its segments but for FS and GS are all that there is. */
function emitFlat(m: ModuleBuilder, state: State): FuncRef<readonly [], 'i32'> {
  return m.func('isFlat', [], 'i32', (f) => {
    f.if(i32.ne(state.get32('mode'), 32), () => f.return(0))
    const both = SegmentRight.read | SegmentRight.write
    for (const [register, wanted, bits] of [[Register.cs, 0, 0], [Register.ss, both | SegmentBit.big, both | SegmentBit.big], [Register.ds, both, both], [Register.es, both, both]] as const) {
      const at = state.segment(register)
      const limits = i64.ne(i64.load(at + segmentLayout.low), BigInt.asIntN(64, 0xffff_ffff_0000_0000n))
      const rights = i32.ne(i32.and(i32.load(at + segmentLayout.rights), bits), wanted)
      f.if(i32.or(i32.or(limits, rights), i64.ne(i64.load(at + segmentLayout.base), 0)), () => f.return(0))
    }
    f.return(1)
  })
}

/** The dispatch, and the code of every handler; never falls through. */
function emitHandlers(f: Func, parts: CoreParts, place: HotPlace, outside: Label, enter: Label): void {
  const { op, budget, escape } = place
  const go = f.open('block')
  const labels: Label[] = [escape, go, outside, enter]
  for (let i = hotHandlers().length - 1; i >= 0; i--) labels[Pseudo.count + i] = f.open('block')
  f.set(budget, i32.sub(budget, 1))
  f.brTable(i32.load16U(op, denseLayout.handler), labels, escape)
  hotHandlers().forEach(({ variant, second }, i) => {
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
