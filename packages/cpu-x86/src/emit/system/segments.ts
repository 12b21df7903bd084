import { call, type Expr, type FuncRef, type Global, i32, i64, type Local, type ModuleBuilder, select } from '@machinist/wasm'
import { Vector } from '../../vector.ts'
import { Register, SegmentBit, segmentLayout, SegmentRight, type State } from '../layout.ts'
import { type Basics, bit, has, levelOf, SystemCode, SystemFlag } from './code.ts'
import { Cr0, type MemoryFunctions } from '../memory.ts'

export interface SegmentFunctions {
  /** `(selector, vector)`: reads a descriptor of GDT or LDT into `descriptor`. One beyond the table is the exception `vector`, with the selector. */
  readonly fetch: FuncRef<readonly ['i32', 'i32'], 'i32'>
  readonly descriptor: Global<'i64'>
  /** The linear address it is at. */
  readonly at: Global<'i64'>
  /** Its limit in bytes. */
  readonly limit: FuncRef<readonly [], 'i32'>
  /** `(register, selector)`: the descriptor that was fetched becomes the register's hidden part, and is marked as accessed. */
  readonly cache: FuncRef<readonly ['i32', 'i32'], 'i32'>
  /** `(register, selector)`: as in real-address and virtual-8086 mode. */
  readonly paragraph: FuncRef<readonly ['i32', 'i32'], 'void'>
  /** `(number, selector, vector, cpl)`: loads ES, SS, DS, FS or GS as a program at a privilege level does; `vector` is #GP, or #TS in a task switch. */
  readonly load: FuncRef<readonly ['i32', 'i32', 'i32', 'i32'], 'i32'>
  /** After CS or EFER.LMA has changed. */
  readonly updateMode: FuncRef<readonly [], 'void'>
  /** `(selector)`: in long mode the second half of a descriptor of 16 bytes, which the table must have as well (SDM volume 3, 3.5.2), into `upper`; zero in other modes. */
  readonly fetchUpper: FuncRef<readonly ['i32'], 'i32'>
  readonly upper: Global<'i64'>
  /** `(cpl)`: on the way to an outer level, data segments of inner levels become null (SDM volume 3, 6.8.6). */
  readonly dropInner: FuncRef<readonly ['i32'], 'void'>
  /** `(number, selector)`: makes LDTR or TR of the descriptor that was fetched, with the upper half of its base in long mode. The task of TR becomes busy, in memory too. */
  readonly cacheSystem: FuncRef<readonly ['i32', 'i32'], 'i32'>
}

/** The attributes that a register keeps: those of the second half that are not base or limit. */
const ATTRIBUTES = 0x00f0_ff00
/** A segment that real-address mode has loaded. */
const DATA = SegmentBit.present | SegmentBit.notSystem | SegmentBit.writable | SegmentBit.accessed
/** Of a task segment's type. */
const BUSY = 0x200
/** Bits of the second half of a descriptor of 16 bytes that must be zero (SDM volume 3, figure 8-4). */
const UPPER_TYPE = 0x1f00n << 32n

/** Descriptors and segment registers (SDM volume 3, 3.4 and 6.5). */
export function emitSegments(m: ModuleBuilder, state: State, basics: Basics, memory: MemoryFunctions): SegmentFunctions {
  const descriptor = m.global('i64', 0)
  const at = m.global('i64', 0)
  const upper = m.global('i64', 0)
  const half = (): Expr<'i32'> => i32.wrap(i64.shrU(descriptor, 32))
  const address = (number: Expr<'i32'>): Expr<'i32'> => i32.add(i32.mul(number, segmentLayout.size), state.segment(0))
  const [gdtr, ldtr] = [state.segment(Register.gdtr), state.segment(Register.ldtr)]

  const fetch = m.func('fetchDescriptor', ['i32', 'i32'], 'i32', (f, selector, vector) => {
    const code = new SystemCode(f, state, basics)
    const local = f.let(has(selector, 4))
    const table = f.let(select('i32', local, ldtr, gdtr))
    const beyond = i32.gtU(i32.or(selector, 7), i32.load(table, segmentLayout.high))
    code.raiseIf(i32.or(beyond, i32.and(local, i32.eqz(i32.load(ldtr + segmentLayout.rights)))), vector, code.errorOf(selector))
    f.setGlobal(at, i64.add(i64.load(table), i64.extendU(i32.and(selector, 0xfff8))))
    const value = code.read(at, 8)
    f.setGlobal(descriptor, value)
    f.return(0)
  })

  const fetchUpper = m.func('fetchUpperDescriptor', ['i32'], 'i32', (f, selector) => {
    const code = new SystemCode(f, state, basics)
    f.setGlobal(upper, 0)
    f.if(i32.eqz(code.long), () => f.return(0))
    const last = i32.add(i32.or(selector, 7), 8)
    code.raiseIf(i32.gtU(last, i32.load(select('i32', has(selector, 4), ldtr, gdtr), segmentLayout.high)), Vector.generalProtection, code.errorOf(selector))
    const value = code.read(i64.add(at, 8), 8)
    f.setGlobal(upper, value)
    code.raiseIf(i64.ne(i64.and(value, UPPER_TYPE), 0), Vector.generalProtection, code.errorOf(selector))
    f.return(0)
  })

  const limitOf = m.func('limitOf', [], 'i32', (f) => {
    const limit = f.let(i32.or(i32.and(i32.wrap(descriptor), 0xffff), i32.and(half(), 0xf_0000)))
    f.if(has(half(), SegmentBit.granular), () => f.set(limit, i32.or(i32.shl(limit, 12), 4095)))
    f.return(limit)
  })
  /** Base, limit and attributes of the descriptor; rights are for the caller. */
  const hidden = (f: SystemCode['f'], place: Expr<'i32'>): { attributes: Local<'i32'>; limit: Local<'i32'> } => {
    const high = f.let(half())
    const base = i32.or(i32.wrap(i64.and(i64.shrU(descriptor, 16), 0xff_ffff)), i32.and(high, 0xff00_0000))
    const limit = f.let(call(limitOf))
    f.do(i64.store(place, i64.extendU(base), segmentLayout.base))
    f.do(i32.store(place, 0, segmentLayout.low))
    f.do(i32.store(place, limit, segmentLayout.high))
    return { attributes: f.let(i32.and(high, ATTRIBUTES)), limit }
  }
  const cache = m.func('cacheSegment', ['i32', 'i32'], 'i32', (f, number, selector) => {
    const code = new SystemCode(f, state, basics)
    f.if(i32.eqz(has(half(), SegmentBit.accessed)), () => {
      f.setGlobal(descriptor, i64.or(descriptor, BigInt(SegmentBit.accessed) << 32n))
      code.write(i64.add(at, 5), i64.shrU(descriptor, 40), 1)
    })
    const place = f.let(address(number))
    const { attributes, limit } = hidden(f, place)
    const rights = f.let(i32.const(0))
    f.if(
      has(attributes, SegmentBit.code),
      () => f.set(rights, select('i32', has(attributes, SegmentBit.readable), SegmentRight.read, 0)),
      () => {
        f.set(rights, select('i32', has(attributes, SegmentBit.writable), SegmentRight.read | SegmentRight.write, SegmentRight.read))
        f.if(has(attributes, SegmentBit.expandDown), () => {
          // With a limit of all ones there is no offset above it.
          f.if(i32.eq(limit, -1), () => f.set(rights, 0))
          f.do(i32.store(place, i32.add(limit, 1), segmentLayout.low))
          f.do(i32.store(place, select('i32', has(attributes, SegmentBit.big), -1, 0xffff), segmentLayout.high))
        })
      },
    )
    f.do(i32.store(place, i32.or(attributes, rights), segmentLayout.rights))
    f.do(i32.store(place, i32.and(selector, 0xffff), segmentLayout.selector))
    f.return(0)
  })

  const paragraph = m.func('loadParagraph', ['i32', 'i32'], 'void', (f, number, selector) => {
    const place = f.let(address(number))
    f.do(i32.store(place, i32.and(selector, 0xffff), segmentLayout.selector))
    f.do(i64.store(place, i64.shl(i64.extendU(i32.and(selector, 0xffff)), 4), segmentLayout.base))
    f.if(i32.and(state.get32('system'), SystemFlag.vm), () => {
      // A data segment of 64 KiB at level 3, CS as well (SDM volume 3, 21.2.1).
      f.do(i32.store(place, 0, segmentLayout.low))
      f.do(i32.store(place, 0xffff, segmentLayout.high))
      f.do(i32.store(place, 0xf300 | SegmentRight.read | SegmentRight.write, segmentLayout.rights))
      f.return()
    })
    // Present, read and written, at level 0, whatever protected mode has left there; limit and B stay (SDM volume 3, 10.9.2). What had no offsets from zero on gets those of real-address mode.
    const rights = f.let(i32.load(place, segmentLayout.rights))
    const down = i32.eq(i32.and(rights, SegmentBit.code | SegmentBit.expandDown), SegmentBit.expandDown)
    f.if(i32.or(down, i32.eqz(has(rights, SegmentBit.present))), () => f.do(i32.store(place, 0xffff, segmentLayout.high)))
    f.do(i32.store(place, 0, segmentLayout.low))
    const kept = i32.and(rights, SegmentBit.code | SegmentBit.big | SegmentBit.granular)
    f.do(i32.store(place, i32.or(kept, DATA | SegmentRight.read | SegmentRight.write), segmentLayout.rights))
  })

  const load = m.func('loadSegment', ['i32', 'i32', 'i32', 'i32'], 'i32', (f, number, selector, vector, cpl) => {
    const code = new SystemCode(f, state, basics)
    f.if(code.paragraphs, () => {
      f.do(call(paragraph, number, selector))
      f.return(0)
    })
    const stack = f.let(i32.eq(number, Register.ss))
    const rpl = f.let(i32.and(selector, 3))
    f.if(code.isNull(selector), () => {
      // 64-bit mode inside level 3 may have no stack segment.
      const may = i32.and(i32.and(i32.eq(state.get32('mode'), 64), i32.ne(cpl, 3)), i32.eq(rpl, cpl))
      code.raiseIf(i32.and(stack, i32.eqz(may)), vector, state.get32('external'))
      const place = f.let(address(number))
      f.do(i32.store(place, i32.and(selector, 0xffff), segmentLayout.selector))
      f.do(i32.store(place, 0, segmentLayout.rights))
      f.do(i64.store(place, 0, segmentLayout.base))
      f.return(0)
    })
    code.try(call(fetch, selector, vector))
    const high = f.let(half())
    const dpl = f.let(levelOf(high))
    const error = f.let(code.errorOf(selector))
    const isData = i32.eq(i32.and(high, SegmentBit.notSystem | SegmentBit.code), SegmentBit.notSystem)
    f.if(stack, () => {
      const fits = i32.and(i32.and(isData, has(high, SegmentBit.writable)), i32.and(i32.eq(rpl, cpl), i32.eq(dpl, cpl)))
      code.raiseIf(i32.eqz(fits), vector, error)
      code.raiseIf(i32.eqz(has(high, SegmentBit.present)), Vector.stackSegment, error)
    }, () => {
      const readable = i32.eq(i32.and(high, SegmentBit.notSystem | SegmentBit.code | SegmentBit.readable), SegmentBit.notSystem | SegmentBit.code | SegmentBit.readable)
      code.raiseIf(i32.eqz(i32.or(isData, readable)), vector, error)
      const conforming = i32.eq(i32.and(high, SegmentBit.code | SegmentBit.conforming), SegmentBit.code | SegmentBit.conforming)
      code.raiseIf(i32.and(i32.eqz(conforming), i32.or(i32.gtU(rpl, dpl), i32.gtU(cpl, dpl))), vector, error)
      code.raiseIf(i32.eqz(has(high, SegmentBit.present)), Vector.segmentNotPresent, error)
    })
    f.return(call(cache, number, selector))
  })

  const updateMode = m.func('updateMode', [], 'void', (f) => {
    const code = new SystemCode(f, state, basics)
    const rights = f.let(code.segment(Register.cs, 'rights'))
    const legacy = select('i32', has(rights, SegmentBit.big), 32, 16)
    f.do(state.set32('mode', select('i32', i32.and(code.long, has(rights, SegmentBit.long)), 64, legacy)))
  })

  const dropInner = m.func('dropInner', ['i32'], 'void', (f, cpl) => {
    for (const number of [Register.es, Register.ds, Register.fs, Register.gs]) {
      const place = state.segment(number)
      const rights = f.let(i32.load(place + segmentLayout.rights))
      const conforming = i32.eq(i32.and(rights, SegmentBit.code | SegmentBit.conforming), SegmentBit.code | SegmentBit.conforming)
      f.if(i32.and(i32.eqz(conforming), i32.ltU(levelOf(rights), cpl)), () => {
        f.do(i32.store(place + segmentLayout.selector, 0))
        f.do(i32.store(place + segmentLayout.rights, 0))
      })
    }
  })

  const cacheSystem = m.func('cacheSystem', ['i32', 'i32'], 'i32', (f, number, selector) => {
    const code = new SystemCode(f, state, basics)
    code.try(call(fetchUpper, selector))
    const place = f.let(address(number))
    const base = f.let(i64.or(i64.or(i64.and(i64.shrU(descriptor, 16), 0xff_ffff), i64.and(i64.shrU(descriptor, 32), 0xff00_0000)), i64.shl(upper, 32)))
    f.if(code.long, () => code.raiseIf(call(memory.unusual, base), Vector.generalProtection, code.errorOf(selector)))
    // The last thing that may fault, so that the old task is the task then.
    f.if(i32.eq(number, Register.tr), () => {
      f.setGlobal(descriptor, i64.or(descriptor, BigInt(BUSY) << 32n))
      code.write(i64.add(at, 5), i64.shrU(descriptor, 40), 1)
    })
    const { attributes } = hidden(f, place)
    f.do(i64.store(place, base))
    f.do(i32.store(place, attributes, segmentLayout.rights))
    f.do(i32.store(place, i32.and(selector, 0xffff), segmentLayout.selector))
    f.return(0)
  })
  return { fetch, descriptor, at, limit: limitOf, fetchUpper, upper, cache, paragraph, load, updateMode, dropInner, cacheSystem }
}

/** CR0.PE, to code that chooses by it. */
export function protectedMode(state: State): Expr<'i32'> {
  return bit(state.get64('cr0'), Cr0.pe)
}
