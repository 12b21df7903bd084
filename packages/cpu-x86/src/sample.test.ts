import { expect, test } from 'vitest'
import { longMode, testMachine, type TestMachine } from './test-machine.ts'

const CODE = 0x2_0000
const STACK = 0x4_0000
const [RSP, RBP] = [4, 5]

/** main calls outer, outer calls inner, which begins with `last` and then stays where it is. */
function nested(last: string): TestMachine & { readonly inner: number; readonly returns: readonly bigint[] } {
  const t = testMachine()
  const put = (at: number, hex: string): void => { t.memory.write(at, Buffer.from(hex.replaceAll(' ', ''), 'hex')) }
  // mov rsp, STACK; xor ebp, ebp; call outer; jmp here
  put(CODE, '48c7c400000400 31ed e8f2000000 ebfe')
  // push rbp; mov rbp, rsp; sub rsp, 32; mov eax, inner; call rax; jmp here
  put(CODE + 0x100, '55 4889e5 4883ec20 b800020200 ffd0 ebfe')
  put(CODE + 0x200, `${last} ebfe`)
  t.cpu.reset('cold', { pc: CODE, args: [], start: longMode(t.memory, CODE) })
  t.hart.run(60, true)
  return Object.assign(t, { inner: CODE + 0x200 + last.replaceAll(' ', '').length / 2, returns: [BigInt(CODE + 0x100 + 15), BigInt(CODE + 14)] })
}

test('frame pointers lead through the callers', () => {
  const { hart, inner, returns } = nested('55 4889e5')
  expect(hart.sample(64)).toEqual({ mode: 'supervisor', stack: [BigInt(inner), ...returns] })
  expect(hart.sample(2).stack).toHaveLength(2)
  expect(hart.sample(1).stack).toEqual([BigInt(inner)])
})

test('without a frame what is on top of the stack is the caller, if it can be', () => {
  const { hart, inner, returns } = nested('31ed')
  expect(hart.sample(64).stack).toEqual([BigInt(inner), returns[0]])
  hart.record.set64('registers', BigInt(CODE), RSP)
  expect(hart.sample(64).stack).toEqual([BigInt(inner)])
})

test('looking changes nothing, whatever a guest leaves in its registers and tables', () => {
  const t = nested('55 4889e5')
  const { hart, memory } = t
  const before = hart.save()
  const touched = memory.touchedPages
  hart.sample(64)
  expect(hart.save()).toEqual(before)
  expect(memory.touchedPages).toBe(touched)
  // Frames without end.
  for (let at = STACK; at < STACK + 0x8000; at += 16) memory.write(at, new Uint8Array(BigUint64Array.of(BigInt(at + 16), t.returns[0] ?? 0n).buffer))
  hart.record.set64('registers', BigInt(STACK), RSP)
  hart.record.set64('registers', BigInt(STACK), RBP)
  expect(hart.sample(64).stack).toHaveLength(64)
  let seed = 1
  const random = (below: number): number => (seed = (seed * 48_271) % 0x7fff_ffff) % below
  const odd = (): bigint => [0n, 8n, 2n ** 64n - 8n, 2n ** 63n, BigInt(STACK + 8 * random(4096)), BigInt(0x40_0000 - 8 * random(4)), BigInt(random(2 ** 31)) << BigInt(random(34))][random(7)] ?? 0n
  for (let round = 0; round < 2000; round++) {
    for (const register of [RSP, RBP]) hart.record.set64('registers', odd(), register)
    hart.record.set64('pc', odd())
    hart.record.set64('cr3', odd())
    hart.record.set('mode', [16, 32, 64][random(3)] ?? 64)
    hart.record.set('view', random(512))
    expect(hart.sample(8).stack.length).toBeLessThanOrEqual(8)
  }
})
