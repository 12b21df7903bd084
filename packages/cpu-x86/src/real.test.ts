import { describe, expect, test } from 'vitest'
import { Flag, Interpreter, Vector } from './index.ts'

const [ES, CS, SS, DS] = [0, 1, 2, 3]
const [AX, BX, SP] = [0, 3, 4]
const CODE = 0x1000

/** A machine whose code is at 0100:0000, with a stack from 0200:0100 down. */
function machine(hex: string): Interpreter {
  const cpu = new Interpreter({ mode: 16, base: 0n, size: 0x2_0000 })
  cpu.memory.set(Buffer.from(hex.replaceAll(' ', ''), 'hex'), CODE)
  cpu.setSegment(CS, { base: 0x1000n, selector: 0x100 })
  cpu.setSegment(SS, { base: 0x2000n, selector: 0x200 })
  cpu.setRegister(SP, 0x100n)
  return cpu
}

function run(cpu: Interpreter, steps: number): void {
  for (let i = 0; i < steps; i++) expect(cpu.step()).toEqual({ kind: 'done' })
}

const vector = (cpu: Interpreter): number => {
  const step = cpu.step()
  return step.kind === 'exception' ? step.vector : -1
}
const words = (cpu: Interpreter, at: number, count: number): number[] => Array.from({ length: count }, (_, i) => new DataView(cpu.memory.buffer, cpu.memory.byteOffset).getUint16(at + 2 * i, true))
const setVector = (cpu: Interpreter, number: number, selector: number, offset: number): void => new DataView(cpu.memory.buffer, cpu.memory.byteOffset).setUint32(4 * number, selector * 65536 + offset, true)

// SDM volume 3, 21.1.
describe('real-address mode', () => {
  test('has a base of sixteen times the selector in a segment that is loaded, and the limit as it was', () => {
    // mov ax, 0x1234; mov ds, ax; mov byte ptr [0x10], 7; mov bx, ds; mov eax, [ecx]
    const cpu = machine('b83412 8ed8 c606100007 8cdb 66678b01')
    cpu.setRegister(1, 0xfffdn)
    run(cpu, 4)
    expect([cpu.memory[0x1_2350], cpu.register(BX), cpu.selector(DS)]).toEqual([7, 0x1234n, 0x1234])
    expect(vector(cpu)).toBe(Vector.generalProtection)
    const big = machine('8ed8 66678b01')
    big.setRegister(1, 0x1_0000n)
    big.setSegment(DS, { high: 0xffff_ffff })
    run(big, 2)
  })

  test('loads no CS by MOV, and no segment register that there is not', () => {
    for (const code of ['8ec8', '8ef0', '8cf0', 'c4c0']) expect(vector(machine(code))).toBe(Vector.invalidOpcode)
  })

  test('takes a far pointer from memory, and a stack with LSS and POP SS', () => {
    // les bx, [0x40]; lss sp, [0x40]; push 0x300; pop ss
    const cpu = machine('c41e4000 0fb2264000 680003 17')
    cpu.memory.set([0x78, 0x00, 0x50, 0x01], 0x40)
    run(cpu, 4)
    expect([cpu.selector(ES), cpu.register(BX), cpu.selector(SS), cpu.register(SP)]).toEqual([0x150, 0x78n, 0x300, 0x78n])
    expect(words(cpu, 0x1500 + 0x76, 1)).toEqual([0x300])
  })

  test('calls far and returns, with parameters taken off', () => {
    // call 0110:0005
    const cpu = machine('9a05001001')
    cpu.memory.set(Buffer.from('ca0400', 'hex'), 0x1105)
    run(cpu, 1)
    expect([cpu.selector(CS), cpu.rip, cpu.register(SP), ...words(cpu, 0x20fc, 2)]).toEqual([0x110, 5n, 0xfcn, 5, 0x100])
    run(cpu, 1)
    expect([cpu.selector(CS), cpu.rip, cpu.register(SP)]).toEqual([0x100, 5n, 0x104n])
    // The same by a pointer in memory, of 32 bits, and back: 66 ff 1e is call far dword ptr.
    const wide = machine('66ff1e4000')
    wide.memory.set([5, 0, 0, 0, 0x10, 1], 0x40)
    wide.memory.set(Buffer.from('66cb', 'hex'), 0x1105)
    run(wide, 2)
    expect([wide.selector(CS), wide.rip, wide.register(SP), ...words(wide, 0x20f8, 4)]).toEqual([0x100, 5n, 0x100n, 5, 0, 0x100, 0])
  })

  test('refuses a far jump to beyond the limit, and changes nothing', () => {
    // jmp 0110:00010000
    const cpu = machine('66ea000001001001')
    expect([vector(cpu), cpu.selector(CS), cpu.rip]).toEqual([Vector.generalProtection, 0x100, 0n])
  })
})

describe('an interrupt', () => {
  test('goes through the table to its handler with IF and TF clear, and IRET comes back', () => {
    // sti; int 0x21; then in 0300:0010: iret
    const cpu = machine('fb cd21 90')
    cpu.flags = Flag.carry | Flag.direction
    setVector(cpu, 0x21, 0x300, 0x10)
    cpu.memory[0x3010] = 0xcf
    run(cpu, 1)
    expect(vector(cpu)).toBe(0x21)
    expect(cpu.deliver({ vector: 0x21, cause: 'int n' })).toEqual({ kind: 'done' })
    expect([cpu.selector(CS), cpu.rip, cpu.register(SP)]).toEqual([0x300, 0x10n, 0xfan])
    expect(words(cpu, 0x20fa, 3)).toEqual([3, 0x100, Flag.carry | Flag.direction | Flag.interrupt | 2])
    expect(cpu.flags).toBe(Flag.carry | Flag.direction | 2)
    run(cpu, 1)
    expect([cpu.selector(CS), cpu.rip, cpu.register(SP), cpu.flags]).toEqual([0x100, 3n, 0x100n, Flag.carry | Flag.direction | Flag.interrupt | 2])
  })

  test('of a fault comes back to the instruction', () => {
    // div bl
    const cpu = machine('f6f3')
    setVector(cpu, 0, 0x300, 0)
    expect(vector(cpu)).toBe(Vector.divideError)
    cpu.deliver({ vector: Vector.divideError, cause: 'fault' })
    expect(words(cpu, 0x20fa, 2)).toEqual([0, 0x100])
  })

  test('beyond the table is #GP instead, and with no room on the stack nothing is reached', () => {
    const cpu = machine('90')
    cpu.setInterruptTable(0n, 0x83)
    setVector(cpu, 0x20, 0x300, 0x10)
    setVector(cpu, Vector.generalProtection, 0x400, 0x20)
    expect([cpu.deliver({ vector: 0x20, cause: 'external' }), cpu.rip]).toEqual([{ kind: 'done' }, 0x10n])
    expect([cpu.deliver({ vector: 0x21, cause: 'external' }), cpu.selector(CS), cpu.rip]).toEqual([{ kind: 'done' }, 0x400, 0x20n])
    // The handler of a table that has not even that one is not reached, by a double fault neither.
    const none = machine('90')
    none.setInterruptTable(0n, 0x1f)
    expect(none.deliver({ vector: 0x21, cause: 'external' })).toEqual({ kind: 'shutdown' })
    const full = machine('90')
    full.setSegment(SS, { base: 0x2000n, low: 0x100, high: 0xffff })
    expect(full.deliver({ vector: 0x21, cause: 'external' })).toEqual({ kind: 'shutdown' })
    expect([full.register(SP), full.rip, full.selector(CS)]).toEqual([0x100n, 0n, 0x100])
  })
})

describe('flags', () => {
  test('are all POPF\'s at privilege level 0', () => {
    // popf; pushf; pop ax
    const cpu = machine('9d 9c 58')
    cpu.memory.set([0xff, 0xfe], 0x2100)
    run(cpu, 3)
    // Bits 3, 5 and 15 are none, and bit 8 was clear.
    expect(cpu.register(AX)).toBe(0x7ed7n)
  })

  test('have no trap between a new SS and a new SP', () => {
    // mov ss, ax; mov sp, 0x80; nop
    const cpu = machine('8ed0 bc8000 90')
    cpu.flags = Flag.trap
    run(cpu, 2)
    expect([vector(cpu), cpu.rip]).toEqual([Vector.debug, 5n])
  })

  test('have TF as a trap after the next instruction, and not before it', () => {
    // popf (TF); inc ax; inc ax
    const cpu = machine('9d 40 40')
    cpu.memory.set([2, 1], 0x2100)
    run(cpu, 2)
    expect([vector(cpu), cpu.register(AX), cpu.rip]).toEqual([Vector.debug, 1n, 2n])
  })
})
