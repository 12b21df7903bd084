import { describe, expect, test } from 'vitest'
import { Flag, Interpreter, Vector } from './index.ts'
import type { Mode } from './isa/index.ts'

const BASE = 0x1000n

function machine(mode: Mode, hex: string, registers: Readonly<Record<number, bigint>> = {}): Interpreter {
  const cpu = new Interpreter({ mode, base: BASE, size: 4096 })
  cpu.memory.set(Buffer.from(hex, 'hex'))
  for (const [number, value] of Object.entries(registers)) cpu.setRegister(Number(number), value)
  cpu.rip = BASE
  return cpu
}

describe('an interpreter', () => {
  test('executes code that was written a moment ago, without a fence', () => {
    // mov byte ptr [rip+1], 0x2a; mov al, 0
    const cpu = machine(64, 'c605010000002ab000')
    expect(cpu.step()).toEqual({ kind: 'done' })
    cpu.step()
    expect(cpu.register(0)).toBe(0x2an)
  })

  test('does one iteration of REP a step, and comes to a fault with the registers of that iteration', () => {
    // rep stosd, three of which the memory has
    const cpu = machine(64, 'f3ab', { 0: 0xabcdn, 1: 9n, 7: BASE + 4096n - 12n })
    for (let i = 0; i < 3; i++) expect(cpu.step()).toEqual({ kind: 'done' })
    expect([cpu.rip, cpu.register(1), cpu.register(7)]).toEqual([BASE, 6n, BASE + 4096n])
    expect(cpu.step()).toEqual({ kind: 'exception', vector: Vector.pageFault, cause: 'fault', error: 6, address: BASE + 4096n, from: BASE })
    expect([cpu.rip, cpu.register(1), cpu.register(7)]).toEqual([BASE, 6n, BASE + 4096n])
  })

  // SDM volume 3, "Segment Wraparound".
  test('comes to the limit when 16-bit code goes on beyond 64 KiB, and executes what lies there when the segment has it', () => {
    const cpu = new Interpreter({ mode: 16, base: 0n, size: 0x2_0000 })
    cpu.memory.set([0x90], 0xffff)
    cpu.memory.set([0x40], 0x1_0000)
    cpu.rip = 0xffffn
    cpu.step()
    expect(cpu.step()).toMatchObject({ vector: Vector.generalProtection, from: 0x1_0000n })
    cpu.setSegment(1, { high: 0xffff_ffff })
    expect([cpu.step(), cpu.register(0), cpu.rip]).toEqual([{ kind: 'done' }, 1n, 0x1_0001n])
  })

  test('fetches no instruction, and none to its end, where addresses are not canonical', () => {
    const cpu = new Interpreter({ mode: 64, base: 0x7fff_ffff_f000n, size: 4096 })
    cpu.memory.set([0x90, 0x48], 4094)
    cpu.rip = 0x7fff_ffff_fffen
    expect(cpu.step()).toEqual({ kind: 'done' })
    expect(cpu.step()).toMatchObject({ vector: Vector.generalProtection, error: 0 })
    cpu.memory.set([0x90], 4095)
    cpu.step()
    expect(cpu.rip).toBe(0x8000_0000_0000n)
    expect(cpu.step()).toMatchObject({ vector: Vector.generalProtection, error: 0 })
  })

  test('takes an instruction across a page as the second page has it, and its fault where there is none', () => {
    const cpu = new Interpreter({ mode: 64, base: BASE, size: 8192 })
    // mov eax, imm32, whose last byte is in the second page
    cpu.memory.set([0xb8, 1, 2, 3, 4], 4092)
    for (const last of [4, 5]) {
      cpu.memory[4096] = last
      cpu.rip = BASE + 4092n
      cpu.step()
      expect(cpu.register(0)).toBe(BigInt(last << 24 | 0x30201))
    }
    const short = machine(64, '')
    short.memory.set([0xb8, 1, 2, 3], 4092)
    short.rip = BASE + 4092n
    expect(short.step()).toMatchObject({ vector: Vector.pageFault, address: BASE + 4096n, error: 0x14 })
  })

  test('leaves everything as it was when a read and write faults', () => {
    const cpu = machine(64, '4801433f', { 0: 5n, 3: BASE + 4090n })
    cpu.flags = Flag.carry | Flag.overflow
    expect(cpu.step()).toMatchObject({ kind: 'exception', vector: Vector.pageFault })
    expect([cpu.rip, cpu.flags]).toEqual([BASE, Flag.carry | Flag.overflow | 2])
  })

  test('has flags after POPF as CPL 3 may change them', () => {
    // popf with everything set: IF, IOPL, VM and RF stay as they were.
    const cpu = machine(64, '9d', { 4: BASE + 256n })
    cpu.memory.fill(0xff, 256, 264)
    cpu.flags = 0x202
    cpu.step()
    expect(cpu.flags).toBe(0x24_4fd7)
    expect(cpu.register(4)).toBe(BASE + 264n)
  })

  test('addresses 16 bits as tables of 16-bit code do', () => {
    // mov ax, [bx+si-2], in a segment of its own
    const cpu = machine(16, '8b40fe', { 3: 0xffffn, 6: 0x13n })
    cpu.setSegment(3, { base: BASE })
    cpu.memory.set([0x34, 0x12], 0x10)
    cpu.step()
    expect(cpu.register(0)).toBe(0x1234n)
  })

  test('wraps a 16-bit stack', () => {
    const cpu = machine(16, '50', { 0: 0x1234n, 4: 0xffff_0002n })
    cpu.setSegment(2, { base: BASE + 512n })
    cpu.step()
    expect(cpu.register(4)).toBe(0xffff_0000n)
    expect([...cpu.memory.subarray(512, 514)]).toEqual([0x34, 0x12])
  })

  test('refuses what is too long, what is no instruction, and what is not there', () => {
    expect(machine(64, `${'66'.repeat(15)}90`).step()).toMatchObject({ vector: Vector.generalProtection })
    expect(machine(64, '06').step()).toMatchObject({ vector: Vector.invalidOpcode })
    // LOCK stands before memory that is read and written, and nothing else.
    expect(machine(64, 'f001c0').step()).toMatchObject({ vector: Vector.invalidOpcode })
    const cpu = machine(64, '')
    cpu.memory[4095] = 0x0f
    cpu.rip = BASE + 4095n
    expect(cpu.step()).toEqual({ kind: 'exception', vector: Vector.pageFault, cause: 'fault', error: 0x14, address: BASE + 4096n, from: BASE + 4095n })
  })

  test('refuses memory of an odd size', () => {
    expect(() => new Interpreter({ mode: 64, base: 0n, size: 2 ** 31 })).toThrow(/1 GiB/)
  })
})
