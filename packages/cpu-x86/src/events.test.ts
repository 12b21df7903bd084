import { tlbLayout } from '@machinist/mmu'
import { compileNow, createMemory, createTable, instantiate } from '@machinist/wasm'
import { describe, expect, test } from 'vitest'
import { Assembler, EAX, EBX, ECX, ESP, SS } from '../test/machine/assembler.ts'
import { place, select, SmallSystem } from '../test/system/machine.ts'
import { ownFunctions, writeCore } from './emit/core.ts'
import { segmentLayout, State } from './emit/layout.ts'
import { BANKS_PER_HART } from './emit/tlb.ts'
import { Activity, Line, Polled } from './emit/system/events.ts'
import { Flag, Vector } from './index.ts'
import { resetState } from './reset.ts'

const INTR = 0x60
const IF = Flag.interrupt
const nops = (a: Assembler, count = 8): Assembler => a.raw(...new Array<number>(count).fill(0x90))

/** One with an interrupt that is asserted until it is acknowledged. */
function system(mode: 32 | 64 = 32): SmallSystem & { acknowledged: number } {
  const small = Object.assign(new SmallSystem(mode, {
    acknowledge: () => {
      small.acknowledged++
      small.cpu.signal('interrupt', false)
      return INTR
    },
  }), { acknowledged: 0 })
  return small
}

/** Where the event came that the handler was entered for: what it returns to, from the start of the code. */
function cameAt(small: SmallSystem, words = 0): number {
  return small.word(Number(small.cpu.register(ESP)) + 4 * words) - place.code
}

/** Steps until it is in a handler, and which one and where it came. */
function next(small: SmallSystem, limit = 20): readonly [vector: number, from: number] {
  for (let i = 0; i < limit && small.vector < 0; i++) small.step()
  return [small.vector, cameAt(small)]
}

/** IRET from a handler of 32 bits, without what was pushed before. */
function back(small: SmallSystem): void {
  small.cpu.memory[Number(small.cpu.rip)] = 0xcf
  small.step()
}

// SDM volume 3, 7.8.1.
describe('an interrupt from outside', () => {
  test('comes between instructions while IF is set, with the vector that is acknowledged', () => {
    for (const mode of [32, 64] as const) {
      const small = system(mode).code((a) => nops(a))
      small.cpu.signal('interrupt')
      small.step(2)
      expect([small.vector, small.cpu.rip, small.acknowledged]).toEqual([-1, BigInt(place.code + 2), 0])
      small.cpu.flags |= IF
      expect([next(small), small.acknowledged, small.cpu.flags & IF]).toEqual([[INTR, 2], 1, 0])
      expect(small.word(Number(small.cpu.register(ESP)) + 2 * (mode / 8)) & (IF | 1 << 16)).toBe(IF)
    }
  })

  test('that is told of to whoever steps has no error code, and sets EXT in that of a fault on the way', () => {
    const small = system().code((a) => nops(a))
    small.gate(INTR, 0, 0x6e)
    small.cpu.flags |= IF
    small.cpu.signal('interrupt')
    const step = small.cpu.step()
    expect(step).toEqual({ kind: 'exception', vector: INTR, cause: 'external', error: 0, address: 0n, from: BigInt(place.code) })
    if (step.kind === 'exception') small.cpu.deliver(step)
    expect([small.vector, small.word(Number(small.cpu.register(ESP)))]).toEqual([Vector.segmentNotPresent, INTR << 3 | 3])
  })

  test('comes between iterations of REP', () => {
    const small = system().code((a) => a.set(ECX, 5).set(7, place.data).raw(0xf3, 0xaa))
    small.cpu.flags |= IF
    small.step(4)
    small.cpu.signal('interrupt')
    // What returns there has RF, so that a breakpoint is not met again (18.3.1.1).
    expect([next(small), small.cpu.register(ECX), small.word(Number(small.cpu.register(ESP)) + 8) >> 16 & 1]).toEqual([[INTR, 10], 3n, 1])
  })

  test('comes after iterations that were done at once as after each of them', () => {
    // After two of them the rest of the budget is one chunk; and so is what REP ends with.
    for (const [steps, resumes] of [[2 + 6, 1], [2 + 10 + 1, 0]] as const) {
      const small = system().code((a) => nops(a.set(ECX, 10).set(7, place.data).raw(0xf3, 0xaa)))
      small.cpu.flags |= IF
      small.step()
      small.cpu.run(steps - 1)
      small.cpu.signal('interrupt')
      expect([next(small), small.cpu.register(ECX), small.word(Number(small.cpu.register(ESP)) + 8) >> 16 & 1]).toEqual([[INTR, 10 + (resumes === 1 ? 0 : 3)], resumes === 1 ? 4n : 0n, resumes])
    }
  })
})

// SDM volume 3, 7.8.3; volume 2, STI and MOV.
describe('the shadow', () => {
  test('of STI is one instruction, and of STI alone that sets IF', () => {
    const small = system().code((a) => nops(a.op('sti')))
    small.cpu.signal('interrupt')
    expect(next(small)).toEqual([INTR, 2])
    const again = system().code((a) => nops(a.op('sti')))
    again.cpu.flags |= IF
    again.step()
    again.code((a) => nops(a.op('sti')))
    again.cpu.signal('interrupt')
    again.step()
    expect([again.vector, again.acknowledged]).toEqual([INTR, 1])
  })

  test('lasts until HLT after STI waits, which the interrupt ends', () => {
    const small = system().code((a) => nops(a.op('sti').op('hlt')))
    small.cpu.signal('interrupt')
    expect(next(small)).toEqual([INTR, 2])
  })

  test('does not outlast its instruction when nothing waited', () => {
    const small = system().code((a) => nops(a.op('sti')))
    small.step(2)
    small.cpu.signal('interrupt')
    expect(next(small)).toEqual([INTR, 2])
  })

  test('of MOV SS and POP SS holds interrupts, NMI and single step off, that of LSS nothing', () => {
    const loads: readonly (readonly [(a: Assembler) => Assembler, number, number])[] = [
      [(a) => a.segment(SS, EAX), 2, 1],
      [(a) => a.raw(0x17), 1, 1],
      [(a) => a.op('lss', 'reg mem', { reg: ESP, rm: { displacement: place.data } }), 7, 0],
    ]
    for (const [load, bytes, held] of loads) {
      for (const event of ['interrupt', 'nonMaskable', 'trap'] as const) {
        const small = system().code((a) => nops(load(a)))
        small.words(place.stack - 4, select.data)
        small.words(place.data, place.stack - 4, select.data)
        small.cpu.setRegister(ESP, BigInt(place.stack - 4))
        small.cpu.setRegister(EAX, BigInt(select.data))
        if (event === 'trap') small.cpu.flags |= Flag.trap
        small.step()
        if (event === 'interrupt') small.cpu.flags |= IF
        if (event !== 'trap') small.cpu.signal(event)
        expect(next(small)).toEqual([{ interrupt: INTR, nonMaskable: Vector.nonMaskable, trap: Vector.debug }[event], bytes + held])
      }
    }
  })
})

// SDM volume 3, 7.7.1.
describe('NMI', () => {
  test('comes whatever IF is, and the next one not before IRET', () => {
    const small = system().code((a) => nops(a))
    small.cpu.signal('nonMaskable')
    expect(next(small)).toEqual([Vector.nonMaskable, 0])
    small.cpu.memory.fill(0x90, small.handler(Vector.nonMaskable), small.handler(Vector.nonMaskable) + 8)
    small.cpu.signal('nonMaskable')
    small.step(3)
    expect(small.cpu.rip).toBe(BigInt(small.handler(Vector.nonMaskable) + 3))
    back(small)
    expect(small.cpu.rip).toBe(BigInt(place.code))
    expect(next(small, 1)).toEqual([Vector.nonMaskable, 0])
  })

  test('is let in again by an IRET that faults', () => {
    const small = system().code((a) => nops(a))
    small.cpu.signal('nonMaskable')
    next(small)
    small.cpu.signal('nonMaskable')
    // CS is null.
    small.words(Number(small.cpu.register(ESP)) + 4, 0)
    back(small)
    expect(small.vector).toBe(Vector.generalProtection)
    small.step()
    expect(small.vector).toBe(Vector.nonMaskable)
  })

  test('does not wait for IRET after INT 2', () => {
    const small = system().code((a) => nops(a.int(Vector.nonMaskable)))
    small.step()
    small.cpu.memory[small.handler(Vector.nonMaskable)] = 0x90
    small.cpu.signal('nonMaskable')
    small.step(1)
    expect(small.word(Number(small.cpu.register(ESP)))).toBe(small.handler(Vector.nonMaskable))
  })
})

// SDM volume 2, HLT.
describe('HLT', () => {
  test('lasts until an interrupt that IF lets in, or NMI', () => {
    const small = system().code((a) => nops(a.op('hlt')))
    small.step()
    expect(small.cpu.step()).toEqual({ kind: 'halted' })
    small.cpu.signal('interrupt')
    expect(small.cpu.step()).toEqual({ kind: 'halted' })
    small.cpu.signal('nonMaskable')
    expect([next(small, 1), small.acknowledged]).toEqual([[Vector.nonMaskable, 1], 0])
    back(small)
    small.step()
    expect(small.cpu.rip).toBe(BigInt(place.code + 2))
  })

  test('is left by single step at once', () => {
    const small = system().code((a) => nops(a.op('hlt')))
    small.cpu.flags |= Flag.trap
    expect(next(small)).toEqual([Vector.debug, 1])
  })
})

// As saved states have it.
test('whether something may come is one or zero, whatever flags and breakpoints say', () => {
  const small = system().code((a) => nops(a.push(0x302).op('popf').op('cli').op('sti')))
  for (let i = 0; i < 6; i++) {
    small.step()
    expect(new DataView(small.cpu.memory.buffer).getUint32(STATE.field('attention'), true)).toBeLessThan(2)
  }
})

// SDM volume 3, table 7-2.
test('what comes at once comes by its priority: the trap of single step, NMI, an interrupt', () => {
  const small = system().code((a) => nops(a))
  for (const vector of [Vector.debug, Vector.nonMaskable]) small.gate(vector, small.handler(vector), 0x8f)
  small.cpu.flags |= IF | Flag.trap
  small.step()
  small.cpu.signal('interrupt')
  small.cpu.signal('nonMaskable')
  // Each comes before the first instruction of the handler of the one before.
  const order = [1, 2, 3].map(() => {
    small.step()
    return [small.vector, small.word(Number(small.cpu.register(ESP)))]
  })
  expect(order).toEqual([[Vector.debug, place.code + 1], [Vector.nonMaskable, small.handler(Vector.debug)], [INTR, small.handler(Vector.nonMaskable)]])
})

// SDM volume 3, 7.15: only NMI, INIT and reset end a shutdown.
test('a shutdown lasts', () => {
  const small = system().code((a) => nops(a.raw(0x0f, 0x0b)))
  small.cpu.setInterruptTable(0n, 0)
  small.cpu.flags |= IF
  expect(small.step()).toEqual({ kind: 'shutdown' })
  small.cpu.signal('interrupt')
  expect([small.cpu.step(), small.cpu.step(), small.acknowledged]).toEqual([{ kind: 'shutdown' }, { kind: 'shutdown' }, 0])
  small.cpu.setInterruptTable(BigInt(place.idt), 0x7ff)
  small.cpu.signal('interrupt', false)
  small.cpu.signal('nonMaskable')
  expect(next(small, 1)).toEqual([Vector.nonMaskable, 0])
})

// SDM volume 3, 10.4.4 and table 10-1.
describe('INIT', () => {
  test('leaves the processor that starts others about to begin at FFFF_FFF0', () => {
    const small = system(64).code((a) => nops(a))
    const { cpu } = small
    cpu.setRegister(EBX, 5n)
    cpu.flags |= IF
    cpu.signal('init')
    // There is nothing there: #PF would have told that paging is still on, and 255 that the memory has no such place.
    cpu.step()
    expect([cpu.mode, cpu.privilege, cpu.register(EBX), cpu.flags & IF, cpu.selector(1), cpu.selector(SS), cpu.rip >= 0xfff0n]).toEqual([16, 0, 0n, 0, 0xf000, 0, true])
  })

  test('leaves the others waiting for SIPI, which starts them at a page below 1 MiB; before INIT, SIPI is nothing', () => {
    const { core, view, set } = bareCore()
    resetState(view, STATE, 'cold')
    set('lines', Line.startUp)
    set('sipi', 0x9a)
    expect([core.poll(), view.getUint32(STATE.field('lines'), true), view.getUint32(STATE.field('waiting'), true)]).toEqual([Polled.clear, 0, Activity.running])
    view.setBigUint64(STATE.field('star'), 7n, true)
    // Both came before it was looked at, INIT first.
    set('lines', Line.init | Line.startUp | Line.nonMaskable | Line.interrupt)
    expect(core.poll()).toBe(Polled.raised)
    const cs = STATE.segment(1)
    expect([view.getBigUint64(cs, true), view.getUint16(cs + segmentLayout.selector, true), view.getBigUint64(STATE.field('pc'), true), view.getBigUint64(STATE.field('star'), true)]).toEqual([0x9_a000n, 0x9a00, 0n, 7n])
    set('fault', 0)
    set('lines', Line.init)
    expect([core.poll(), core.poll(), view.getUint32(STATE.field('waiting'), true)]).toEqual([Polled.waits, Polled.waits, Activity.waitingForStartUp])
    // INIT and interrupts are nothing to it then.
    set('lines', Line.init | Line.interrupt)
    expect([core.poll(), view.getUint32(STATE.field('lines'), true)]).toEqual([Polled.waits, Line.interrupt])
  })
})

const STATE = new State(0)

/** A core without anything around it. */
function bareCore(): { core: { poll(): number }; view: DataView; set(field: 'lines' | 'sipi' | 'fault', value: number): void } {
  const banksAt = 0x1_0000
  const memory = createMemory({ initial: Math.ceil((banksAt + BANKS_PER_HART * tlbLayout.size) / 0x1_0000) })
  const view = new DataView(memory.buffer)
  const nothing = (): number => 0
  const host = new Proxy({ memory, table: createTable(ownFunctions()), decoded: 8192, jumps: 0, initialise: () => resetState(view, STATE, 'init') }, { get: (target, name): unknown => Reflect.get(target, name) ?? nothing })
  const core = instantiate<{ poll(): number; startBanks(first: number): void }>(compileNow(writeCore({ state: STATE, physicalBits: 40, memory: { initial: 1 } })), { host })
  core.startBanks(banksAt)
  return { core, view, set: (field, value) => view.setUint32(STATE.field(field), value, true) }
}
