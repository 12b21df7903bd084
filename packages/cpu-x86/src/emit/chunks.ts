import { dataEntry, fetchEntry, tagOf, tlbLayout } from '@machinist/mmu'
import { call, type Expr, type Func, type FuncRef, i32, i64, type Local, memoryCopy, memoryFill, type ModuleBuilder, select } from '@machinist/wasm'
import { Register, segmentLayout, SegmentRight, type State } from './layout.ts'
import type { SegmentFunctions } from './place-in.ts'
import { currentBank } from './tlb.ts'

export interface ChunkFunctions {
  /** `(segment, bytes, mask)`: several iterations of REP MOVS, whose source is in the segment at that address, with elements of so many bytes and addresses cut by the mask; the number of them, or 0. */
  readonly moveChunk: FuncRef<readonly ['i32', 'i32', 'i64'], 'i32'>
  /** `(value, bytes, mask)`: the same of REP STOS. */
  readonly fillChunk: FuncRef<readonly ['i64', 'i32', 'i64'], 'i32'>
}

const PAGE = 4096
const [RCX, RSI, RDI] = [1, 6, 7]
const ONES = 0x0101_0101_0101_0101n

/**
 * Iterations of REP MOVS and REP STOS at once: as many as lie in pages that the TLB has, as the budget has, and as do not read what they have written. Each counts as a step, and
 * registers are as after the last of them. Of one alone, of REP STOS downwards in memory, and of one that writes to a page of its own bytes, nothing is done here.
 */
export function emitChunks(m: ModuleBuilder, state: State, { linear }: Pick<SegmentFunctions, 'linear'>): ChunkFunctions {
  const es = state.segment(Register.es)
  const register = (number: number, mask: Local<'i64'>): Expr<'i64'> => i64.and(i64.load(state.register(number)), mask)
  const least = (f: Func, n: Local<'i64'>, limit: Expr<'i64'>): void => {
    const bound = f.let(limit)
    f.if(i64.ltU(bound, n), () => f.set(n, bound))
  }
  /** How many there may be, by rCX, DF and the budget; returns 0 from the function when that is less than two. */
  const begin = (f: Func, mask: Local<'i64'>): Local<'i64'> => {
    const n = f.let(register(RCX, mask))
    // It may be overrun by now.
    f.if(i32.ltS(state.get32('budget'), 2), () => f.return(0))
    least(f, n, i64.extendU(state.get32('budget')))
    f.if(i32.or(state.get32('attention'), i64.ltS(n, 2)), () => f.return(0))
    return n
  }
  const enough = (f: Func, n: Local<'i64'>): void => f.if(i64.ltU(n, 2), () => f.return(0))

  /** Where the first element lies, and `n` cut to what is in its page; returns 0 from the function when the TLB, or the segment, does not have them. */
  const locate = (f: Func, segment: Local<'i32'>, number: number, { n, shift, mask, writes }: { n: Local<'i64'>; shift: Local<'i64'>; mask: Local<'i64'>; writes: boolean }): Local<'i32'> => {
    const offset = f.let(register(number, mask))
    const address = f.let(call(linear, segment, offset))
    least(f, n, i64.shrU(i64.sub(PAGE, i64.and(address, PAGE - 1)), shift))
    enough(f, n)
    const last = f.let(i64.sub(i64.add(offset, i64.shl(n, shift)), 1))
    f.if(i64.gtU(last, mask), () => f.return(0))
    f.if(i32.ne(state.get32('mode'), 64), () => {
      const outside = i32.or(i64.ltU(offset, i64.load32U(segment, segmentLayout.low)), i64.gtU(last, i64.load32U(segment, segmentLayout.high)))
      const barred = i32.eqz(i32.and(i32.load(segment, segmentLayout.rights), writes ? SegmentRight.write : SegmentRight.read))
      f.if(i32.or(outside, barred), () => f.return(0))
    })
    const entry = f.let(i32.add(dataEntry(currentBank(state), address), writes ? tlbLayout.write : tlbLayout.read))
    f.if(i64.ne(i64.load(entry), tagOf(address)), () => f.return(0))
    return f.let(i32.add(i32.wrap(address), i32.load(entry, tlbLayout.dataOffset)))
  }
  /** The same, downwards: where the first element lies is the highest. */
  const locateDown = (f: Func, segment: Local<'i32'>, number: number, { n, shift, mask, writes }: { n: Local<'i64'>; shift: Local<'i64'>; mask: Local<'i64'>; writes: boolean }): Local<'i32'> => {
    const offset = f.let(register(number, mask))
    const address = f.let(call(linear, segment, offset))
    const within = f.let(i64.and(address, PAGE - 1))
    const last = f.let(i64.add(offset, i64.sub(i64.shl(1, shift), 1)))
    // The first itself may go on in the next page, or round at the end of all addresses.
    f.if(i32.or(i64.gtU(i64.add(within, i64.shl(1, shift)), PAGE), i64.gtU(last, mask)), () => f.return(0))
    least(f, n, i64.add(i64.shrU(within, shift), 1))
    least(f, n, i64.add(i64.shrU(offset, shift), 1))
    enough(f, n)
    const lowest = f.let(i64.sub(offset, i64.shl(i64.sub(n, 1), shift)))
    f.if(i32.ne(state.get32('mode'), 64), () => {
      const outside = i32.or(i64.ltU(lowest, i64.load32U(segment, segmentLayout.low)), i64.gtU(last, i64.load32U(segment, segmentLayout.high)))
      const barred = i32.eqz(i32.and(i32.load(segment, segmentLayout.rights), writes ? SegmentRight.write : SegmentRight.read))
      f.if(i32.or(outside, barred), () => f.return(0))
    })
    const entry = f.let(i32.add(dataEntry(currentBank(state), address), writes ? tlbLayout.write : tlbLayout.read))
    f.if(i64.ne(i64.load(entry), tagOf(address)), () => f.return(0))
    return f.let(i32.add(i32.wrap(address), i32.load(entry, tlbLayout.dataOffset)))
  }
  /** Returns 0 from the function when a page of the instruction's bytes is written to: they are fetched anew for each iteration. It goes by pages of the host, wherever they are mapped. */
  const apart = (f: Func, to: Local<'i32'>): void => {
    const page = f.let(i32.and(to, -PAGE))
    for (const byte of [state.get64('pc'), i64.sub(state.get64('next'), 1)]) {
      const linear = f.let(byte)
      f.if(i32.ne(state.get32('mode'), 64), () => f.set(linear, i64.and(i64.add(linear, i64.load(state.segment(Register.cs) + segmentLayout.base)), 0xffff_ffff)))
      const entry = f.let(fetchEntry(currentBank(state), linear))
      f.if(i64.ne(i64.load(entry, tlbLayout.fetch), tagOf(linear)), () => f.return(0))
      f.if(i32.eq(i32.load(entry, tlbLayout.fetch + tlbLayout.frameOffset), page), () => f.return(0))
    }
  }
  const advance = (f: Func, number: number, by: Expr<'i64'>, mask: Local<'i64'>): void => {
    const value = f.let(i64.and(i64.add(i64.load(state.register(number)), by), mask))
    f.if(i64.eq(mask, 0xffff), () => f.do(i64.store16(state.register(number), value)), () => f.do(i64.store(state.register(number), value)))
  }
  const end = (f: Func, n: Local<'i64'>, mask: Local<'i64'>): void => {
    advance(f, RCX, i64.sub(0, n), mask)
    f.do(state.set32('budget', i32.sub(state.get32('budget'), i32.sub(i32.wrap(n), 1))))
    f.return(i32.wrap(n))
  }

  const moveChunk = m.func('moveChunk', ['i32', 'i32', 'i64'], 'i32', (f, segment, bytes, mask) => {
    const n = begin(f, mask)
    const shift = f.let(i64.extendU(i32.ctz(bytes)))
    const destination = f.let(i32.const(es))
    f.if(state.get32('direction'), () => {
      const to = locateDown(f, destination, RDI, { n, shift, mask, writes: true })
      apart(f, to)
      const from = locateDown(f, segment, RSI, { n, shift, mask, writes: false })
      f.if(i32.gtU(from, to), () => least(f, n, i64.shrU(i64.extendU(i32.sub(from, to)), shift)))
      enough(f, n)
      const size = f.let(i64.shl(n, shift))
      const below = f.let(i32.sub(i32.wrap(size), bytes))
      f.do(memoryCopy(i32.sub(to, below), i32.sub(from, below), i32.wrap(size)))
      const back = f.let(i64.sub(0, size))
      advance(f, RSI, back, mask)
      advance(f, RDI, back, mask)
      end(f, n, mask)
    })
    const to = locate(f, destination, RDI, { n, shift, mask, writes: true })
    apart(f, to)
    const from = locate(f, segment, RSI, { n, shift, mask, writes: false })
    // What is read must not have been written by an iteration before.
    f.if(i32.gtU(to, from), () => least(f, n, i64.shrU(i64.extendU(i32.sub(to, from)), shift)))
    enough(f, n)
    const size = f.let(i64.shl(n, shift))
    f.do(memoryCopy(to, from, i32.wrap(size)))
    advance(f, RSI, size, mask)
    advance(f, RDI, size, mask)
    end(f, n, mask)
  })

  const fillChunk = m.func('fillChunk', ['i64', 'i32', 'i64'], 'i32', (f, value, bytes, mask) => {
    f.if(state.get32('direction'), () => f.return(0))
    const n = begin(f, mask)
    const shift = f.let(i64.extendU(i32.ctz(bytes)))
    const destination = f.let(i32.const(es))
    const to = locate(f, destination, RDI, { n, shift, mask, writes: true })
    apart(f, to)
    const size = f.let(i64.shl(n, shift))
    const low = f.let(i64.and(value, 0xff))
    const whole = select('i64', i32.eq(bytes, 8), -1n, i64.sub(i64.shl(1, i64.shl(i64.extendU(bytes), 3)), 1))
    f.if(i64.eq(i64.and(i64.mul(low, ONES), whole), value), () => f.do(memoryFill(to, i32.wrap(low), i32.wrap(size))), () => {
      const last = f.let(i32.add(to, i32.wrap(size)))
      f.loop((again) => {
        f.if(i32.eq(bytes, 2), () => f.do(i64.store16(to, value)), () => f.if(i32.eq(bytes, 4), () => f.do(i64.store32(to, value)), () => f.do(i64.store(to, value))))
        f.set(to, i32.add(to, bytes))
        f.brIf(again, i32.ltU(to, last))
      })
    })
    advance(f, RDI, size, mask)
    end(f, n, mask)
  })
  return { moveChunk, fillChunk }
}
