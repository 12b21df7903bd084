import { fetchEntry, tagOf, tlbLayout } from '@machinist/mmu'
import { Exit } from '@machinist/translator'
import { call, type Func, type FuncRef, i32, i64, type Label, type Local } from '@machinist/wasm'
import { CROSSING_FIELD, CROSSING_SIZE, CROSSINGS, ENTER_FIELD, OP_SIZE, Pseudo, variants } from '../handlers.ts'
import { callRegion, Debug, Leave } from '@machinist/cpu-core'
import { compressible } from '../isa/compressed.ts'
import { instructions } from '../isa/decoder.ts'
import type { Instruction } from '../isa/instruction.ts'
import { emitSwitch, increment } from './context.ts'
import { FastStage, type FastPlace, markArrival } from './fast-stage.ts'
import { type PreciseParts, PreciseStage } from './precise-stage.ts'

export interface InterpreterFunctions {
  /** Runs until the budget is used up (and up to a page further), or `leave` is set. */
  readonly run: FuncRef<readonly [], 'void'>
  /** The same, one step at a time, and never further. */
  readonly crawl: FuncRef<readonly [], 'void'>
  /** For translated code: executes the instruction at `pc`; see `Imports.outside`. */
  readonly outside: FuncRef<readonly ['i64', 'i32'], 'i32'>
}

/** See `emitDecoder`. */
type Decode = FuncRef<readonly ['i32', 'i32'], 'void'>

/** Whether the fast interpreter has code for an instruction of this length. */
function isFast(instruction: Instruction | undefined, length: 2 | 4): boolean {
  return instruction !== undefined && instruction.kind !== 'system' && (length === 4 || compressible.has(instruction.name))
}

/** Executes the one instruction whose op is at `op` and whose address is `pc`; counts it; takes its trap. */
function emitStep(parts: PreciseParts): { step: FuncRef<readonly ['i32'], 'void'>; fetchSlow: FuncRef<readonly [], 'void'>; takeTrap: FuncRef<readonly [], 'void'> } {
  const { e, memory, traps } = parts
  const { m, s, host } = e
  const step = m.declare('step', ['i32'], 'void')
  const fetchSlow = m.declare('fetchSlow', [], 'void')

  const takeTrap = m.func('takeTrap', [], 'void', (f) => {
    const cause = f.let(i32.sub(e.pendingCause, 1))
    f.setGlobal(e.pendingCause, 0)
    increment(e, f, 'unretired')
    f.do(s.set('budget', i32.sub(s.get('budget'), 1)))
    f.do(call(traps.trap, cause, 0, e.pendingValue))
  })

  m.define(step, (f, op) => {
    const pc = f.let(s.get('pc'))
    const handler = f.let(i32.load16U(op))
    f.if(i32.eq(i32.shrU(handler, 1), Pseudo.enter), () => {
      // The instruction that the op stands in for.
      f.set(op, i32.add(e.enters, i32.mul(i32.load16U(op, ENTER_FIELD.record), OP_SIZE)))
      f.set(handler, i32.load16U(op))
    })
    const length = f.let(i32.sub(4, i32.shl(i32.and(handler, 1), 1)))
    increment(e, f, 'slowSteps')
    f.block((trapped) => {
      f.block((done) => {
        emitSwitch(
          f,
          i32.shrU(handler, 1),
          variants.map(({ instruction: number, form }, variant) => () => {
            const instruction = instructions[number]
            if (instruction) new PreciseStage(f, parts, { op, pc, length, trapped, done }, instruction, form).emit()
            else if (variant === Pseudo.nop) f.do(s.set('pc', i64.add(pc, i64.extendU(length))))
            else {
              // A crossing instruction is fetched in halves; an op that was dropped meanwhile, again.
              f.do(call(fetchSlow))
              f.return()
            }
          }),
          () => f.unreachable(),
        )
      })
      f.do(s.set('budget', i32.sub(s.get('budget'), 1)))
      f.return()
    })
    f.do(call(takeTrap))
  })

  m.define(fetchSlow, (f) => {
    const pc = f.let(s.get('pc'))
    f.block((trapped) => {
      const bits = f.let(call(memory.fetchHalf, pc))
      f.brIf(trapped, e.pendingCause)
      f.if(i32.eq(i32.and(bits, 3), 3), () => {
        const high = f.let(call(memory.fetchHalf, i64.add(pc, 2)))
        f.brIf(trapped, e.pendingCause)
        f.set(bits, i32.or(bits, i32.shl(high, 16)))
      })
      const mixed = i32.shrU(i32.mul(bits, 0x9e37_79b1 | 0), 32 - Math.log2(CROSSINGS))
      const place = f.let(i32.add(e.crossings, i32.mul(mixed, CROSSING_SIZE)))
      const key = f.let(i64.or(i64.extendU(bits), 1n << 32n))
      f.if(i64.ne(i64.load(place, CROSSING_FIELD.bits), key), () => {
        f.do(i64.store(place, key, CROSSING_FIELD.bits))
        f.drop(call(host.decode, bits, i32.add(place, CROSSING_FIELD.op), -1))
      })
      f.do(call(step, i32.add(place, CROSSING_FIELD.op)))
      f.return()
    })
    f.do(call(takeTrap))
  })
  return { step, fetchSlow, takeTrap }
}

export function emitInterpreter(parts: PreciseParts, decode: Decode): InterpreterFunctions {
  const { e, memory, traps } = parts
  const { m, s, host } = e
  const { step, fetchSlow, takeTrap } = emitStep(parts)
  /** With `pc` in the state: fetches what the TLB lacks. Any trap is taken, any odd instruction executed. */
  const fetch = m.func('fetch', [], 'void', (f) => {
    f.if(i32.and(s.get('debug'), Debug.fetches), () => f.if(call(host.debugFetch), () => f.return()))
    const result = f.let(call(memory.fetchMiss, s.get('pc')))
    f.if(i32.eq(result, 2), () => f.do(call(takeTrap)))
    f.if(i32.eq(result, 1), () => f.do(call(fetchSlow)))
  })

  /** One instruction, at the `pc` of the state; or what it takes to fetch it. */
  const single = m.func('single', [], 'void', (f) => {
    const slot = f.let(fetchEntry(s.get('fetchBank'), s.get('pc')))
    f.if(i64.ne(i64.load(slot, tlbLayout.fetch), tagOf(s.get('pc'))), () => {
      f.do(call(fetch))
      f.return()
    })
    const ops = f.let(i32.load(slot, tlbLayout.fetch + tlbLayout.dataOffset))
    const op = f.let(i32.add(ops, i32.shl(i32.and(i32.wrap(s.get('pc')), 0xffe), 2)))
    f.if(i32.eqz(i32.shrU(i32.load16U(op), 1)), () => f.do(call(decode, ops, op)))
    f.do(call(step, op))
  })

  /** Runs the translated code that an `enter` op leads to, and goes on where it leaves. */
  function enterRegion(
    f: Func,
    { op, bias, budget, tlb, target, jump, resume, arriving }: Pick<FastPlace, 'op' | 'bias' | 'budget' | 'tlb' | 'target' | 'jump'> & { resume: Label; arriving: Local<'i32'> },
  ): void {
    const to = f.let(i32.load(op, ENTER_FIELD.target))
    const unit = i64.and(i64.add(bias, i64.extendU(i32.shrU(op, 2))), -4096)
    // Dispatching the op has counted one instruction too many.
    f.set(budget, i32.add(budget, 1))
    // Forward the interpreter may overrun its budget by a page, and no further.
    f.if(i32.leS(budget, 0), () => {
      f.set(target, i64.add(bias, i64.extendU(i32.shrU(op, 2))))
      f.br(jump)
    })
    const left = callRegion(m, to, unit, budget)
    increment(e, f, 'regionEnters')
    increment(e, f, 'regionSteps', i64.extendS(i32.sub(budget, f.tee(budget, left))))
    f.set(target, s.get('pc'))
    // CSR instructions in the region may have changed what memory looks like.
    f.set(tlb, s.get('dataBank'))
    f.brIf(jump, i32.eq(s.get('exitKind'), Exit.jump))
    f.do(s.set('budget', budget))
    f.brIf(resume, i32.eq(s.get('exitKind'), Exit.moved))
    f.if(i32.eq(s.get('exitKind'), Exit.miss), () => {
      increment(e, f, 'regionMisses')
      const access = f.let(s.get('exitAccess'))
      f.if(i32.eqz(call(memory.dataMiss, s.get('exitVa'), i32.and(access, 1), i32.shrU(access, 1))), () => {
        f.set(arriving, 0)
        f.br(jump)
      })
    })
    increment(e, f, 'regionEscapes')
    f.do(call(single))
    f.br(resume)
  }

  const run = m.func('run', [], 'void', (f) => {
    const place = {
      op: f.local('i32'),
      bias: f.local('i64'),
      budget: f.local('i32'),
      ops: f.local('i32'),
      tlb: f.local('i32'),
      target: f.local('i64'),
      va: f.local('i64'),
      missKind: f.local('i32'),
      entry: f.local('i32'),
    }
    const { op, ops, bias, budget, tlb, target } = place
    // Whether control came to `target` by a jump; not after a trap or an instruction that was stepped over.
    const arriving = f.local('i32')
    f.loop((resume) => {
      f.if(s.get('attention'), () => f.do(call(traps.poll)))
      f.set(target, s.get('pc'))
      f.set(budget, s.get('budget'))
      f.set(tlb, s.get('dataBank'))
      f.if(s.get('leave'), () => f.return())
      f.set(arriving, 0)
      f.loop((jump) => {
        f.if(i32.leS(budget, 0), () => {
          f.do(s.set('pc', target))
          f.do(s.set('budget', budget))
          f.do(s.set('leave', Leave.budget))
          f.return()
        })
        const slot = f.let(fetchEntry(s.get('fetchBank'), target))
        f.if(i64.ne(i64.load(slot, tlbLayout.fetch), tagOf(target)), () => {
          f.do(s.set('pc', target))
          f.do(s.set('budget', budget))
          f.do(call(fetch))
          f.br(resume)
        })
        f.set(ops, i32.load(slot, tlbLayout.fetch + tlbLayout.dataOffset))
        f.set(op, i32.add(ops, i32.shl(i32.and(i32.wrap(target), 0xffe), 2)))
        f.set(bias, i64.sub(i64.and(target, -4096), i64.extendU(i32.shrU(ops, 2))))
        f.if(arriving, () => markArrival(f, ops, op))
        f.set(arriving, 1)
        f.loop((next) => {
          f.block((escape) => {
            f.block((miss) => {
              f.block((enter) => {
                emitHandlers(f, parts, { ...place, next, jump, miss, escape }, enter, decode)
              })
              enterRegion(f, { ...place, jump, resume, arriving })
            })
            f.if(i32.eqz(call(memory.dataMiss, place.va, i32.and(place.missKind, 1), i32.shrU(place.missKind, 1))), () => {
              // The instruction was counted when it was dispatched, and will be again: by way of the TLB, since the walk may
              // have written to a page table in this very page, and its ops may be gone.
              f.set(budget, i32.add(budget, 1))
              f.set(target, i64.add(bias, i64.extendU(i32.shrU(op, 2))))
              f.set(arriving, 0)
              f.br(jump)
            })
          })
          f.do(s.set('pc', i64.add(bias, i64.extendU(i32.shrU(op, 2)))))
          f.do(s.set('budget', i32.add(budget, 1)))
          f.do(call(step, op))
          f.br(resume)
        })
      })
    })
  })

  const outside = m.func('outside', ['i64', 'i32'], 'i32', (f, pc, budget) => {
    const bank = f.let(s.get('fetchBank'))
    const start = f.let(s.get('unretired'))
    f.do(s.set('pc', pc))
    f.do(s.set('budget', budget))
    f.do(call(single))
    f.if(s.get('attention'), () => f.do(call(traps.poll)))
    // Still here: no trap, no interrupt, no other address space, and nobody wants the run to end. All that is executed
    // here has four bytes; a handler may begin in the middle of them.
    const next = i64.eq(s.get('pc'), i64.add(pc, 4))
    const calm = i32.and(i32.eqz(s.get('leave')), i32.eq(bank, s.get('fetchBank')))
    f.return(i32.and(i32.and(next, i64.eq(start, s.get('unretired'))), calm))
  })

  const crawl = m.func('crawl', [], 'void', (f) => {
    f.loop((again) => {
      f.if(s.get('attention'), () => f.do(call(traps.poll)))
      f.if(s.get('leave'), () => f.return())
      f.if(i32.leS(s.get('budget'), 0), () => {
        f.do(s.set('leave', Leave.budget))
        f.return()
      })
      f.do(call(single))
      f.br(again)
    })
  })
  return { run, crawl, outside }
}

/** The dispatch, and the code of every handler; never falls through. */
function emitHandlers(f: Func, { e }: PreciseParts, place: FastPlace, enter: Label, decode: Decode): void {
  const { op, ops, bias, budget, target, next, jump, escape } = place
  const undecoded = f.open('block')
  const pageEnd = f.open('block')
  const nop4 = f.open('block')
  const nop2 = f.open('block')
  const labels: Label[] = []
  const bodies: { label: Label; variant: number; length: 2 | 4 }[] = []
  variants.forEach(({ instruction }, variant) => {
    for (const length of [4, 2] as const) {
      const handler = variant * 2 + (length === 2 ? 1 : 0)
      if (variant === Pseudo.undecoded) labels[handler] = undecoded
      else if (variant === Pseudo.pageEnd) labels[handler] = pageEnd
      else if (variant === Pseudo.enter) labels[handler] = enter
      else if (variant === Pseudo.nop) labels[handler] = length === 4 ? nop4 : nop2
      else if (isFast(instructions[instruction], length)) {
        const label = f.open('block')
        labels[handler] = label
        bodies.push({ label, variant, length })
      } else labels[handler] = escape
    }
  })
  f.set(budget, i32.sub(budget, 1))
  f.brTable(i32.load16U(op), labels, escape)
  for (const { label, variant, length } of bodies.reverse()) {
    f.close(label)
    const { instruction: number, form } = variants[variant] ?? { instruction: -1, form: 'plain' as const }
    const instruction = instructions[number]
    if (!instruction) continue
    const stage = new FastStage(f, e, place, instruction, form, length)
    stage.emit()
    stage.release()
  }
  f.close(nop2)
  f.set(op, i32.add(op, 8))
  f.br(next)
  f.close(nop4)
  f.set(op, i32.add(op, 16))
  f.br(next)
  f.close(pageEnd)
  // Not an instruction: give back what dispatching it counted.
  f.set(budget, i32.add(budget, 1))
  f.set(target, i64.add(bias, i64.extendU(i32.shrU(op, 2))))
  f.br(jump)
  f.close(undecoded)
  f.set(budget, i32.add(budget, 1))
  f.do(call(decode, ops, op))
  f.br(next)
}
