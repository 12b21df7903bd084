import { describe, expect, test } from 'vitest'
import { Interpreter, type SegmentOptions, Vector } from './index.ts'
import type { Mode } from './isa/index.ts'

const BASE = 0x1000n
const [ES, CS, SS, DS] = [0, 1, 2, 3]
const RBX = 3

function machine(mode: Mode, hex: string, segments: Readonly<Record<number, SegmentOptions>>, rbx = 0n): Interpreter {
  const cpu = new Interpreter({ mode, base: BASE, size: 4096 })
  cpu.memory.set(Buffer.from(hex, 'hex'))
  for (const [number, options] of Object.entries(segments)) cpu.setSegment(Number(number), options)
  cpu.setSegment(CS, { base: BASE, ...segments[CS] })
  cpu.setRegister(RBX, rbx)
  return cpu
}

const vector = (cpu: Interpreter): number => {
  const step = cpu.step()
  return step.kind === 'exception' ? step.vector : -1
}

// SDM volume 3, 6.3 and 6.4.
describe('a segment', () => {
  const data = { base: BASE + 256n, high: 15 }

  test('ends at its limit, for all bytes of an operand', () => {
    // mov eax, [ebx]
    expect([11n, 12n, 13n, 15n, 16n, 0xffff_fffen].map((at) => vector(machine(32, '8b03', { [DS]: data }, at)))).toEqual([-1, -1, 13, 13, 13, 13])
  })

  test('that expands down begins after its limit', () => {
    expect([15n, 16n, 17n].map((at) => vector(machine(32, '8b03', { [DS]: { base: BASE, low: 16, high: 0xffff } }, at)))).toEqual([13, -1, -1])
  })

  test('gives #SS when it is the stack, by whichever way it is reached', () => {
    // mov eax, ss:[ebx]; push eax; mov eax, [ebp]
    for (const code of ['368b03', '50', '8b4500']) {
      const cpu = machine(32, code, { [SS]: data }, 13n)
      cpu.setRegister(4, 20n)
      cpu.setRegister(5, 14n)
      expect(vector(cpu)).toBe(Vector.stackSegment)
    }
  })

  test('is read and written as its type lets it be', () => {
    const readOnly = { ...data, writable: false }
    expect(vector(machine(32, '8b03', { [DS]: readOnly }))).toBe(-1)
    expect(vector(machine(32, '8903', { [DS]: readOnly }))).toBe(13)
    // What is read and then written is not read alone: neither changes.
    const cpu = machine(32, '0103', { [DS]: readOnly })
    expect([vector(cpu), cpu.rip, cpu.flags]).toEqual([13, 0n, 2])
    expect(vector(machine(32, '8b03', { [DS]: { ...data, readable: false, writable: false } }))).toBe(13)
    // stosb writes in ES, lodsb reads in DS.
    expect(vector(machine(32, 'aa', { [ES]: readOnly }))).toBe(13)
    expect(vector(machine(32, 'ac', { [ES]: readOnly, [DS]: data }))).toBe(-1)
  })

  test('is not looked at in 64-bit mode but for the bases of FS and GS', () => {
    // mov eax, [rbx]; mov eax, fs:[rbx]
    expect(vector(machine(64, '8b03', { [CS]: {}, [DS]: { ...data, high: 0, readable: false } }, BASE))).toBe(Vector.pageFault)
    const cpu = machine(64, '648b03', { 4: { base: BASE, high: 0 } }, 8n)
    cpu.rip = BASE
    cpu.memory[8] = 7
    expect([vector(cpu), cpu.register(0)]).toEqual([-1, 7n])
  })

  test('has its base added once to the address of a bit', () => {
    // bts [ebx], ecx with bit 37
    const cpu = machine(32, '0fab0b', { [DS]: data }, 4n)
    cpu.setRegister(1, 37n)
    expect([vector(cpu), cpu.memory[256 + 8]]).toEqual([-1, 32])
  })
})

describe('the code segment', () => {
  test('has no instruction beyond its limit, nor one that goes across', () => {
    const ends = (at: bigint): number => {
      const cpu = machine(32, '9090b801000000', { [CS]: { high: 5 } })
      cpu.rip = at
      return vector(cpu)
    }
    // The last one has five bytes, of which the segment has four.
    expect([0n, 1n, 2n, 6n].map(ends)).toEqual([-1, -1, 13, 13])
  })

  test('refuses a jump to beyond its limit before anything has changed', () => {
    // jmp +100; call +100; jne +100; loop +100; jmp ebx; ret
    for (const code of ['eb64', 'e864000000', '7564', 'e264', 'ffe3', 'c3']) {
      const cpu = machine(32, code, { [CS]: { high: 63 }, [SS]: { base: BASE } }, 64n)
      cpu.setRegister(1, 9n)
      cpu.setRegister(4, 512n)
      cpu.memory[512] = 64
      expect([vector(cpu), cpu.rip, cpu.register(1), cpu.register(4)]).toEqual([13, 0n, 9n, 512n])
    }
    // Not taken, it is none.
    const cpu = machine(32, '7464', { [CS]: { high: 63 } })
    expect([vector(cpu), cpu.rip]).toEqual([-1, 2n])
  })
})
