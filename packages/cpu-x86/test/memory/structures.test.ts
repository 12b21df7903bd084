import { describe, expect, test } from 'vitest'
import { Vector } from '../../src/index.ts'
import { descriptor } from '../machine/layout.ts'
import { at, boot, raised, run, selector, words } from './boot.ts'

const [EAX, EBX, ECX] = [0, 3, 1]

// SDM volume 3, 10.9.2.
describe('back in real-address mode', () => {
  /** PE off by EAX, then a far jump to 0900:0100. */
  const back = '0f20c0 24fe 0f22c0 ea00010009'

  test('what was loaded with a null selector, or expands down, is a segment of 64 KiB to read and write', () => {
    // xor ax, ax; mov ds, ax; mov ax, 30; mov es, ax
    const cpu = boot('16', `31c0 8ed8 b83000 8ec0 ${back}`, { gdt: [descriptor(0, 0xfff, 0x97, 0)] })
    // mov ax, 1234; mov ds, ax; mov es, ax; mov [0xfffe], ax; mov es:[0], ax; mov bx, [0xfffe]
    cpu.memory.set(Buffer.from('b834128ed88ec0a3feff26a300008b1efeff', 'hex'), at.code + 0x100)
    run(cpu, 8 + 6)
    expect(cpu.register(EBX) & 0xffffn).toBe(0x1234n)
  })

  test('CS is written by, and a segment that was read-only', () => {
    // mov ax, 30; mov ds, ax
    const cpu = boot('16', `b83000 8ed8 ${back}`, { gdt: [descriptor(0, 0xffff, 0x91, 0)] })
    // mov ax, 2000; mov ds, ax; mov [0], ax; mov cs:[0], ax
    cpu.memory.set(Buffer.from('b800208ed8a300002ea30000', 'hex'), at.code + 0x100)
    run(cpu, 6 + 4)
    expect([cpu.memory[0x2_0001], cpu.memory[at.code + 1]]).toEqual([0x20, 0x20])
  })

  test('the limit is what protected mode has left', () => {
    // mov ax, 10; mov ds, ax; and then xor ax, ax; mov ds, ax; mov eax, [ecx]
    const cpu = boot('16', `b81000 8ed8 ${back}`)
    cpu.memory.set(Buffer.from('31c08ed8 67668b01'.replace(' ', ''), 'hex'), at.code + 0x100)
    cpu.setRegister(ECX, 0x12_3456n)
    words(cpu, 0x12_3456, [0xabcd_ef01])
    run(cpu, 6 + 3)
    expect(cpu.register(EAX)).toBe(0xabcd_ef01n)
  })
})

describe('a system structure', () => {
  test('outside long mode lies at an address of 32 bits', () => {
    // lgdt [0x600], whose base is 0xffff_fff8; mov ax, 8 + 0x800; mov ds, ax
    const cpu = boot('32', '0f011500060000 66b81008 8ed8 c60501000000 07')
    words(cpu, at.gdtr, [0xffff | 0xfff8 << 16, 0xffff])
    words(cpu, 0x808, descriptor(0x1000, 0xfff, 0x93, 4))
    run(cpu, 4)
    expect([cpu.selector(3), cpu.memory[0x1001]]).toEqual([0x810, 7])
  })

  test('in long mode is #GP where its address is not canonical', () => {
    // lgdt [0x600]; mov ds, ax
    const cpu = boot('64', '0f01142500060000 66b81000 8ed8')
    words(cpu, at.gdtr, [0xffff | 0xfff8 << 16, 0x7fff_ffff, 0])
    run(cpu, 2)
    expect(raised(cpu)).toEqual([Vector.generalProtection, 0])
  })

  test('has 64 bits of address in compatibility mode, on its second page as well', () => {
    // push 30; push code + 0x80; retfq; and there int 0x21. The gate begins four bytes before the end of a page, of which the upper half of addresses has another than the lower.
    const cpu = boot('64', '0f011c2500070000 6a30 6880900000 48cb', { gdt: [descriptor(0, 0xf_ffff, 0x9b, 12)] })
    cpu.memory.set([0xcd, 0x21], at.code + 0x80)
    words(cpu, at.tables + 0x800, [at.tables + 0x3007, 0])
    words(cpu, at.tables + 0x3000, [at.tables + 0x4007, 0])
    words(cpu, at.tables + 0x4000, [0x20_0087, 0])
    const base = 0x3_0ffc - 0x21 * 16
    // A limit of 16 bits and a base of 64.
    words(cpu, 0x700, [0xfff | base << 16, base >>> 16 | 0x8000_0000, 0xffff])
    words(cpu, 0x23_0ffc, [selector.code << 16 | 0x4321, 0xee00, 0, 0])
    run(cpu, 4)
    expect(cpu.mode).toBe(32)
    const step = cpu.step()
    expect(step).toMatchObject({ kind: 'exception', vector: 0x21 })
    if (step.kind === 'exception') expect(cpu.deliver(step)).toEqual({ kind: 'done' })
    expect([cpu.mode, cpu.rip]).toEqual([64, 0x4321n])
  })

  test('of 16 bytes must lie whole in its table', () => {
    const tss: readonly [number, number] = descriptor(0x5000, 0x67, 0x89, 0)
    const ldt: readonly [number, number] = descriptor(0x5000, 0x67, 0x82, 0)
    const gate: readonly [number, number] = [selector.code << 16, 0x8c00]
    // mov ax, 30; ltr ax or lldt ax; or jmp far [0x700]
    for (const [entry, code] of [[tss, '0f00d8'], [ldt, '0f00d0'], [gate, 'ff2c2500070000']] as const) {
      for (const [limit, outcome] of [[0x3f, -1], [0x3e, [Vector.generalProtection, 0x30]]] as const) {
        const cpu = boot('64', `66b83000 ${code}`, { gdt: [entry, [0, 0]], gdtLimit: limit })
        words(cpu, 0x700, [0, 0x30])
        run(cpu, 1)
        expect(raised(cpu), code).toEqual(outcome)
      }
    }
  })

  test('of a task or a local table has a canonical base', () => {
    for (const [type, code] of [[0x89, '0f00d8'], [0x82, '0f00d0']] as const) {
      const cpu = boot('64', `66b83000 ${code}`, { gdt: [descriptor(0x5000, 0x67, type, 0), [0x8000, 0]] })
      run(cpu, 1)
      expect(raised(cpu)).toEqual([Vector.generalProtection, 0x30])
    }
  })

  test('leaves the old task where it cannot be marked as busy', () => {
    // mov ax, 30; ltr ax, with tables that may not be written to
    const cpu = boot('64', '0f20c0 0d00000100 0f22c0 66b83000 0f00d8 66b81234', { gdt: [descriptor(0x5000, 0x67, 0x89, 0), [0, 0]] })
    words(cpu, at.tables + 0x2000, [0x85, 0])
    run(cpu, 4)
    expect(raised(cpu)).toEqual([Vector.pageFault, 3])
    expect(cpu.selector(9)).toBe(0)
  })
})

test('A20 masks the addresses of paging structures too', () => {
  const cpu = boot('64', 'a100000000 00000000')
  // The root leads to tables at 1 MiB and more, which are those at zero while bit 20 is off.
  words(cpu, at.tables, [at.tables + 0x10_1007, 0])
  cpu.a20 = false
  run(cpu, 1)
  cpu.a20 = true
  cpu.rip = BigInt(at.code)
  expect(raised(cpu)).toEqual([Vector.pageFault, 16])
})
