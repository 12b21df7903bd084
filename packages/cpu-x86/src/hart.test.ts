import { expect, test } from 'vitest'
import type { LocalController } from '@machinist/api'
import { Engine } from './engine.ts'
import { models } from './model/models.ts'
import { type StateField, x86Layout } from './emit/layout.ts'
import { savedFields } from './hart-state.ts'
import type { X86Hart } from './hart.ts'
import { longMode, type TestMachine, testMachine } from './test-machine.ts'

const CODE = 0x1_0000
const hex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (digits) => parseInt(digits, 16))

/** Sets a gate for vector 31h, and counts its interrupts in RBX: HLT, port 80h gets the count, HLT, … */
const interrupts = hex('bc000002000f011d3b000000488d0530000000bf1093000066890766c74702100066c74704008e48c1e8106689470648c7470800000000fbf4ba8000000089d8efebf5ffc348cfff0f0090000000000000')
/** Goes round a loop of shifts, memory with carry, the stack, doubles, REP MOVSB, RDTSC, calls and exchanges. */
const work = hex('0f20e00d000600000f22e0bc0000020041b891f44525bf0000030031dbb801000000f20f2ac0f20f2ac84c89c048c1e00d4931c04c89c048c1e8074931c04c89c048c1e0114931c04489c181e1f80f00004c11040f9c41594c014c0f08f20f5ec8f20f58c1f20f118700100000488db70001000057b925000000488dbf00200000f3a45fffc30f31e802000000eb9bf6c30375034c8717c3')

/** A machine in long mode at the code. */
function booted(code: Uint8Array, ...given: Parameters<typeof testMachine>): TestMachine {
  const machine = testMachine(...given)
  machine.memory.write(CODE, code)
  machine.cpu.reset('cold', { pc: 0, args: [], start: longMode(machine.memory, CODE) })
  return machine
}

const register = (hart: X86Hart, number: number): bigint => hart.record.get64('registers', number)
const RAX = 0
const RBX = 3

test('a budget is kept to the step, and where runs end, or a copy goes on, makes no difference', () => {
  const END = 400_000
  const whole = booted(work)
  expect(whole.hart.run(END, true)).toBe('budget')
  expect(whole.hart.steps).toBe(END)
  expect(whole.hart.retired).toBe(END)
  expect(register(whole.hart, RBX)).toBeGreaterThan(5000n)
  let parts = booted(work)
  let seed = 12345
  while (parts.hart.steps < END) {
    seed = Math.imul(seed, 1_103_515_245) + 12345 >>> 0
    // Some runs are of single steps alone, others go by pages of code first; some may go further than told.
    const most = (seed >>> 8) % 3 === 0 ? 300 : 20_000
    const budget = Math.min(1 + (seed >>> 12) % most, END - parts.hart.steps)
    const exact = (seed >>> 5) % 4 !== 0 || END - parts.hart.steps < 30_000
    const before = parts.hart.steps
    expect(parts.hart.run(budget, exact)).toBe('budget')
    if (exact) expect(parts.hart.steps).toBe(before + budget)
    else expect(parts.hart.steps - before - budget).toBeLessThan(4096)
    if ((seed >>> 20) % 16 === 0) parts = parts.fork()
  }
  expect(parts.hart.save()).toEqual(whole.hart.save())
  const memory = [whole, parts].map((machine) => {
    const bytes = new Uint8Array(0x4000)
    machine.memory.read(0x2_f000, bytes)
    return bytes
  })
  expect(memory[1]).toEqual(memory[0])
})

test.each(['off', 'now'] as const)('a processor does not notice that its code is made anew (translation %s)', (translate) => {
  const [plain, renewed] = [booted(work, { translate, hot: 400 }), booted(work, { translate, hot: 400 })]
  const { exports } = Engine.of(renewed.memory.arena, models['x86-64-v2'], { translate, hot: 400 })
  for (let done = 0; done < 60_000; done += 15_000) {
    plain.hart.run(15_000, true)
    renewed.hart.run(15_000, true)
    renewed.cpu.renewCode()
  }
  expect(Engine.of(renewed.memory.arena, models['x86-64-v2'], { translate, hot: 400 }).exports).not.toBe(exports)
  expect(renewed.hart.save()).toEqual(plain.hart.save())
  if (translate === 'now') expect(renewed.cpu.stats.translated).toBeGreaterThan(20_000)
})

/** Copies a loop to a page, goes round it a thousand times, and to the next page, of 512; then from the first on. */
const writer = hex('bc0000020041b800000400488d35240000004489c7b90a000000f3a4b9e803000041ffd04181c0001000004181f80000240072d7ebcfffc34801d8ffc975f7c3')

test('code that is written without end has as many regions as there may be, and goes on being translated', () => {
  const [most, steps] = [12, 300_000]
  const [fast, slow] = [booted(writer, { translate: 'now', hot: 400 }, { most }), booted(writer, { translate: 'off' })]
  let regions = 0
  for (let done = 0; done < steps; done += 25_000) {
    fast.hart.run(25_000, true)
    const { stats } = fast.cpu
    expect((stats.regions ?? 0) - (stats.dropped ?? 0)).toBeLessThanOrEqual(most)
    regions = stats.regions ?? 0
  }
  slow.hart.run(steps, true)
  expect(fast.hart.save()).toEqual(slow.hart.save())
  expect(regions).toBeGreaterThan(4 * most)
  expect((fast.cpu.stats.translated ?? 0) / steps).toBeGreaterThan(0.5)
})

test('a page whose translations are dropped again and again gets others', () => {
  const [rounds, steps] = [60, 20_000]
  // Many places where control arrives: 320 times add ebx, ecx; jmp to the next; and all over again.
  const dense = hex('01cbeb00'.repeat(320) + 'e9fbfaffff')
  const options = { translate: 'now', hot: 400 } as const
  const [fast, slow] = [booted(dense, options), booted(dense, { translate: 'off' })]
  const { cache } = Engine.of(fast.memory.arena, models['x86-64-v2'], options)
  for (let round = 0; round < rounds; round++) {
    const before = fast.cpu.stats.translated ?? 0
    fast.hart.run(steps, true)
    expect((fast.cpu.stats.translated ?? 0) - before).toBeGreaterThan(steps / 4)
    cache.dropTranslations()
    expect(fast.cpu.stats.dropped).toBe(fast.cpu.stats.regions)
  }
  slow.hart.run(rounds * steps, true)
  expect(fast.hart.save()).toEqual(slow.hart.save())
})

test('a REP that comes when the budget is overrun keeps to it', () => {
  // 20 times inc ebx; mov ecx, 1000h; mov edi, 30000h; rep stosb; jmp back
  const machine = booted(hex('ffc3'.repeat(20) + 'b900100000bf00000300f3aaebca'))
  machine.hart.run(50_000, true)
  for (let each = 0; each < 200; each++) {
    const before = machine.hart.steps
    const budget = 4097 + each % 24
    machine.hart.run(budget, true)
    expect(machine.hart.steps - before).toBe(budget)
  }
})

test('a state after any step can be restored: behind POPF, STI, and in the middle of REP', () => {
  // sti; pushf; popf; mov ecx, 40h; mov edi, 30000h; rep stosb; jmp back
  let machine = booted(hex('fb9c9db940000000bf00000300f3aaebef'))
  const whole = booted(hex('fb9c9db940000000bf00000300f3aaebef'))
  for (const { hart } of [machine, whole]) hart.record.set64('registers', 0x2_0000n, 4)
  for (let step = 0; step < 100; step++) {
    machine.hart.run(1, true)
    whole.hart.run(1, true)
    expect(machine.hart.save()).toEqual(whole.hart.save())
    machine = machine.fork()
  }
})

test('code that somebody else writes is what runs, also on a page that goes by its ops', () => {
  // inc ebx; jmp back
  const machine = booted(hex('ffc3ebfc'))
  machine.hart.run(100_000, true)
  expect(register(machine.hart, RBX)).toBe(50_000n)
  // dec ebx
  machine.memory.write(CODE, hex('ffcb'))
  machine.cpu.memoryChanged(CODE, 2)
  machine.hart.run(100_000, true)
  expect(register(machine.hart, RBX)).toBe(0n)
})

test('PAUSE gives way when another processor may run, as a run found it when it began', () => {
  // pause; inc ebx; jmp back
  const machine = booted(hex('f390ffc3ebfa'), { harts: 2 })
  const { hart, cpu } = machine
  expect(hart.run(30_000, true)).toBe('budget')
  machine.memory.write(0x7000, hex('ebfe'))
  cpu.input('hart1.sipi')?.send(7)
  expect(hart.run(30_000, true)).toBe('yield')
  expect(hart.steps).toBe(30_001)
  const saved = hart.saveRun()
  cpu.input('hart1.init')?.pulse()
  cpu.vcpus[1]?.run(10, true)
  hart.restoreRun(saved)
  expect(hart.run(30_000, true, true)).toBe('yield')
  expect(hart.run(30_000, true)).toBe('budget')
  expect(() => { hart.restoreRun({ others: 1 }) }).toThrow(expect.objectContaining({ code: 'bad-state', value: 'others' }))
})

test('a processor that halts is runnable when an interrupt comes that it takes, at the vector that it is told', () => {
  const machine = booted(interrupts)
  const { hart, cpu, events, writes } = machine
  const line = cpu.input('hart0.intr')
  expect(hart.run(1000, true)).toBe('halt')
  expect(hart.runnable).toBe(false)
  expect(hart.run(1000, true)).toBe('halt')
  const before = hart.steps
  machine.vector = 0x31
  line?.set(true)
  expect(hart.runnable).toBe(true)
  // The event itself is a step, which retires no instruction.
  const retired = hart.retired
  expect(hart.run(1, true)).toBe('budget')
  expect([hart.steps - before, hart.retired - retired, hart.record.get('waiting')]).toEqual([1, 0, 0])
  expect(events).toEqual(['acknowledge hart0.intr'])
  line?.set(false)
  expect(hart.run(1000, true)).toBe('halt')
  expect(writes).toEqual([[0x80, 4, 1]])
  expect(hart.runnable).toBe(false)
  line?.pulse()
  expect(hart.run(1000, true)).toBe('halt')
  expect(writes).toHaveLength(1)
})

test('a copy of a processor that waits goes on as the processor does', () => {
  const machine = booted(interrupts)
  machine.hart.run(1000, true)
  const copy = machine.fork()
  expect(copy.hart.runnable).toBe(false)
  copy.vector = 0x31
  copy.cpu.input('hart0.intr')?.set(true)
  copy.hart.run(20, true)
  expect(register(copy.hart, RBX)).toBeGreaterThan(0n)
  expect(register(machine.hart, RBX)).toBe(0n)
})

test('other processors wait for a start-up, and begin in real-address mode at its page', () => {
  const { cpu, memory, hart } = booted(work, { harts: 2 })
  const [, other] = cpu.vcpus
  // mov ax, 1234h; hlt
  memory.write(0x7000, hex('b83412f4'))
  expect(other?.runnable).toBe(false)
  expect(other?.run(100, true)).toBe('halt')
  // What is no start-up does not wake it.
  cpu.input('hart1.init')?.pulse()
  expect(other?.run(100, true)).toBe('halt')
  cpu.input('hart1.sipi')?.send(7)
  hart.run(100, true)
  expect(other?.run(100, true)).toBe('halt')
  expect(other && register(other, RAX) & 0xffffn).toBe(0x1234n)
  expect(other?.record.get('mode')).toBe(16)
  // INIT, and it waits again.
  cpu.input('hart1.init')?.pulse()
  expect(other?.run(100, true)).toBe('halt')
  expect(other?.record.get('waiting')).toBe(3)
  expect(hart.steps).toBe(100)
})

test('an exception that nobody can take resets the machine', () => {
  // lidt of a table with no gates; ud2
  const machine = booted(hex('0f011c25000003000f0b'))
  expect(machine.hart.run(100, true)).toBe('halt')
  expect(machine.events).toEqual(['reset'])
  expect(machine.hart.runnable).toBe(false)
  machine.cpu.reset('warm', { pc: 0, args: [], start: longMode(machine.memory, CODE) })
  expect(machine.hart.runnable).toBe(true)
  expect(machine.hart.steps).toBe(2)
})

test('a kick from an access ends the run after its instruction', () => {
  // mov dx, 80h; out dx, al; inc ebx; jmp .
  const machine = booted(hex('66ba8000eeffc3ebfe'))
  const { hart, writes } = machine
  const push = writes.push.bind(writes)
  writes.push = (...items) => {
    hart.kick()
    return push(...items)
  }
  expect(hart.run(1000, true)).toBe('yield')
  expect([hart.steps, register(hart, RBX)]).toEqual([2, 0n])
  expect(hart.run(10, true)).toBe('budget')
  expect([hart.steps, register(hart, RBX)]).toEqual([12, 1n])
})

test('devices have accesses as wide as the instruction has them, and nobody answers with ones', () => {
  // mov [d0000000h], eax, ax, al; mov rcx, [d0000008h]; mov ebx, [e0000000h]
  const machine = booted(hex('b8443322 11'.replaceAll(' ', '') + 'bf000000d0' + '8907' + '668907' + '8807' + '488b4f08' + 'be000000e0' + '8b1e' + 'ebfe'))
  const log: string[] = []
  machine.bus.attach('device', 0xd000_0000, 4096, 0, {
    read: (_region, offset, width) => { log.push(`read ${offset} ${width}`); return offset },
    write: (_region, offset, width, value) => { log.push(`write ${offset} ${width} ${value.toString(16)}`) },
  })
  machine.hart.run(8, true)
  expect(log).toEqual(['write 0 4 11223344', 'write 0 2 3344', 'write 0 1 44', 'read 8 4', 'read 12 4'])
  expect([register(machine.hart, 1), register(machine.hart, RBX)]).toEqual([0xc_0000_0008n, 0xffff_ffffn])
  expect(machine.cpu.stats['deviceAccesses']).toBe(5)
})

test('the page of the local APIC is each processor\'s own', () => {
  const log: string[] = []
  const local: LocalController = {
    read: (hart, offset) => { log.push(`read ${hart} ${offset.toString(16)}`); return 0x50014 },
    write: (hart, offset, value) => { log.push(`write ${hart} ${offset.toString(16)} ${value}`); return true },
    readMsr: () => false, writeMsr: () => false, readPriority: () => 5, writePriority: () => undefined,
  }
  // mov ebx, [fee00030h]; mov [fee000b0h], ecx; mov rax, cr8
  const machine = booted(hex('be0000e0fe' + '8b5e30' + '898eb0000000' + '440f20c0' + 'ebfe'), {}, { local })
  machine.hart.run(4, true)
  expect(log.filter((line) => !line.startsWith('read 0 b0'))).toEqual(['read 0 30', 'write 0 b0 0'])
  expect([register(machine.hart, RBX), register(machine.hart, RAX)]).toEqual([0x50014n, 5n])
})

test('a program of 32 bits starts with its registers; a reset begins below 4 GiB', () => {
  const machine = testMachine()
  // mov eax, [ebx]; push esi; hlt
  machine.memory.write(CODE, hex('8b0356f4'))
  machine.memory.write(0x500, hex('efbeadde'))
  machine.cpu.reset('cold', { pc: 0, args: [], start: { kind: 'protected', pc: CODE, gdt: { base: 0x8000, limit: 31 }, eax: 0x2bad_b002, ebx: 0x500, esi: 7 } })
  expect(register(machine.hart, RAX)).toBe(0x2bad_b002n)
  machine.hart.record.set64('registers', 0x2000n, 4)
  expect(machine.hart.run(100, true)).toBe('halt')
  expect(register(machine.hart, RAX)).toBe(0xdead_beefn)
  const stack = new Uint8Array(4)
  machine.memory.read(0x1ffc, stack)
  expect(stack[0]).toBe(7)
  machine.cpu.reset('cold', { pc: 0, args: [] })
  expect(machine.hart.record.get64('pc')).toBe(0xfff0n)
  expect(machine.hart.record.get('mode')).toBe(16)
})

test.each<[string, unknown]>([
  ['kind', { kind: 'other' }], ['start', 7], ['gdt', { kind: 'linux64', pc: 0, pages: 0, parameters: 0 }], ['pages', { kind: 'linux64', pc: 0, pages: -1, parameters: 0, gdt: { base: 0, limit: 0 } }],
  ['pc', { kind: 'protected', pc: 0.5, eax: 0, ebx: 0, esi: 0, gdt: { base: 0, limit: 0 } }], ['ebx', { kind: 'protected', pc: 0, eax: 0, ebx: 2 ** 32, esi: 0, gdt: { base: 0, limit: 0 } }],
])('a start that is none is refused: %s', (value, start) => {
  expect(() => { testMachine().cpu.reset('cold', { pc: 0, args: [], start }) }).toThrow(expect.objectContaining({ code: 'bad-start', value }))
})

test('a saved state that is none is refused, and nothing has changed', () => {
  const { hart } = booted(work)
  hart.run(1000, true)
  const good = hart.save() as Record<string, Record<string, unknown>>
  const bad: [string, unknown][] = [
    ['state', 7], ['words', { ...good, words: null }], ['cr3', { ...good, words: { ...good['words'], cr3: 7 } }], ['cr0', { ...good, words: { ...good['words'], cr0: -1n } }],
    ['segments', { ...good, arrays: { ...good['arrays'], segments: [1n] } }], ['cpl', { ...good, small: { ...good['small'], cpl: 4 } }], ['waiting', { ...good, small: { ...good['small'], waiting: 0.5 } }],
    // Bits that the model has not: LA57, FFXSR, AVX.
    ['cr4', { ...good, words: { ...good['words'], cr4: 0x1020n } }], ['efer', { ...good, words: { ...good['words'], efer: 1n << 14n } }], ['xcr0', { ...good, words: { ...good['words'], xcr0: 7n } }],
    ['flags', { ...good, flags: -1 }], ['extended', { ...good, extended: new Uint8Array(7) }],
  ]
  for (const [value, state] of bad) expect(() => { hart.restore(state) }).toThrow(expect.objectContaining({ code: 'bad-state', value }))
  expect(hart.save()).toEqual(good)
})

test('every field of a record is saved, follows from what is, or lasts for a step', () => {
  const flags: StateField[] = ['flagKind', 'flagShift', 'flagSource', 'flagResult', 'direction', 'system']
  /** Of control registers, CS, and the model. */
  const derived: StateField[] = ['mode', 'view', 'cr4Bits', 'eferBits', 'xcr0Bits', 'msrGroups', 'timeBase']
  const forAStep: StateField[] = ['zero', 'external', 'fault', 'error', 'faultAddress', 'event', 'saved', 'from', 'fetched', 'bounce', 'bounceBytes', 'unaligned', 'bounceFirst', 'bounceAt', 'bounceNext', 'mailbox']
  const ofRuns: StateField[] = ['page', 'exitKind', 'exitAccess', 'exitVa', 'plain', 'dropped', 'budgetStart', 'budget', 'leave', 'others', 'ramTable', 'debug']
  const ofTheTlb: StateField[] = ['banks', 'firstBank', 'slot', 'slotPcid', 'slotUsed', 'slotClock', 'privatePages', 'largeRegions', 'regionSteps', 'tlbMisses']
  expect([...savedFields, ...flags, ...derived, ...forAStep, ...ofRuns, ...ofTheTlb].sort()).toEqual(Object.keys(x86Layout.fields).sort())
})

test.each<[unknown, string]>([[{ harts: 0 }, 'harts = 0'], [{ harts: 256 }, 'harts = 256'], [{ model: 'z80' }, 'model = z80'], [{ firmware: 'bios' }, 'firmware = bios'], [7, 'configuration = 7']])('a configuration is checked: %j', async (input, value) => {
  const { x86 } = await import('./cpu.ts')
  expect(x86.configure({}, 'cpu')).toEqual({ harts: 1, model: 'x86-64-v2', translate: 'later', hot: 1_500_000 })
  expect(() => x86.configure(input, 'cpu')).toThrow(expect.objectContaining({ code: 'bad-config', part: 'cpu', value }))
})
