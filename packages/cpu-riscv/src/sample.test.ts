import { expect, test } from 'vitest'
import { Mode } from './cause.ts'
import { encode } from './isa/index.ts'
import { RAM, testMachine, type TestMachine } from './test-machine.ts'

const [RA, SP, S0, A0] = [1, 2, 8, 10]
const STACK = RAM + 0x10_000
const call = (from: number, to: number): number => encode('jal', { rd: RA, imm: to - from })
const here = encode('jal', { rd: 0, imm: 0 })
const open = (...saved: readonly (readonly [number, number])[]): number[] => [
  encode('addi', { rd: SP, rs1: SP, imm: -32 }),
  ...saved.map(([register, at]) => encode('sd', { rs1: SP, rs2: register, imm: at })),
  encode('addi', { rd: S0, rs1: SP, imm: 32 }),
]
/** As compilers with frame pointers begin a function, and one that calls none. */
const frame = open([RA, 24], [S0, 16])
const leafFrame = open([S0, 24])

/** main calls outer, outer calls inner, which begins with `last` and then stays where it is. */
function nested(last: readonly number[]): TestMachine & { readonly inner: number; readonly returns: readonly bigint[] } {
  const t = testMachine({ translate: 'off' })
  const [outer, inner] = [RAM + 0x100, RAM + 0x200]
  t.program([call(RAM, outer), here])
  t.program([...frame, call(outer + 4 * frame.length, inner), here], outer)
  t.program([...last, here], inner)
  t.hart.setX(SP, BigInt(STACK))
  t.hart.run(100, true)
  return Object.assign(t, { inner: inner + 4 * last.length, returns: [BigInt(outer + 4 * frame.length + 4), BigInt(RAM + 4)] })
}

test('frame pointers lead through the callers', () => {
  const { hart, inner, returns } = nested(frame)
  expect(hart.sample(64)).toEqual({ mode: 'machine', stack: [BigInt(inner), ...returns] })
  expect(hart.sample(2).stack).toHaveLength(2)
  expect(hart.sample(1).stack).toEqual([BigInt(inner)])
})

test('a function that calls none saves s0 where others save ra', () => {
  const { hart, inner, returns } = nested(leafFrame)
  expect(hart.sample(64).stack).toEqual([BigInt(inner), ...returns])
})

test('without frame pointers, ra is the caller, if it can be', () => {
  const { hart, inner, returns } = nested([encode('addi', { rd: S0, imm: 5 })])
  expect(hart.sample(64).stack).toEqual([BigInt(inner), returns[0]])
  hart.setX(RA, BigInt(inner))
  expect(hart.sample(64).stack).toEqual([BigInt(inner)])
})

test('a compressed call is one too', () => {
  const t = testMachine({ translate: 'off' })
  t.program([0x9502 << 16 | 0x0001, here])
  t.hart.setX(A0, BigInt(RAM + 4))
  t.hart.run(2, true)
  expect(t.hart.sample(64).stack).toEqual([BigInt(RAM + 4), BigInt(RAM + 4)])
})

test('addresses are those of the page tables, and looking changes nothing', () => {
  const t = nested(frame)
  const { hart, memory } = t
  const { record } = hart
  // Sv39: a gigabyte at 0xffff_ffc0_8000_0000 of RAM. Executable only, of a user, never accessed: a hart would fault, or set A.
  const [root, high] = [RAM + 0x20_000, 0xffff_ffc0_8000_0000n - BigInt(RAM)]
  const word = (address: number, value: bigint): boolean => memory.write(address, new Uint8Array(BigUint64Array.of(value).buffer))
  word(root + 8 * 258, BigInt(RAM) >> 2n | 0x19n)
  for (const register of [SP, S0]) hart.setX(register, hart.getX(register) + high)
  for (const at of [24, 16, 56]) {
    const slot = new BigUint64Array(1)
    memory.read(STACK - 64 + at, new Uint8Array(slot.buffer))
    word(STACK - 64 + at, (slot[0] ?? 0n) + high)
  }
  record.set64('pc', BigInt(t.inner) + high)
  record.set64('satp', 8n << 60n | BigInt(root) >> 12n)
  record.set('mode', Mode.supervisor)
  hart.refresh()
  const state = hart.save()
  const ram = new Uint8Array(2 ** 20)
  memory.read(RAM, ram)
  const touched = memory.touchedPages
  expect(hart.sample(64)).toEqual({ mode: 'supervisor', stack: [BigInt(t.inner) + high, ...t.returns.map((each) => each + high)] })
  const after = new Uint8Array(2 ** 20)
  memory.read(RAM, after)
  expect(Buffer.compare(after, ram)).toBe(0)
  expect(memory.touchedPages).toBe(touched)
  expect(hart.save()).toEqual(state)
})

test('a switch to another hart and back is not needed: a reservation stays', () => {
  const t = testMachine({ harts: 2, translate: 'off' })
  t.program([encode('lr.d', { rd: 5, rs1: A0 }), encode('sc.d', { rd: 6, rs1: A0, rs2: 0 }), here])
  t.hart.setX(A0, BigInt(STACK))
  t.hart.setX(6, 7n)
  t.hart.run(1, true)
  t.cpu.vcpus[1]?.sample(64)
  t.hart.sample(64)
  t.hart.run(1, true)
  expect(t.hart.getX(6)).toBe(0n)
})

test('whatever a guest leaves in registers and stacks, a sample is short and comes soon', () => {
  const t = testMachine({ translate: 'off' }, 1)
  const { hart } = t
  const word = (address: number, value: number | bigint): boolean => t.memory.write(address, new Uint8Array(BigUint64Array.of(BigInt(value)).buffer))
  t.program([call(RAM, RAM), here])
  const returns = RAM + 4
  hart.setX(SP, BigInt(STACK))
  // Frames without end, to themselves, downwards, off the edge of memory, and at its last words.
  for (let at = STACK + 16; at < RAM + 2 ** 20; at += 16) {
    word(at - 8, returns)
    word(at - 16, at + 16)
  }
  hart.setX(S0, BigInt(STACK + 16))
  expect(hart.sample(64).stack).toHaveLength(64)
  expect(hart.sample(100_000).stack.length).toBeGreaterThan(1000)
  for (const next of [STACK + 16, STACK, 0, -1n, STACK + 17, 2n ** 63n, RAM + 2 ** 20 + 16]) {
    word(STACK, BigInt.asUintN(64, BigInt(next)))
    expect(hart.sample(64).stack).toHaveLength(2)
  }
  // Anything at all, with any address space.
  let seed = 1
  const random = (below: number): number => (seed = (seed * 48_271) % 0x7fff_ffff) % below
  const odd = (): bigint => [0n, 8n, 16n, 2n ** 64n - 8n, 2n ** 63n, BigInt(RAM + 16 * random(65536)), BigInt(RAM + 2 ** 20 - 8 * random(4)), BigInt(random(2 ** 31)) << BigInt(random(34))][random(8)] ?? 0n
  for (let round = 0; round < 3000; round++) {
    for (const register of [RA, SP, S0]) hart.setX(register, odd())
    hart.record.set64('pc', odd())
    hart.record.set64('satp', BigInt(random(16)) << 60n | BigInt(RAM / 4096 + random(256)))
    hart.record.set('mode', [Mode.user, Mode.supervisor, Mode.machine][random(3)] ?? 0)
    word(RAM + 8 * random(131_072), odd())
    expect(hart.sample(8).stack.length).toBeLessThanOrEqual(8)
  }
})
