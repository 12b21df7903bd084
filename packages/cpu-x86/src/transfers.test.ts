import { expect, test } from 'vitest'
import { Assembler, EAX, ECX, EDX, ES, ESP, SS } from '../test/machine/assembler.ts'
import { descriptor, gate } from '../test/machine/layout.ts'
import { place, select, SmallSystem, toUser } from '../test/system/machine.ts'
import { Vector } from './index.ts'

const wrmsr = (a: Assembler, number: number, low: number, high: number): Assembler => a.set(ECX, number).set(EAX, low).set(EDX, high).op('wrmsr')

// SDM volume 2, CALL: parameters come off the stack that was, at the level that was.
test('the parameters of a call gate are of the old stack, which must have them', () => {
  const inner = place.code + 0x200
  const call = (esp: number): SmallSystem => {
    const small = new SmallSystem(32)
    small.describe(select.free, descriptor(place.outer - 0x100, 0xff, 0xf3, 4))
    small.describe(select.free + 8, gate(select.code, inner, 0xec, 2))
    const user = new Assembler(place.code + 0x100).set(EAX, select.free | 3).segment(SS, EAX).set(ESP, esp).op('call', 'imm imm', { immediates: [0n, BigInt(select.free + 8)] })
    small.cpu.memory.set(user.bytes, user.at)
    small.words(place.outer - 8, 0x33, 0x44)
    return small.code((a) => toUser(a, user.at))
  }
  const inside = call(0xf8)
  inside.until(inner)
  expect([inside.word(place.stack - 16), inside.word(place.stack - 12)]).toEqual([0x33, 0x44])
  // The second one lies beyond.
  const outside = call(0xfc)
  outside.step(10)
  expect([outside.vector, outside.word(place.stack - 24)]).toEqual([Vector.stackSegment, 0])
  // And a page of the kernel's is not the program's.
  const hidden = call(0xf8)
  hidden.describe(select.free, descriptor(place.outer - 0x100, 0xff, 0xf3, 4))
  hidden.words(place.paging, place.paging + 0x1007)
  for (let i = 0; i < 1024; i++) hidden.words(place.paging + 0x1000 + 4 * i, i << 12 | (i << 12 === place.outer - 0x1000 ? 3 : 7))
  hidden.code((a) => toUser(a.set(EAX, place.paging).op('mov', 'control rmreg', { reg: 3, rm: EAX }).set(EAX, 0x8000_0011).op('mov', 'control rmreg', { reg: 0, rm: EAX }), place.code + 0x100))
  hidden.step(14)
  expect([hidden.vector, hidden.word(place.stack - 24)]).toEqual([Vector.pageFault, 5])
})

// SDM volume 3, 8.3: reset leaves TR null, and then there is no descriptor of an old task.
test('a task switch that comes from no task leaves the first descriptor as it is', () => {
  const small = new SmallSystem(32)
  small.cpu.setSegment(9, { high: 0xffff })
  small.words(place.gdt, 0, 0x200)
  small.words(place.other + 28, 0, place.code + 0x100, 2)
  small.words(place.other + 56, place.stack - 0x100, 0, 0, 0, select.data, select.code, select.data, select.data, 0, 0, 0, 0)
  small.code((a) => a.op('jmp', 'imm imm', { immediates: [0n, BigInt(select.other)] })).step()
  const busy = (which: number): number => small.word(place.gdt + which + 4) & 0x200
  expect([small.cpu.rip, busy(0), busy(select.other)]).toEqual([BigInt(place.code + 0x100), 0x200, 0x200])
})

// SDM volume 2, SYSCALL: SS.Selector := IA32_STAR[47:32] + 8.
test('SYSCALL clears RPL in CS alone', () => {
  const small = new SmallSystem(64)
  small.code((a) => wrmsr(wrmsr(wrmsr(a, 0xc000_0080, 0x901, 0), 0xc000_0081, 0, select.code | 3), 0xc000_0082, place.code + 0x100, 0).op('syscall'))
  small.until(place.code + 0x100)
  expect([small.cpu.selector(1), small.cpu.selector(2)]).toEqual([select.code, select.data | 3])
})

// SDM volume 3, 3.3: outside long mode linear addresses wrap.
test('a descriptor table goes on at zero after 4 GiB', () => {
  const small = new SmallSystem(32)
  small.words(8, ...descriptor(0x5000, 0xff, 0x93, 4))
  small.words(place.data, 0xfff8_00ff, 0xffff)
  small.code((a) => a.op('lgdt', 'mem', { rm: { displacement: place.data } }).set(EAX, 0x10).segment(ES, EAX))
  for (let i = 0; i < 3; i++) expect(small.cpu.step()).toEqual({ kind: 'done' })
  // mov eax, es:[0]
  small.words(0x5000, 0x1234)
  small.code((a) => a.raw(0x26, 0xa1, 0, 0, 0, 0)).step()
  expect([small.cpu.selector(ES), small.cpu.register(EAX)]).toEqual([0x10, 0x1234n])
})

test('in long mode a descriptor at no canonical address is #GP', () => {
  const small = new SmallSystem(64)
  small.words(place.data, 0xfff8_00ff, 0x7fff_ffff, 0)
  small.code((a) => a.op('lgdt', 'mem', { rm: { displacement: place.data } }).set(EAX, 0x10).segment(ES, EAX)).step(2)
  expect(small.cpu.step()).toMatchObject({ vector: Vector.generalProtection, error: 0 })
})

// SDM volume 2, INT n.
test('an interrupt in virtual-8086 mode goes to level 0 alone', () => {
  for (const level of [0, 1, 2, 3]) {
    const small = new SmallSystem(32)
    small.describe(select.free, descriptor(0, 0xf_ffff, 0x9a | level << 5, 12))
    small.words(place.tss + 8 * level + 4, place.stack, select.data)
    small.gate(0x30, small.handler(0x30), 0xee, select.free)
    small.cpu.memory.set([0xcd, 0x30], place.code + 0x100)
    small.code((a) => {
      for (const value of [0, 0, 0, 0, place.outer >> 4, 0x80, 0x2_3002, place.code >> 4, 0x100]) a.push(value)
      return a.op('iret')
    }).step(11)
    expect([small.vector, level === 0 ? 0 : small.word(Number(small.cpu.register(ESP)))]).toEqual(level === 0 ? [0x30, 0] : [Vector.generalProtection, select.free])
  }
})

// SDM volume 2, JMP, CALL-GATE: the code's DPL is looked at before whether it is present; CALL may go there, and misses it.
test('a jump by a call gate to an inner level is #GP, whether the code there is present or not', () => {
  const vectors = (['jmp', 'call'] as const).map((name) => {
    const small = new SmallSystem(32)
    small.describe(select.free, descriptor(0, 0xf_ffff, 0x1b, 12))
    small.describe(select.free + 8, gate(select.free, place.code, 0xec))
    const user = new Assembler(place.code + 0x100).op(name, 'imm imm', { immediates: [0n, BigInt(select.free + 8)] })
    small.cpu.memory.set(user.bytes, user.at)
    small.code((a) => toUser(a, user.at))
    small.until(user.at)
    small.step()
    return small.vector
  })
  expect(vectors).toEqual([Vector.generalProtection, Vector.segmentNotPresent])
})
