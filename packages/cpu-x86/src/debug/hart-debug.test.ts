import type { DebugStop } from '@machinist/api'
import { describe, expect, test } from 'vitest'
import { IDT, longMode, testMachine, type TestMachine } from '../test-machine.ts'

const CODE = 0x2_0000
const FAR = 0x2_3000
const HANDLER = 0x2_8000
const DATA = 0x5_0000
const STACK = 0x6_0000
const [RAX, RBX, RCX, RSP] = [0, 3, 1, 4]

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

/** A loop that stores a count across the end of a page, calls to another page, and raises an interrupt of its own. */
function machine(): TestMachine {
  const t = testMachine()
  const put = (at: number, code: string): void => { t.memory.write(at, hex(code)) }
  // 0: inc rax; 3: mov [rbx], rax; 6: call FAR; 11: jmp 0
  put(CODE, '48ffc0 488903 e8f52f0000 ebf3')
  // 0: mov ecx, [rbx]; 2: add [rbx + 64], ecx; 5: int 0x21; 7: ret
  put(FAR, '8b0b 014b40 cd21 c3')
  // 0: nop; 1: iretq
  put(HANDLER, '90 48cf')
  const gate = new Uint8Array(BigUint64Array.of(BigInt(HANDLER & 0xffff) | 0x10n << 16n | 0x8e00n << 32n | BigInt(HANDLER >>> 16) << 48n, 0n).buffer)
  t.memory.write(IDT + 0x21 * 16, gate)
  t.cpu.reset('cold', { pc: CODE, args: [], start: longMode(t.memory, CODE) })
  t.hart.record.set64('registers', BigInt(DATA + 4094), RBX)
  t.hart.record.set64('registers', BigInt(STACK), RSP)
  // IDTR: base and limit.
  t.hart.record.data.setBigUint64(t.hart.record.state.segment(6), BigInt(IDT), true)
  t.hart.record.data.setUint32(t.hart.record.state.segment(6) + 12, 0xfff, true)
  return t
}

const pc = (t: TestMachine): bigint => t.hart.record.get64('pc')

/** Steps at which stops are due: the slow way, by the program as it is written down. */
function expected(stops: readonly DebugStop[], steps: number): string[] {
  const t = machine()
  const found: string[] = []
  const touches: Readonly<Record<number, readonly (readonly ['read' | 'write', number, number])[]>> = {
    [CODE + 3]: [['write', DATA + 4094, 8]], [FAR]: [['read', DATA + 4094, 4]], [FAR + 2]: [['read', DATA + 4094 + 64, 4], ['write', DATA + 4094 + 64, 4]],
  }
  for (let step = 0; step < steps; step++) {
    const at = pc(t)
    if (stops.some((stop) => stop.kind === 'breakpoint' && stop.address === at)) found.push(`${step} breakpoint ${at.toString(16)}`)
    t.hart.run(1, true)
    const hit = (touches[Number(at)] ?? []).some(([on, from, bytes]) => stops.some((stop) => stop.kind === 'watchpoint' && (stop.on === 'access' || stop.on === on) && BigInt(from) < stop.address + BigInt(stop.length) && stop.address < BigInt(from + bytes)))
    if (hit) found.push(`${step + 1} watchpoint`)
  }
  return found
}

/** The same by a debugger, which steps over breakpoints. */
function debugged(stops: readonly DebugStop[], steps: number, exact: boolean, budget: number): string[] {
  const t = machine()
  const { debug } = t.hart
  const found: string[] = []
  const note = (): void => {
    const { reason } = debug
    if (reason?.kind === 'watchpoint') found.push(`${t.hart.steps} watchpoint`)
    if (reason?.kind === 'breakpoint') found.push(`${t.hart.steps} breakpoint ${reason.address.toString(16)}`)
  }
  debug.setStops(stops)
  while (t.hart.steps < steps) {
    debug.mode = 'run'
    if (t.hart.run(budget, exact) !== 'debug') continue
    note()
    if (debug.reason?.kind !== 'breakpoint') continue
    debug.mode = 'step'
    expect(t.hart.run(100, exact)).toBe('debug')
    note()
  }
  return found.filter((text) => Number(text.split(' ')[0]) < steps)
}

const watch = (address: number, length: number, on: 'read' | 'write' | 'access'): DebugStop => ({ kind: 'watchpoint', address: BigInt(address), length, on })
const breakAt = (address: number): DebugStop => ({ kind: 'breakpoint', address: BigInt(address) })

describe('no stop is missed, and none is early or late', () => {
  const sets: readonly (readonly DebugStop[])[] = [
    [breakAt(CODE)], [breakAt(CODE + 11), breakAt(FAR + 2)], [breakAt(HANDLER), breakAt(FAR)], [breakAt(CODE + 1)],
    [watch(DATA + 4096, 2, 'write')], [watch(DATA + 4090, 5, 'read')], [watch(DATA + 4160, 1, 'access')], [watch(DATA + 4000, 94, 'access')],
    [breakAt(HANDLER + 1), watch(DATA + 4094, 1, 'write')], [breakAt(CODE + 3), watch(DATA + 4094, 8, 'access')],
  ]
  for (const exact of [true, false]) test(exact ? 'exactly' : 'by pages', () => {
    sets.forEach((stops, i) => {
      const right = expected(stops, 400).filter((text) => Number(text.split(' ')[0]) < 400)
      if (i !== 3 && i !== 7) expect(right.length, String(i)).toBeGreaterThan(20)
      for (const budget of [1, 7, 10_000]) expect(debugged(stops, 400, exact, budget), `${i}, budget ${budget}`).toEqual(right)
    })
  })
})

test('stops that are set while it is warm hold, and those taken away do not', () => {
  const t = machine()
  expect(t.hart.run(10_000, false)).toBe('budget')
  t.hart.debug.setStops([breakAt(FAR + 2)])
  expect([t.hart.run(10_000, false), pc(t)]).toEqual(['debug', BigInt(FAR + 2)])
  t.cpu.reset('warm', { pc: CODE, args: [], start: longMode(t.memory, CODE) })
  t.hart.debug.setStops([breakAt(CODE + 3)])
  t.cpu.reset('warm', { pc: CODE, args: [], start: longMode(t.memory, CODE) })
  expect([t.hart.run(10_000, false), pc(t)]).toEqual(['debug', BigInt(CODE + 3)])
  t.hart.debug.setStops([])
  expect(() => { t.hart.debug.setStops([watch(0, 0, 'read')]) }).toThrow(/out of range/)
})

test('a step takes no interrupt, what puts off interrupts is as it was after a stop, and a held processor does not run', () => {
  const t = machine()
  // sti; nop; nop
  t.memory.write(CODE, hex('fb 90 90'))
  t.vector = 0x21
  const { debug } = t.hart
  debug.setStops([breakAt(CODE + 1)])
  t.hart.setLine(1, true)
  expect([t.hart.run(100, true), pc(t)]).toEqual(['debug', BigInt(CODE + 1)])
  debug.mode = 'step'
  expect([t.hart.run(100, true), pc(t), debug.reason]).toEqual(['debug', BigInt(CODE + 2), { kind: 'step' }])
  debug.mode = 'run'
  debug.setStops([breakAt(HANDLER)])
  expect([t.hart.run(100, true), pc(t), t.events]).toEqual(['debug', BigInt(HANDLER), ['acknowledge hart0.intr']])
  debug.mode = 'hold'
  expect(t.hart.runnable).toBe(false)
})

test('whoever was stepped goes on as if it had not been', () => {
  const handled = [false, true].map((stepped) => {
    const t = machine()
    t.memory.write(CODE, hex('fb 48ffc0 ebfb'))
    t.vector = 0x21
    t.hart.run(20, true)
    if (stepped) t.hart.debug.mode = 'step'
    t.hart.run(1, true)
    if (stepped) t.hart.debug.mode = 'run'
    t.hart.run(3, true)
    t.hart.setLine(1, true)
    const trail = Array.from({ length: 6 }, () => {
      t.hart.run(1, true)
      return pc(t)
    })
    return { trail, state: t.hart.save() }
  })
  expect(handled[0]?.trail).toContain(BigInt(HANDLER))
  expect(handled[1]).toEqual(handled[0])
})

test('registers are read, and written as instructions would', () => {
  const t = machine()
  const { debug } = t.hart
  const number = (name: string): number => debug.registers.find((register) => register.name === name)?.number ?? -1
  const get = (name: string): bigint | null => debug.readRegister(number(name))
  const set = (name: string, value: bigint): bigint | null => debug.writeRegister(number(name), value) ? get(name) : null
  expect(debug.architecture).toBe('i386:x86-64')
  // GDB's numbers of amd64.
  expect(['rax', 'rbx', 'rsp', 'r15', 'rip', 'eflags', 'cs', 'gs', 'st0', 'st7', 'fctrl', 'fop', 'xmm0', 'xmm15', 'mxcsr'].map(number)).toEqual([0, 1, 7, 15, 16, 17, 18, 23, 24, 31, 32, 39, 40, 55, 56])
  expect(new Set(debug.registers.map(({ name }) => name)).size).toBe(debug.registers.length)
  for (const { number: each } of debug.registers) expect(debug.readRegister(each)).toEqual(expect.any(BigInt))
  expect([get('rip'), get('rbx'), get('cs')]).toEqual([BigInt(CODE), BigInt(DATA + 4094), 0x10n])
  expect([set('rax', 2n ** 64n - 1n), t.hart.record.get64('registers', RAX)]).toEqual([2n ** 64n - 1n, 2n ** 64n - 1n])
  expect([set('eflags', 0x47n), set('xmm3', 2n ** 127n + 5n), set('st2', 2n ** 79n + 1n), set('mxcsr', 0x1f80n)]).toEqual([0x47n, 2n ** 127n + 5n, 2n ** 79n + 1n, 0x1f80n])
  expect([set('cs', 0x18n), set('cs', 0x10n), set('cr0', 1n << 40n), set('cr4', (get('cr4') ?? 0n) | 0x200n), set('gs_base', 1n << 60n), set('k_gs_base', 77n)]).toEqual([null, 0x10n, null, 0x220n, null, 77n])
  expect([debug.readRegister(9999), debug.writeRegister(-1, 0n)]).toEqual([null, false])
  expect([debug.translate(BigInt(DATA)), debug.translate(1n << 62n)]).toEqual([DATA, -1])
  t.hart.record.set64('registers', 9n, RCX)
  expect(get('rcx')).toBe(9n)
  expect(testMachine({ model: 'i686' }).hart.debug.registers.slice(0, 10).map(({ name }) => name)).toEqual(['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi', 'eip', 'eflags'])
})
