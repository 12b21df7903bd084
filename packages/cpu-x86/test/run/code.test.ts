import { describe, expect, test } from 'vitest'
import { Interpreter } from '../../src/index.ts'
import { descriptor } from '../machine/layout.ts'
import { boot, hex } from '../memory/boot.ts'

const BASE = 0x40_0000
const [RAX, RCX, RBX, RSP, RSI, RDI] = [0, 1, 3, 4, 6, 7]
/** More than `run` leaves to single steps. */
const ENOUGH = 10_000

/** User code at an address, with RBX at the start of memory, and a stack. */
function machine(at: number, code: string, registers: Readonly<Record<number, number>> = {}): Interpreter {
  const cpu = new Interpreter({ mode: 64, base: BigInt(BASE), size: 0x2_0000 })
  cpu.memory.set(hex(code), at - BASE)
  cpu.rip = BigInt(at)
  for (const [number, value] of Object.entries({ [RBX]: BASE, [RSP]: BASE + 0x1_f000, ...registers })) cpu.setRegister(Number(number), BigInt(value))
  return cpu
}

// SDM volume 3, 13.11.3: processors see stores to code at the next branch at the latest, and those of today before the next instruction.
describe('code that changes', () => {
  test('is executed as it is at each turn, in the instruction behind the store as well', () => {
    // mov byte [rip+1], cl; mov al, 0; add edx, eax; inc ecx; jmp to the start
    const cpu = machine(BASE, '880d01000000 b000 01c2 ffc1 ebf2')
    cpu.run(ENOUGH)
    let sum = 0
    for (let i = 0; i < ENOUGH / 5; i++) sum = sum + (i & 255) | 0
    expect([cpu.register(RCX), cpu.register(2)]).toEqual([BigInt(ENOUGH / 5), BigInt(sum >>> 0)])
  })

  test('is decoded anew where another instruction begins in the middle of one', () => {
    // The first byte of mov eax, 0x90c3_9090 becomes a NOP and back: then ret comes from within it. call; inc ecx; xor byte [rbx+0x100], 0x28; jmp
    const cpu = machine(BASE, 'e8fb000000 ffc1 80b30001000028 ebf0')
    cpu.memory.set(Buffer.from('b89090c390c3', 'hex'), 0x100)
    cpu.setRegister(RAX, 7n)
    cpu.run(ENOUGH)
    expect(cpu.register(RAX)).toBe(0x90c3_9090n)
    expect(cpu.register(RCX) > 1000n).toBe(true)
  })

  test('across a page is fetched from both, whichever changes', () => {
    // mov eax, imm32 with its last two bytes in the next page; inc word [rbx+0x1000]; inc ecx; jmp
    const start = BASE + 0xffd
    const cpu = machine(start, 'b801020304 66ff8300100000 ffc1 ebf0')
    cpu.run(4 * 5000)
    expect([cpu.register(RCX), cpu.register(RAX)]).toEqual([5000n, BigInt(((0x0403 + 4999) << 16 | 0x0201) >>> 0)])
  })

  test('may lie beside data that is written all the time', () => {
    // inc qword [rbx+0x40]; the same at 0x200; dec rcx; jne: the first is in the line of the code's end, the second far from it
    const cpu = machine(BASE, '48ff4340 48ff8300020000 48ffc9 75f0', { [RCX]: 5000 })
    cpu.run(4 * 5000)
    expect([cpu.register(RCX), cpu.memory[0x40], cpu.memory[0x41], cpu.memory[0x200], cpu.memory[0x201]]).toEqual([0n, 0x88, 0x13, 0x88, 0x13])
  })

  test('is what a program has put there, again and again', () => {
    // For each n a function of add eax, n; ret is written and called. start: mov byte [rbx+0x1000], 5; mov [rbx+0x1001], ecx; mov byte [rbx+0x1005], 0xc3; call; inc ecx; jmp
    const cpu = machine(BASE, 'c6830010000005 898b01100000 c68305100000c3 e8e70f0000 ffc1 ebe3')
    cpu.run(8 * 3000)
    const sum = 3000 * 2999 / 2
    expect([cpu.register(RCX), cpu.register(RAX)]).toEqual([3000n, BigInt(sum)])
  })

  test('is copied over by REP MOVS', () => {
    // Two functions are copied to one place in turn. mov edi, target; mov ecx, 6; rep movsb; call target; xor rsi's page offset; inc edx; jmp
    const target = BASE + 0x3000
    const cpu = machine(BASE, 'bf00304000 b906000000 f3a4 e8ef2f0000 488d76fa 4883f640 ffc2 ebe3', { [RSI]: BASE + 0x2000 })
    cpu.memory.set(Buffer.from('83c001c39090', 'hex'), 0x2000)
    cpu.memory.set(Buffer.from('83c064c39090', 'hex'), 0x2040)
    const round = 1 + 1 + 6 + 1 + 2 + 4
    cpu.run(round * 2000)
    expect([cpu.rip, cpu.register(RAX), cpu.register(2), cpu.register(RDI)]).toEqual([BigInt(BASE), BigInt(1000 + 100 * 1000), 2000n, BigInt(target + 6)])
  })

  test('is what its mode says, when 64-bit and 32-bit code share a page', () => {
    // call; jmp far [rip+0x45]; in 32 bits call; jmp far; what is called is inc rax, or dec eax and inc eax; then inc ebx; ret
    const [code, compatible] = [0x9000, 0x30]
    const cpu = boot('64', hex('e83b000000 ff2d45000000'), { gdt: [descriptor(0, 0xf_ffff, 0x9b, 12)] })
    cpu.memory.set(hex('e81b000000 ea009000000800'), code + 0x20)
    cpu.memory.set(hex('48ffc0 ffc3 c3'), code + 0x40)
    cpu.memory.set([0x20, 0x90, 0, 0, compatible, 0], code + 0x50)
    cpu.setRegister(RAX, 0n)
    cpu.setRegister(RBX, 0n)
    cpu.run(11 * 2000)
    expect([cpu.rip, cpu.mode, cpu.register(RAX), cpu.register(RBX)]).toEqual([BigInt(code), 64, 2000n, 4000n])
  })

  test('and budgets of every size end at the same instruction as single steps', () => {
    const code = '4801d8 48894608 488b0e 4831c2 48ffcf 75ee 0f0b'
    for (let budget = 5000; budget < 5010; budget++) {
      const [fast, slow] = [machine(BASE, code, { [RSI]: BASE + 0x2000, [RDI]: 100_000 }), machine(BASE, code, { [RSI]: BASE + 0x2000, [RDI]: 100_000 })]
      fast.run(budget)
      for (let i = 0; i < budget; i++) slow.step()
      expect([fast.rip, fast.register(RDI), fast.register(2), fast.flags]).toEqual([slow.rip, slow.register(RDI), slow.register(2), slow.flags])
    }
  })
})
