import type { DebugStop, VcpuDebug } from '@machinist/api'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Csr } from '../csr-numbers.ts'
import { decode, emptyDecoded, encode, instructions } from '../isa/index.ts'
import { Mode } from '../cause.ts'
import { RAM, testMachine, type TestMachine } from '../test-machine.ts'

const DATA = RAM + 0x10_0000
const HANDLER = RAM + 0x8_0000
const [BASE, BITS, TEMP, VALUE] = [5, 6, 7, 9]
const engines = [['interpreted', { translate: 'off' }], ['translated', { translate: 'now', hot: 2 }]] as const

interface Body { readonly page: number; readonly slot: number; readonly accesses: readonly (readonly [string, number])[]; readonly next: readonly [number, number] }

const names = ['ld', 'lw', 'lbu', 'sd', 'sw', 'sb', 'amoadd.d', 'amoswap.w', 'lr.d', 'sc.d', 'ecall']
/** Blocks of accesses, in several pages, that jump to one another as bits of a random number say. */
const bodies = fc.array(fc.record({
  page: fc.nat(5), slot: fc.nat(15),
  accesses: fc.array(fc.tuple(fc.constantFrom(...names), fc.integer({ min: -16, max: 16 })), { maxLength: 6 }),
  next: fc.tuple(fc.nat(11), fc.nat(11)),
}), { minLength: 12, maxLength: 12 })

const addressOf = ({ page, slot }: Body, index: number): number => RAM + 4096 * page + 256 * ((slot + index) % 16) + (slot === 3 ? 0 : 4)

function load(t: TestMachine, blocks: readonly Body[]): void {
  const used = new Set<number>()
  const places = blocks.map((block, index) => {
    let at = addressOf(block, index)
    while (used.has(at & ~255)) at = RAM + ((at - RAM + 256) % (6 * 4096))
    used.add(at & ~255)
    return at
  })
  blocks.forEach(({ accesses, next }, index) => {
    const at = places[index] ?? 0
    const words = accesses.flatMap(([name, offset]) => {
      if (name === 'ecall') return [encode('ecall')]
      const atomic = /^(amo|lr|sc)/.test(name)
      // Near the end of a page, so that some cross it.
      return atomic
        ? [encode('addi', { rd: TEMP, rs1: BASE, imm: offset & ~7 }), encode(name, { rd: VALUE, rs1: TEMP, rs2: name === 'lr.d' ? 0 : BITS })]
        : [encode(name, { rd: VALUE, rs1: BASE, rs2: BITS, imm: offset })]
    })
    words.push(encode('slli', { rd: TEMP, rs1: BITS, imm: 13 }), encode('xor', { rd: BITS, rs1: BITS, rs2: TEMP }), encode('srli', { rd: TEMP, rs1: BITS, imm: 7 }), encode('xor', { rd: BITS, rs1: BITS, rs2: TEMP }))
    words.push(encode('andi', { rd: TEMP, rs1: BITS, imm: 1 }), encode('beq', { rs1: TEMP, rs2: 0, imm: 8 }))
    for (const to of next) words.push(encode('jal', { rd: 0, imm: (places[to] ?? 0) - (at + 4 * words.length) }))
    t.program(words, at)
  })
  t.program([encode('csrrs', { rd: VALUE, rs1: 0, imm: Csr.mepc }), encode('addi', { rd: VALUE, rs1: VALUE, imm: 4 }), encode('csrrw', { rd: 0, rs1: VALUE, imm: Csr.mepc }), encode('mret')], HANDLER)
  t.hart.record.set64('mtvec', BigInt(HANDLER))
  t.hart.record.set64('pc', BigInt(places[0] ?? 0))
  t.hart.setX(BASE, BigInt(DATA + 4096))
  t.hart.setX(BITS, 0x1234_5678_9abc_def1n)
}

const bytesOf = (name: string): number => ({ d: 8, w: 4, b: 1 })[/(?:^|\.|[ls])([dwb])u?$/.exec(name)?.[1] ?? ''] ?? 0

/** What the next instruction accesses, by the manual. */
function accessOf(t: TestMachine): { from: bigint; bytes: number; reads: boolean; writes: boolean } | null {
  const word = new Uint32Array(1)
  t.memory.read(Number(t.hart.record.get64('pc')), new Uint8Array(word.buffer))
  const d = decode(word[0] ?? 0, emptyDecoded())
  const name = instructions[d.number]?.name ?? ''
  if (!/^(l[dwb]u?$|s[dwb]$|amo|lr|sc)/.test(name)) return null
  return { from: t.hart.getX(d.rs1) + BigInt(d.imm), bytes: bytesOf(name), reads: !/^s[dwbc]/.test(name), writes: /^(s|amo)/.test(name) }
}

/** Where stops are due: instructions retired or trapped before, and why. The slow way, without a debugger. */
function expected(t: TestMachine, stops: readonly DebugStop[], steps: number): string[] {
  const found: string[] = []
  for (let step = 0; step < steps; step++) {
    const pc = t.hart.record.get64('pc')
    if (stops.some((stop) => stop.kind === 'breakpoint' && stop.address === pc)) found.push(`${step} breakpoint ${pc.toString(16)}`)
    const access = accessOf(t)
    t.hart.run(1, true)
    const hit = access && stops.find((stop) => stop.kind === 'watchpoint' && access.from < stop.address + BigInt(stop.length) && stop.address < access.from + BigInt(access.bytes)
      && ((access.reads && stop.on !== 'write') || (access.writes && stop.on !== 'read')))
    if (hit && hit.kind === 'watchpoint') found.push(`${step + 1} watchpoint ${hit.on}`)
  }
  return found
}

function stepsOf(t: TestMachine): number {
  return t.hart.record.getNumber('steps')
}

/** The same by a debugger, which steps over breakpoints. */
function debugged(t: TestMachine, debug: VcpuDebug, stops: readonly DebugStop[], steps: number, exact: boolean, budget: number): string[] {
  const found: string[] = []
  debug.setStops(stops)
  while (stepsOf(t) < steps) {
    debug.mode = 'run'
    if (t.hart.run(budget, exact) !== 'debug') continue
    const { reason } = debug
    if (reason?.kind === 'watchpoint') found.push(`${stepsOf(t)} watchpoint ${reason.stop.on}`)
    if (reason?.kind !== 'breakpoint') continue
    found.push(`${stepsOf(t)} breakpoint ${reason.address.toString(16)}`)
    debug.mode = 'step'
    expect(t.hart.run(100, exact)).toBe('debug')
    if (debug.reason?.kind === 'watchpoint') found.push(`${stepsOf(t)} watchpoint ${debug.reason.stop.on}`)
  }
  return found.filter((text) => Number(text.split(' ')[0]) < steps)
}

const aStop = (): fc.Arbitrary<DebugStop> => fc.oneof(
  fc.record({ kind: fc.constant('breakpoint' as const), address: fc.tuple(fc.nat(5), fc.nat(15), fc.nat(12)).map(([page, slot, word]) => BigInt(RAM + 4096 * page + 256 * slot + 4 * word)) }),
  fc.constant({ kind: 'breakpoint' as const, address: BigInt(HANDLER + 4) }),
  fc.record({
    kind: fc.constant('watchpoint' as const), address: fc.integer({ min: -20, max: 20 }).map((offset) => BigInt(DATA + 4096 + offset)),
    length: fc.integer({ min: 1, max: 9 }), on: fc.constantFrom('write' as const, 'read' as const, 'access' as const),
  }),
)

test.each(engines)('no stop is missed, and none is early or late (%s)', (_name, engine) => {
  const seen = { breakpoint: 0, watchpoint: 0 }
  fc.assert(fc.property(bodies, fc.array(aStop(), { minLength: 1, maxLength: 4 }), fc.boolean(), fc.integer({ min: 1, max: 5000 }), (blocks, stops, exact, budget) => {
    // One watchpoint, or which of several was meant is a matter of taste.
    const chosen = stops.filter((stop, index) => stop.kind === 'breakpoint' || stops.findIndex(({ kind }) => kind === 'watchpoint') === index)
    const slow = testMachine({ translate: 'off' })
    load(slow, blocks)
    const right = expected(slow, chosen, 3000)
    const t = testMachine(engine)
    load(t, blocks)
    // Warm, and with code translated: what is set afterwards counts all the same.
    const first = stepsOf(t)
    expect(first).toBe(0)
    const found = debugged(t, t.hart.debug, chosen, 3000, exact, budget)
    expect(found).toEqual(right.filter((text) => Number(text.split(' ')[0]) < 3000))
    for (const text of right) seen[text.includes('breakpoint') ? 'breakpoint' : 'watchpoint']++
  }), { numRuns: 40 })
  expect(Math.min(seen.breakpoint, seen.watchpoint)).toBeGreaterThan(100)
})

test.each(engines)('stops set on a warm machine hold, and those taken away do not (%s)', (_name, engine) => {
  const t = testMachine(engine)
  const far = RAM + 0x3000
  t.program([encode('jal', { rd: 0, imm: far - RAM })])
  t.program([encode('sd', { rs1: BASE, rs2: BITS }), encode('jal', { rd: 0, imm: RAM - far - 4 })], far)
  t.hart.setX(BASE, BigInt(DATA))
  expect(t.hart.run(1_000_000, false)).toBe('budget')
  const { debug } = t.hart
  debug.setStops([{ kind: 'breakpoint', address: BigInt(far + 4) }])
  expect(t.hart.run(1_000_000, false)).toBe('debug')
  expect([debug.reason, t.hart.record.get64('pc')]).toEqual([{ kind: 'breakpoint', address: BigInt(far + 4) }, BigInt(far + 4)])
  const watch = { kind: 'watchpoint', address: BigInt(DATA + 4), length: 2, on: 'write' } as const
  debug.setStops([watch])
  expect(t.hart.run(1_000_000, false)).toBe('debug')
  expect(debug.reason).toEqual({ kind: 'watchpoint', address: BigInt(DATA + 4), stop: watch })
  expect(t.hart.record.get64('pc')).toBe(BigInt(far + 4))
  debug.setStops([])
  expect(t.hart.run(1_000_000, false)).toBe('budget')
  expect(debug.reason).toBeNull()
})

test('a breakpoint in a page that PMP lets only parts of be executed is not missed', () => {
  const t = testMachine()
  t.program([encode('addi', { rd: 1, rs1: 1, imm: 1 }), encode('addi', { rd: 2, rs1: 2, imm: 1 }), encode('jal', { rd: 0, imm: -8 })])
  // User mode may execute 64 bytes.
  t.hart.record.set64('pmpaddr', BigInt(RAM) >> 2n | 7n)
  t.hart.record.set('pmpcfg', 0x1f)
  t.hart.record.set('mode', Mode.user)
  t.hart.refresh()
  t.hart.debug.setStops([{ kind: 'breakpoint', address: BigInt(RAM + 4) }])
  expect(t.hart.run(1000, false)).toBe('debug')
  expect([t.hart.getX(1), t.hart.getX(2)]).toEqual([1n, 0n])
})

test('a breakpoint at the first instruction of an interrupt handler stops before it', () => {
  const t = testMachine()
  t.program([encode('jal', { rd: 0, imm: 0 })])
  t.program([encode('addi', { rd: 1, rs1: 1, imm: 1 }), encode('jal', { rd: 0, imm: 0 })], HANDLER)
  t.hart.record.set64('mtvec', BigInt(HANDLER))
  t.hart.record.set64('mie', 1n << 7n)
  t.hart.record.set64('mstatus', t.hart.record.get64('mstatus') | 8n)
  t.hart.debug.setStops([{ kind: 'breakpoint', address: BigInt(HANDLER) }, { kind: 'breakpoint', address: BigInt(RAM + 64) }])
  expect(t.hart.run(100, true)).toBe('budget')
  t.hart.setLine(7, true)
  // Stepping takes no interrupt; going on does.
  t.hart.debug.mode = 'step'
  expect([t.hart.run(100, true), t.hart.record.get64('pc')]).toEqual(['debug', BigInt(RAM)])
  t.hart.debug.mode = 'run'
  expect([t.hart.run(100, true), t.hart.record.get64('pc'), t.hart.getX(1)]).toEqual(['debug', BigInt(HANDLER), 0n])
})

test('a held hart is not runnable, and a step ends a wait', () => {
  const t = testMachine()
  t.program([encode('wfi'), encode('addi', { rd: 1, rs1: 0, imm: 1 })])
  expect(t.hart.run(10, true)).toBe('halt')
  const { debug } = t.hart
  expect(t.hart.runnable).toBe(false)
  debug.mode = 'step'
  expect([t.hart.runnable, t.hart.run(10, true), t.hart.getX(1), t.hart.record.get64('pc')]).toEqual([true, 'debug', 1n, BigInt(RAM + 8)])
  debug.mode = 'hold'
  expect([t.hart.runnable, t.hart.deadline()]).toEqual([false, Infinity])
})

test('registers are read and written as instructions would, and a reset keeps stops', () => {
  const t = testMachine({ identities: 63 })
  const { debug } = t.hart
  const number = (name: string): number => debug.registers.find((register) => register.name === name)?.number ?? -1
  const set = (name: string, value: bigint): bigint | null => debug.writeRegister(number(name), value) ? debug.readRegister(number(name)) : null
  expect(new Set(debug.registers.map(({ name }) => name)).size).toBe(debug.registers.length)
  for (const { number: each } of debug.registers) expect(debug.readRegister(each)).toEqual(expect.any(BigInt))
  expect(set('zero', 5n)).toBe(0n)
  expect(set('t0', 2n ** 64n - 1n)).toBe(2n ** 64n - 1n)
  expect([set('pc', BigInt(RAM + 2)), set('pc', 3n)]).toEqual([BigInt(RAM + 2), null])
  expect(set('fa0', 0x4000_0000_0000_0000n)).toBe(0x4000_0000_0000_0000n)
  expect([set('fcsr', 0xe1n), debug.readRegister(number('frm')), debug.readRegister(number('fflags'))]).toEqual([0xe1n, 7n, 1n])
  expect([set('minstret', 77n), set('mcycle', 2n ** 63n), set('mscratch', 9n)]).toEqual([77n, 2n ** 63n, 9n])
  expect([set('misa', 0n), set('mideleg', -1n)]).toEqual([debug.readRegister(number('misa')), 0x222n])
  expect([set('priv', 1n), set('priv', 2n), set('priv', 3n)]).toEqual([1n, null, 3n])
  expect([debug.readRegister(9999), debug.writeRegister(-1, 0n), debug.readRegister(0.5)]).toEqual([null, false, null])
  t.program([encode('addi', { rd: 1, rs1: 0, imm: 1 }), encode('jal', { rd: 0, imm: -4 })])
  debug.setStops([{ kind: 'breakpoint', address: BigInt(RAM + 4) }])
  t.cpu.reset('warm', { pc: RAM, args: [] })
  expect([t.hart.run(100, false), t.hart.record.get64('pc')]).toEqual(['debug', BigInt(RAM + 4)])
  expect(() => { debug.setStops([{ kind: 'watchpoint', address: 0n, length: 0, on: 'read' }]) }).toThrow(/out of range/)
})
