import { call, type Expr, type Func, type FuncRef, i32, i64, type Local, select } from '@machinist/wasm'
import { Interrupt, Mode } from '../cause.ts'
import { Status } from '../status.ts'
import { bit, type Emit } from './context.ts'
import type { TranslationFunctions } from './translation.ts'

/** Entering and leaving traps (privileged specification, 3.1.6 to 3.1.9, 3.3.2 and 10.1). */
export interface TrapFunctions {
  /** `(cause, is interrupt, xtval)`: enters the handler; `pc` is that of the interrupted instruction. */
  readonly trap: FuncRef<readonly ['i32', 'i32', 'i64'], 'void'>
  /** Takes the highest-priority interrupt, if one is pending and enabled. */
  readonly poll: FuncRef<readonly [], 'void'>
  /** What `mip` reads as. */
  readonly pending: (f: Func) => Expr<'i64'>
  readonly sret: FuncRef<readonly [], 'void'>
  readonly mret: FuncRef<readonly [], 'void'>
}

export function emitTraps(e: Emit, { updateView }: TranslationFunctions): TrapFunctions {
  const { m, s } = e
  const trap = m.func('trap', ['i32', 'i32', 'i64'], 'void', (f, cause, interrupt, value) => {
    const mode = f.let(s.get('mode'))
    const status = f.let(s.get('mstatus'))
    const full = f.let(i64.or(i64.extendU(cause), i64.shl(i64.extendU(interrupt), 63)))
    const delegated = f.let(i64.and(i64.shrU(select('i64', interrupt, s.get('mideleg'), s.get('medeleg')), i64.extendU(cause)), 1))
    const enter = (vector: Local<'i64'>): void =>
      f.do(
        s.set(
          'pc',
          i64.add(i64.and(vector, -4), select('i64', i32.and(interrupt, i32.wrap(i64.and(vector, 1))), i64.shl(i64.extendU(cause), 2), 0)),
        ),
      )
    f.do(s.set('waiting', 0))
    f.do(s.set('attention', 1))
    f.if(
      i32.and(i32.leU(mode, Mode.supervisor), i32.wrap(delegated)),
      () => {
        f.do(s.set('scause', full))
        f.do(s.set('sepc', s.get('pc')))
        f.do(s.set('stval', value))
        f.set(status, moveBit(f, status, Status.SIE, Status.SPIE))
        f.set(status, i64.and(status, ~(Status.SIE | Status.SPP)))
        f.do(s.set('mstatus', i64.or(status, i64.shl(i64.extendU(mode), 8))))
        f.do(s.set('mode', Mode.supervisor))
        enter(f.let(s.get('stvec')))
      },
      () => {
        f.do(s.set('mcause', full))
        f.do(s.set('mepc', s.get('pc')))
        f.do(s.set('mtval', value))
        f.set(status, moveBit(f, status, Status.MIE, Status.MPIE))
        f.set(status, i64.and(status, ~(Status.MIE | Status.MPP)))
        f.do(s.set('mstatus', i64.or(status, i64.shl(i64.extendU(mode), 11))))
        f.do(s.set('mode', Mode.machine))
        enter(f.let(s.get('mtvec')))
      },
    )
    f.do(call(updateView))
  })

  const pending = (_f: Func): Expr<'i64'> => i64.or(s.get('mip'), i64.extendU(s.get('lines')))

  const poll = m.func('poll', [], 'void', (f) => {
    f.do(s.set('attention', 0))
    const active = f.let(i64.and(pending(f), s.get('mie')))
    f.if(i64.eqz(active), () => f.return())
    const mode = f.let(s.get('mode'))
    const status = f.let(s.get('mstatus'))
    const chosen = f.let(i64.and(active, i64.xor(s.get('mideleg'), -1)))
    const machineOff = i32.and(i32.eq(mode, Mode.machine), i32.eqz(bit(status, Status.MIE)))
    f.if(i32.or(i64.eqz(chosen), machineOff), () => {
      f.set(chosen, i64.and(active, s.get('mideleg')))
      f.if(i32.or(i64.eqz(chosen), i32.gtU(mode, Mode.supervisor)), () => f.return())
      f.if(i32.and(i32.eq(mode, Mode.supervisor), i32.eqz(bit(status, Status.SIE))), () => f.return())
    })
    for (const code of [Interrupt.meip, Interrupt.msip, Interrupt.mtip, Interrupt.seip, Interrupt.ssip, Interrupt.stip]) {
      f.if(bit(chosen, 1n << BigInt(code)), () => {
        f.do(call(trap, code, 1, 0))
        f.return()
      })
    }
  })

  const sret = m.func('sret', [], 'void', (f) => {
    const status = f.let(s.get('mstatus'))
    f.do(s.set('mode', i32.wrap(i64.and(i64.shrU(status, 8), 1))))
    f.set(status, moveBit(f, status, Status.SPIE, Status.SIE))
    f.do(s.set('mstatus', i64.or(i64.and(status, ~(Status.SPP | Status.MPRV)), Status.SPIE)))
    f.do(s.set('pc', s.get('sepc')))
    f.do(s.set('attention', 1))
    f.do(call(updateView))
  })

  const mret = m.func('mret', [], 'void', (f) => {
    const status = f.let(s.get('mstatus'))
    const previous = f.let(i32.wrap(i64.and(i64.shrU(status, 11), 3)))
    f.do(s.set('mode', previous))
    f.set(status, moveBit(f, status, Status.MPIE, Status.MIE))
    f.set(status, i64.or(i64.and(status, ~Status.MPP), Status.MPIE))
    f.if(i32.ne(previous, Mode.machine), () => f.set(status, i64.and(status, ~Status.MPRV)))
    f.do(s.set('mstatus', status))
    f.do(s.set('pc', s.get('mepc')))
    f.do(s.set('attention', 1))
    f.do(call(updateView))
  })

  return { trap, poll, pending, sret, mret }
}

/** `value` with bit `to` set as bit `from` is. */
function moveBit(_f: Func, value: Local<'i64'>, from: bigint, to: bigint): Expr<'i64'> {
  return i64.or(i64.and(value, ~to), select('i64', bit(value, from), to, 0))
}

