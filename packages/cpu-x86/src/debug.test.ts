import { describe, expect, test } from 'vitest'
import { Assembler, EAX, EBX, ECX, EDX, ESP } from '../test/machine/assembler.ts'
import { place, select, SmallSystem, toUser } from '../test/system/machine.ts'
import { Flag, Vector } from './index.ts'

const TF = Flag.trap
const RF = 1 << 16
/** What DR6 reads as besides what it tells, and bits of it (SDM volume 3, 18.2.3). */
const NOTHING = 0xffff_0ff0
const [BD, BS, BT] = [0x2000, 0x4000, 0x8000]
/** DR7: global, exact; and R/W and LEN of a breakpoint. */
const global = (n: number, kind: number, length = 0): number => 2 << 2 * n | kind << 16 + 4 * n | length << 18 + 4 * n

const nops = (a: Assembler, count = 8): Assembler => a.raw(...new Array<number>(count).fill(0x90))
const debug = (a: Assembler, number: number, value: number): Assembler => a.set(EAX, value).op('mov', 'debug rmreg', { reg: number, rm: EAX })
const wrmsr = (a: Assembler, number: number, low: number, high = 0): Assembler => a.set(ECX, number).set(EAX, low).set(EDX, high).op('wrmsr')

/** A word of the frame that a handler was entered with: 0 is rIP, 2 are the flags. */
function frame(small: SmallSystem, word: number): number {
  return small.word(Number(small.cpu.register(ESP)) + word * (small.long ? 8 : 4))
}

/** A debug register, by an instruction at the place of the handler. */
function read(small: SmallSystem, number: number): number {
  const { cpu } = small
  const [at, was] = [Number(cpu.rip), cpu.register(EBX)]
  cpu.memory.set(new Assembler(at, small.long ? 64 : 32).op('mov', 'rmreg debug', { reg: number, rm: EBX }).bytes, at)
  expect(cpu.step()).toEqual({ kind: 'done' })
  const value = Number(cpu.register(EBX))
  cpu.setRegister(EBX, was)
  cpu.rip = BigInt(at)
  return value
}

/** Steps to the handler of #DB, and where it came, from a place, with what DR6 tells. */
function caught(small: SmallSystem, from: number): readonly [vector: number, from: number, status: number] {
  for (let i = 0; i < 30 && small.vector < 0; i++) small.step()
  return [small.vector, frame(small, 0) - from, (read(small, 6) ^ NOTHING) >>> 0]
}

// SDM volume 3, 18.3.1.4.
describe('single step', () => {
  test('comes after the instruction that begins with TF, by DR6.BS, and not in the handler', () => {
    const small = new SmallSystem(32).code((a) => nops(a.push(2 | TF).op('popf')))
    expect([caught(small, place.code), frame(small, 2) & (TF | RF), small.cpu.flags & TF]).toEqual([[Vector.debug, 7, BS], TF, 0])
    small.cpu.memory[Number(small.cpu.rip)] = 0xcf
    small.step(3)
    expect([small.vector, frame(small, 0) - place.code]).toEqual([Vector.debug, 8])
  })

  test('comes after each iteration of REP', () => {
    const small = new SmallSystem(32).code((a) => a.set(ECX, 3).set(7, place.data).push(2 | TF).op('popf').raw(0xf3, 0xaa))
    const start = place.code + 5 + 5 + 6
    expect([caught(small, start), small.cpu.register(ECX), frame(small, 2) & RF]).toEqual([[Vector.debug, 0, BS], 2n, RF])
  })

  test('does not come after INT, whose handler has TF clear', () => {
    const small = new SmallSystem(32).code((a) => nops(a.push(2 | TF).op('popf').int(0x30)))
    small.step(3)
    expect([small.vector, frame(small, 2) & TF]).toEqual([0x30, TF])
    small.cpu.memory.fill(0x90, Number(small.cpu.rip), Number(small.cpu.rip) + 4)
    small.step(2)
    expect(small.cpu.rip).toBe(BigInt(small.handler(0x30) + 2))
  })

  // SDM volume 3, 18.4.3.
  test('goes from one taken branch to the next with DEBUGCTL.BTF, once', () => {
    const small = new SmallSystem(32)
    const start = place.code + 17 + 6
    // Two NOPs, a branch that is not taken, an iteration of REP and one more, a jump over a byte; then what is stepped over again.
    small.code((a) => nops(wrmsr(a, 0x1d9, 2).push(2 | TF).op('popf').raw(0x90, 0x90, 0x70, 0x10, 0xb9, 2, 0, 0, 0, 0xf3, 0xac, 0xeb, 0x01, 0xf4)))
    small.cpu.setRegister(6, BigInt(place.data))
    expect([caught(small, start), frame(small, 2) & TF]).toEqual([[Vector.debug, 14, BS], TF])
    small.cpu.memory[Number(small.cpu.rip)] = 0xcf
    small.step(3)
    expect([small.vector, frame(small, 0) - start]).toEqual([Vector.debug, 15])
  })

  // SDM volume 2, SYSCALL and SYSRET: IA32_FMASK has TF, so the kernel is not traced.
  test('goes by the flags that SYSCALL and SYSRET leave', () => {
    const small = new SmallSystem(64)
    const [user, kernel] = [place.code + 0x100, place.code + 0x200]
    small.cpu.memory.set(nops(new Assembler(user, 64).op('syscall')).bytes, user)
    small.cpu.memory.set(new Assembler(kernel, 64).raw(0x90, 0x90).op('sysret', '', { operandSize: 8 }).bytes, kernel)
    small.code((a) => {
      for (const [number, low, high] of [[0xc000_0080, 0x901, 0], [0xc000_0081, 0, select.code | select.user32 << 16], [0xc000_0082, kernel, 0], [0xc000_0084, TF, 0]] as const) wrmsr(a, number, low, high)
      toUser(a, user, 2 | TF, select.user)
    })
    small.until(user)
    small.step(3)
    expect([small.cpu.rip, Number(small.cpu.register(11)) & TF]).toEqual([BigInt(kernel + 2), TF])
    small.step(2)
    expect([small.vector, frame(small, 0), frame(small, 2) & TF]).toEqual([Vector.debug, user + 2, TF])
    // And without the mask it comes at the kernel's first instruction.
    const traced = new SmallSystem(64)
    traced.code((a) => nops(wrmsr(wrmsr(wrmsr(a, 0xc000_0080, 0x901), 0xc000_0082, kernel), 0xc000_0081, 0, select.code).push(2 | TF).op('popf').op('syscall')))
    expect(caught(traced, kernel)).toEqual([Vector.debug, 0, BS])
  })
})

// SDM volume 3, 18.3.1.1.
describe('a breakpoint at an instruction', () => {
  const at = place.code + 0x40
  /** Comes to it by a jump. */
  const before = (more: (a: Assembler) => Assembler = (a) => a): SmallSystem => {
    const small = new SmallSystem(32)
    small.cpu.memory.set(nops(new Assembler(at)).bytes, at)
    return small.code((a) => more(debug(debug(a, 0, at), 7, global(0, 0))).jump(at))
  }

  test('comes before it, without RF in what is pushed', () => {
    const small = before()
    expect([caught(small, at), frame(small, 2) & RF]).toEqual([[Vector.debug, 0, 1], 0])
  })

  test('is passed once with RF, which IRET sets and the instruction clears', () => {
    const small = before()
    caught(small, at)
    const sp = Number(small.cpu.register(ESP))
    small.words(sp + 8, frame(small, 2) | RF)
    small.cpu.memory[Number(small.cpu.rip)] = 0xcf
    small.step(2)
    expect([small.cpu.rip, small.cpu.flags & RF]).toEqual([BigInt(at + 1), 0])
    small.code((a) => a.jump(at), place.code + 0x80)
    expect(caught(small, at)).toEqual([Vector.debug, 0, 1])
  })

  test('at an instruction with REP comes before its first iteration', () => {
    const small = before((a) => a.set(ECX, 3).set(7, place.data))
    small.cpu.memory.set(nops(new Assembler(at).raw(0xf3, 0xaa)).bytes, at)
    expect([caught(small, at), small.cpu.register(ECX)]).toEqual([[Vector.debug, 0, 1], 3n])
    small.words(Number(small.cpu.register(ESP)) + 8, frame(small, 2) | RF)
    small.cpu.memory[Number(small.cpu.rip)] = 0xcf
    small.step(5)
    expect([small.vector, small.cpu.rip, small.cpu.register(ECX)]).toEqual([-1, BigInt(at + 3), 0n])
  })

  test('is none with L and G clear, for data, or after MOV SS', () => {
    for (const more of [(a: Assembler) => debug(a, 7, 0), (a: Assembler) => debug(a, 7, global(0, 3, 3))]) {
      const small = before(more)
      small.step(10)
      expect([small.vector, small.cpu.rip >= BigInt(at + 2)]).toEqual([-1, true])
    }
    const small = new SmallSystem(32).code((a) => nops(debug(debug(a, 0, place.code + 18), 7, global(0, 0)).set(EAX, select.data).segment(2, EAX)))
    expect(place.code + 18).toBe(place.code + 2 * 8 + 2)
    small.step(7)
    expect(small.vector).toBe(-1)
  })

  test('of which there are four comes by the number of each that is there', () => {
    const small = before((a) => debug(debug(debug(a, 1, at), 3, at), 7, global(0, 0) | global(1, 1) | global(2, 0) | 1 << 6))
    expect(caught(small, at)).toEqual([Vector.debug, 0, 9])
  })
})

// SDM volume 3, 18.2.5 and 18.3.1.2.
describe('a breakpoint at data', () => {
  const WRITE = 1
  const BOTH = 3
  /** DR0 at an address, then an instruction. */
  const after = (kind: number, length: number, address: number, instruction: (a: Assembler) => Assembler): readonly [vector: number, from: number, status: number] => {
    const small = new SmallSystem(32)
    let end = 0
    small.code((a) => {
      end = instruction(debug(debug(a, 0, address), 7, global(0, kind, length)).set(EBX, place.data)).here
      return nops(a)
    })
    return caught(small, end)
  }
  const memory = { rm: { base: EBX }, operandSize: 4 } as const
  const hit = [Vector.debug, 0, 1]

  test('comes after what writes there, or reads as well, by each byte that it has in common', () => {
    const load = (a: Assembler): Assembler => a.op('mov', 'reg rm', { reg: EAX, ...memory })
    const store = (a: Assembler): Assembler => a.op('mov', 'rm reg', { reg: EAX, ...memory })
    const change = (a: Assembler): Assembler => a.op('inc', 'rm', memory)
    for (const instruction of [store, change]) expect(after(WRITE, 0, place.data, instruction)).toEqual(hit)
    for (const instruction of [load, store, change]) expect(after(BOTH, 0, place.data, instruction)).toEqual(hit)
    expect(after(WRITE, 0, place.data, load)[0]).toBe(-1)
    // The last byte of the operand; the one behind it; four bytes of which it has the first; those before it; eight bytes.
    expect([[0, 3], [0, 4], [3, 0], [3, -4], [3, 5], [2, 0], [2, -8], [1, 2], [1, 5]].map(([length = 0, distance = 0]) => after(WRITE, length, place.data + distance, store)[0])).toEqual([1, -1, 1, -1, -1, 1, -1, 1, -1])
  })

  test('comes after a push, an iteration of REP, and what goes across a page', () => {
    expect(after(WRITE, 3, place.stack - 4, (a) => a.push(1))).toEqual(hit)
    expect(after(BOTH, 3, place.stack - 8, (a) => a.push(1).raw(0x5f))[0]).toBe(-1)
    const string = new SmallSystem(32).code((a) => debug(debug(a, 0, place.data + 2), 7, global(0, WRITE)).set(ECX, 5).set(7, place.data).raw(0xf3, 0xaa))
    caught(string, 0)
    expect([string.vector, string.cpu.register(ECX)]).toEqual([Vector.debug, 2n])
    expect(after(WRITE, 0, place.data + 0x1001, (a) => a.op('mov', 'rm reg', { reg: EAX, operandSize: 4, rm: { base: EBX, displacement: 0xffe } }))).toEqual(hit)
  })

  test('is nothing of an instruction that faults', () => {
    // movsd from a place that is watched to one that is not in the segment.
    const small = new SmallSystem(32).code((a) => debug(debug(a, 0, place.data), 7, global(0, BOTH, 3)).set(EAX, 0).segment(0, EAX).set(6, place.data).set(7, 0).raw(0xa5))
    for (let i = 0; i < 30 && small.vector < 0; i++) small.step()
    expect([small.vector, (read(small, 6) ^ NOTHING) >>> 0]).toEqual([Vector.generalProtection, 0])
    small.cpu.memory[Number(small.cpu.rip)] = 0x90
    small.step()
    expect(small.vector).toBe(-1)
  })

  test('that MOV SS meets comes after the next instruction', () => {
    const small = new SmallSystem(32)
    small.words(place.data, select.data)
    small.code((a) => nops(debug(debug(a, 0, place.data), 7, global(0, BOTH, 3)).set(EBX, place.data).raw(0x8e, 0x13, 0x90, 0x90)))
    expect(caught(small, place.code + 16 + 5)).toEqual([Vector.debug, 3, 1])
  })
})

// SDM volume 3, 18.3.1.3, and CR4.DE.
test('a breakpoint of ports comes after the access, when extensions are on', () => {
  for (const de of [8, 0]) {
    const small = new SmallSystem(32).code((a) => nops(debug(debug(a.set(EAX, de).op('mov', 'control rmreg', { reg: 4, rm: EAX }), 2, 0x81), 7, global(2, 2, 0)).raw(0xe5, 0x7e)))
    if (de !== 0) expect(caught(small, place.code)).toEqual([Vector.debug, 5 + 3 + 16 + 2, 4])
    else {
      small.step(10)
      expect(small.vector).toBe(-1)
    }
  }
})

// SDM volume 3, 18.2.4.
describe('debug registers', () => {
  test('are guarded by DR7.GD, which its handler has clear', () => {
    const small = new SmallSystem(32).code((a) => nops(debug(a, 7, BD).op('mov', 'rmreg debug', { reg: 0, rm: EAX })))
    expect([caught(small, place.code), frame(small, 2) & RF, read(small, 7)]).toEqual([[Vector.debug, 8, BD], RF, 0x400])
  })

  test('of a task alone are off in the next one, whose TSS.T is a trap before its first instruction', () => {
    const small = new SmallSystem(32)
    small.words(place.other + 28, 0, place.code + 0x100, 2)
    small.words(place.other + 56, place.stack - 0x100, 0, 0, 0, select.data, select.code, select.data, select.data, 0, 0, 0, 0x68 << 16 | 1)
    small.code((a) => debug(a, 7, 0x355).op('jmp', 'imm imm', { immediates: [0n, BigInt(select.other)] }))
    expect([caught(small, place.code + 0x100), read(small, 7)]).toEqual([[Vector.debug, 0, BT], 0x600])
  })
})

// SDM volume 2, INT1.
test('INT1 is #DB after itself, without the gate\'s DPL, and tells nothing by DR6', () => {
  const small = new SmallSystem(32)
  small.gate(Vector.debug, small.handler(Vector.debug), 0x8e)
  small.cpu.memory.set(nops(new Assembler(place.code + 0x100).raw(0xf1)).bytes, place.code + 0x100)
  small.code((a) => toUser(a, place.code + 0x100))
  expect(caught(small, place.code + 0x100)).toEqual([Vector.debug, 1, 0])
})
