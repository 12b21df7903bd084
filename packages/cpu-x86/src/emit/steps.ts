import { Access } from '@machinist/mmu'
import { call, type Expr, type Func, type FuncRef, type Global, i32, i64, type Local, memoryCopy, type ModuleBuilder, select } from '@machinist/wasm'
import { Vector } from '../vector.ts'
import { opLayout, Register, SegmentBit, segmentLayout, type State } from './layout.ts'
import type { MemoryFunctions } from './memory.ts'
import { WINDOW } from './op-format.ts'
import { EventKind } from './system/interrupts.ts'

/** An instruction that was decoded: the op; the bytes that it was decoded from, with a mask of those that count; and the key of the code that they were in, 0 of none. */
export const decodedLayout = { op: 0, bytes: 80, mask: 96, key: 112, size: 128 } as const
/** How many there are, a power of two: found by where the bytes lie. */
export const DECODED = 16384

/** What whoever decodes says of bytes. */
export const Outcome = { decoded: 0, invalid: 1, long: 2, short: 3 } as const

/** Of a key: SS.B, outside 64-bit mode; the rest is the mode. */
export const KEY_BIG = 1

export interface StepFunctions {
  /** Executes the instruction at rIP; 1 after it, or its fetch, has raised something. */
  readonly step: FuncRef<readonly [], 'i32'>
  /** `(at, key)`: the same of the instruction at rIP whose bytes are there, `WINDOW` of them at least. */
  readonly stepAt: FuncRef<readonly ['i32', 'i32'], 'i32'>
}

interface StepParts {
  readonly memory: Pick<MemoryFunctions, 'place' | 'unusual' | 'rest'>
  /** Where the decoded instructions lie. */
  readonly decoded: Global<'i32'>
  /** `(at, bytes, slot, key)` → Outcome: writes one. */
  readonly decode: FuncRef<readonly ['i32', 'i32', 'i32', 'i32'], 'i32'>
}

/**
 * Emits `step`. A decoded instruction is compared with the bytes that are there now, so nothing has to be forgotten when code changes, and
 * a program needs no fence. It says nothing of where it stands: so it is the same at every address that maps it.
 */
export function emitSteps(m: ModuleBuilder, state: State, { memory, decoded, decode }: StepParts): StepFunctions {
  const cs = (field: 'base' | 'high'): number => state.segment(Register.cs) + segmentLayout[field]
  const is64 = (): Expr<'i32'> => i32.eq(state.get32('mode'), 64)
  const slotOf = (at: Expr<'i32'>): Expr<'i32'> => {
    const place = i32.and(i32.xor(at, i32.shrU(at, 14)), DECODED - 1)
    return i32.add(i32.shl(place, Math.log2(decodedLayout.size)), decoded)
  }
  /** Whether a slot has what these bytes are. */
  const holds = (slot: Local<'i32'>, at: Local<'i32'>, key: Local<'i32'>): Expr<'i32'> => {
    const half = (offset: number): Expr<'i64'> => i64.xor(i64.and(i64.load(at, offset), i64.load(slot, decodedLayout.mask + offset)), i64.load(slot, decodedLayout.bytes + offset))
    return i64.eqz(i64.or(i64.or(half(0), half(8)), i64.extendU(i32.xor(i32.load(slot, decodedLayout.key), key))))
  }
  const raise = (f: Func, vector: number): void => {
    f.do(state.set32('fault', vector + 1))
    f.do(state.set32('error', 0))
    f.return(1)
  }
  /** Ends the function with the instruction of a slot. */
  const execute = (f: Func, slot: Local<'i32'>): void => {
    const next = f.let(i64.add(state.get64('pc'), i64.load32U(slot, opLayout.length)))
    // IP of 16-bit code goes on beyond 64 KiB, and so beyond the limit (SDM volume 3, "Segment Wraparound").
    f.if(i32.eqz(is64()), () => f.set(next, i64.and(next, 0xffff_ffff)))
    f.do(state.set64('next', next))
    f.return(m.callIndirect(['i32'], 'i32', i32.load(slot, opLayout.handler), slot))
  }
  const undecoded = (f: Func, outcome: Local<'i32'>): void => raiseUndecoded(f, outcome, raise)

  const stepSlowly = emitSlow(m, state, { memory, decode, slotOf, holds, raise, execute, undecoded, cs, is64 })

  const begin = (f: Func): void => {
    f.do(state.set32('event', EventKind.fault))
    f.do(state.set32('external', 0))
  }
  const stepAt = m.func('stepAt', ['i32', 'i32'], 'i32', (f, at, key) => {
    begin(f)
    const slot = f.let(slotOf(at))
    f.if(i32.eqz(holds(slot, at, key)), () => {
      const outcome = f.let(call(decode, at, WINDOW, slot, key))
      f.if(outcome, () => undecoded(f, outcome))
    })
    execute(f, slot)
  })
  const step = m.func('step', [], 'i32', (f) => {
    begin(f)
    const pc = f.let(state.get64('pc'))
    const key = f.let(state.get32('mode'))
    const linear = f.let(pc)
    f.if(i32.eqz(is64()), () => {
      const big = i32.and(i32.load(state.segment(Register.ss) + segmentLayout.rights), SegmentBit.big)
      f.set(key, i32.or(key, i32.shrU(big, Math.log2(SegmentBit.big / KEY_BIG))))
      f.set(linear, i64.and(i64.add(pc, i64.load(cs('base'))), 0xffff_ffff))
      f.if(i64.gtS(i64.add(pc, WINDOW - 1), i64.load32U(cs('high'))), () => f.return(call(stepSlowly, linear, key)))
    })
    f.if(i32.ltU(call(memory.rest, linear), WINDOW), () => f.return(call(stepSlowly, linear, key)))
    f.if(call(memory.unusual, linear), () => raise(f, Vector.generalProtection))
    const at = f.let(call(memory.place, linear, WINDOW, Access.fetch, 0))
    f.if(i32.eqz(at), () => f.return(1))
    f.return(call(stepAt, at, key))
  })
  m.export('step', step)
  return { step, stepAt }
}

function raiseUndecoded(f: Func, outcome: Local<'i32'>, raise: (f: Func, vector: number) => void): void {
  f.if(i32.eq(outcome, Outcome.invalid), () => raise(f, Vector.invalidOpcode))
  raise(f, Vector.generalProtection)
}

interface SlowParts extends Omit<StepParts, 'decoded'> {
  readonly slotOf: (at: Expr<'i32'>) => Expr<'i32'>
  readonly holds: (slot: Local<'i32'>, at: Local<'i32'>, key: Local<'i32'>) => Expr<'i32'>
  readonly raise: (f: Func, vector: number) => void
  readonly execute: (f: Func, slot: Local<'i32'>) => void
  readonly undecoded: (f: Func, outcome: Local<'i32'>) => void
  readonly cs: (field: 'base' | 'high') => number
  readonly is64: () => Expr<'i32'>
}

/** Whether the first `have` bytes at a place are those of a slot. */
function begins(slot: Local<'i32'>, place: Local<'i32'>, have: Local<'i64'>): Expr<'i32'> {
  const bits = (bytes: Expr<'i64'>): Expr<'i64'> => i64.sub(i64.shl(1, i64.shl(bytes, 3)), 1)
  const half = (offset: number, mask: Expr<'i64'>): Expr<'i64'> => i64.and(i64.xor(i64.load(place, offset), i64.load(slot, decodedLayout.bytes + offset)), mask)
  const more = i64.geU(have, 8)
  return i64.eqz(i64.or(half(0, select('i64', more, -1, bits(have))), half(8, select('i64', more, bits(i64.sub(have, 8)), 0))))
}

/** `(linear, key)`: near the end of a page or of the segment. What lies behind is asked for only when the instruction is seen to go on there. */
function emitSlow(m: ModuleBuilder, state: State, { memory, decode, slotOf, holds, raise, execute, undecoded, cs, is64 }: SlowParts): FuncRef<readonly ['i64', 'i32'], 'i32'> {
  const buffer = state.field('fetched')
  const least = (a: Local<'i64'>, b: Local<'i64'>): Expr<'i64'> => select('i64', i64.ltU(a, b), a, b)
  return m.func('stepSlowly', ['i64', 'i32'], 'i32', (f, linear, key) => {
    // Bytes that CS has from here on (SDM volume 3, 6.3).
    const limit = f.let(i64.const(WINDOW))
    f.if(i32.eqz(is64()), () => {
      const left = f.let(i64.add(i64.sub(i64.load32U(cs('high')), state.get64('pc')), 1))
      f.if(i64.leS(left, 0), () => raise(f, Vector.generalProtection))
      f.set(limit, least(left, limit))
    })
    const have = f.let(i64.extendU(call(memory.rest, linear)))
    f.set(have, least(have, limit))
    const at = f.local('i32')
    /** Copies so many bytes from an address to a place in the buffer. */
    const take = (from: Local<'i64'>, bytes: Local<'i64'>, to: Expr<'i32'>): void => {
      f.if(call(memory.unusual, from), () => raise(f, Vector.generalProtection))
      f.set(at, call(memory.place, from, i32.wrap(bytes), Access.fetch, 0))
      f.if(i32.eqz(at), () => f.return(1))
      f.do(memoryCopy(to, at, i32.wrap(bytes)))
    }
    f.do(i64.store(buffer, i64.const(0)))
    f.do(i64.store(buffer + 8, i64.const(0)))
    take(linear, have, i32.const(buffer))
    const slot = f.let(slotOf(at))
    const place = f.let(i32.const(buffer))
    const ready = (): Expr<'i32'> => i32.and(holds(slot, place, key), i32.leU(i32.load(slot, opLayout.length), i32.wrap(have)))
    f.if(ready(), () => execute(f, slot))
    // What begins as the slot's instruction does, as far as it is here, goes on as that does.
    const begun = f.let(i32.and(i32.eq(i32.load(slot, decodedLayout.key), key), i32.gtU(i32.load(slot, opLayout.length), i32.wrap(have))))
    const outcome = f.choose('i32', i32.and(begun, begins(slot, place, have)), () => i32.const(Outcome.short), () => call(decode, buffer, i32.wrap(have), slot, key))
    f.loop((again) => {
      f.if(i32.eqz(outcome), () => execute(f, slot))
      f.if(i32.or(i32.ne(outcome, Outcome.short), i64.geU(have, limit)), () => undecoded(f, outcome))
      const next = f.let(i64.add(linear, have))
      f.if(i32.eqz(is64()), () => f.set(next, i64.and(next, 0xffff_ffff)))
      const more = f.let(i64.extendU(call(memory.rest, next)))
      const left = f.let(i64.sub(limit, have))
      f.set(more, least(more, left))
      take(next, more, i32.add(i32.wrap(have), buffer))
      f.set(have, i64.add(have, more))
      f.if(ready(), () => execute(f, slot))
      f.set(outcome, call(decode, buffer, i32.wrap(have), slot, key))
      f.br(again)
    })
    f.unreachable()
  })
}
