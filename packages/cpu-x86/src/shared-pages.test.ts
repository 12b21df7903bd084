import { expect, test } from 'vitest'
import { longMode, testMachine, type TestMachine } from './test-machine.ts'

const CODE = 0x2_0000
const DATA = 0x10_0000
const HOT = 0x8_0000
const [RBX, RSI] = [3, 6]

/** Over and over: reads HOT, adds to a word of the next page, reads that again. */
function machine(): TestMachine {
  const t = testMachine()
  // mov rdx, [rsi]; mov rax, [rbx]; inc qword [rbx]; mov rcx, [rbx]; add rbx, 4096; jmp 0
  t.memory.write(CODE, Buffer.from('488b16488b0348ff03488b0b4881c300100000ebeb', 'hex'))
  t.cpu.reset('cold', { pc: CODE, args: [], start: longMode(t.memory, CODE) })
  begin(t)
  return t
}
function begin(t: TestMachine): void {
  t.hart.record.set64('registers', BigInt(DATA), RBX)
  t.hart.record.set64('registers', BigInt(HOT), RSI)
}
const word = (t: TestMachine, at: number): number => t.memory.read32(at)

test('a page that gets a frame of its own is forgotten, and no other', () => {
  const t = machine()
  // All pages have been written.
  t.hart.run(6 * 64, true)
  const copy = t.fork()
  for (const each of [t, copy]) {
    begin(each)
    const before = each.hart.record.getNumber('tlbMisses')
    each.hart.run(6 * 64, true)
    // Of each page a read, a write and, once it has moved, a read again; of the hot page and of code a few.
    expect(each.hart.record.getNumber('tlbMisses') - before).toBeLessThan(3 * 64 + 8)
    expect([word(each, DATA), word(each, DATA + 63 * 4096)]).toEqual([2, 2])
    expect(each.hart.record.get64('registers', 1)).toBe(2n)
  }
  // What one does afterwards, the other does not see.
  begin(t)
  t.hart.run(6 * 64, true)
  expect([word(t, DATA + 4096), word(copy, DATA + 4096)]).toEqual([3, 2])
})

test('code that runs in a page that gets another frame is that of the new one', () => {
  const t = machine()
  // mov byte ptr [rip + 1], 0xc8: what comes next, inc eax, is dec eax; jmp back
  t.memory.write(CODE, Buffer.from('c60501000000c8ffc0ebf5', 'hex'))
  t.hart.run(1, true)
  const copy = t.fork()
  for (const each of [t, copy]) {
    each.hart.record.set64('registers', 0n, 0)
    each.hart.run(3 * 10, false)
    expect(BigInt.asIntN(32, each.hart.record.get64('registers', 0))).toBeLessThan(0n)
  }
})
