import { createMemory, createTable, i32, i64, i64x2 } from '@machinist/wasm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { emitExits, Exit, type Flow, type Frontend, type Instruction, RegionCompiler, type RegionStage, type RegisterSpec, usesOf, type WayOut } from './index.ts'

/** An instruction set of bytes, with flags that most instructions write, and a vector. */
type Toy = { readonly length: number } & (
  /** Adds to a register; the flags are the result's low 32 bits. */
  | { readonly op: 'add'; readonly register: number; readonly value: number }
  /** Adds to both halves of the vector, which are the register's then. */
  | { readonly op: 'vector'; readonly register: number }
  | { readonly op: 'flags'; readonly register: number }
  | { readonly op: 'clear'; readonly mask: number }
  | { readonly op: 'branch'; readonly mask: number; readonly target: number }
  | { readonly op: 'indirect'; readonly register: number }
  | { readonly op: 'jump'; readonly target: number }
  /** Leaves when the register is a multiple of 4, before it has an effect; then it is 1 more. */
  | { readonly op: 'risky'; readonly register: number; readonly miss: boolean }
  /** Is 1 more, and leaves behind itself when it is a multiple of 8. */
  | { readonly op: 'tells'; readonly register: number }
  /** Counts as 1 to 4 steps, by the register. */
  | { readonly op: 'long'; readonly register: number }
  | { readonly op: 'leave' }
)

const UNIT_SIZE = 128
const UNIT = 0x4000
const REGISTERS = 3
const FLAGS = REGISTERS
const VECTOR = REGISTERS + 1
const AT = { registers: 1024, flags: 1100, vector: 1104, pc: 2048, va: 2056, exit: 2064, access: 2068, budget: 2072, map: 4096 }
const specs: readonly RegisterSpec[] = [
  ...Array.from({ length: REGISTERS }, (_, i): RegisterSpec => ({ type: 'i64', address: AT.registers + 8 * i })),
  { type: 'i32', address: AT.flags, stored: 'out' }, { type: 'v128', address: AT.vector },
]

const register = fc.nat(REGISTERS - 1)
const target = fc.nat(40)
const length = fc.integer({ min: 1, max: 3 })
const of = <Op extends string, Rest extends object>(op: Op, rest: { [Name in keyof Rest]: fc.Arbitrary<Rest[Name]> }, weight: number) => ({ weight, arbitrary: fc.record({ op: fc.constant(op), length, ...rest }) as unknown as fc.Arbitrary<Toy> })
const programs = fc.array(fc.oneof(
  of('add', { register, value: fc.integer({ min: -3, max: 9 }) }, 8), of('vector', { register }, 1), of('flags', { register }, 2), of('clear', { mask: fc.constantFrom(1, 7) }, 1),
  of('branch', { mask: fc.constantFrom(1, 2, 4, 255), target }, 5), of('indirect', { register }, 1), of('jump', { target }, 1),
  of('risky', { register, miss: fc.boolean() }, 2), of('tells', { register }, 1), of('long', { register }, 1), of('leave', {}, 1),
), { minLength: 3, maxLength: 40 })

interface Placed {
  readonly offset: number
  readonly toy: Toy
}

function place(program: readonly Toy[]): readonly Placed[] {
  let at = 0
  return program.map((toy) => {
    const offset = at
    at += toy.length
    return { offset, toy }
  })
}

function emit(toy: Toy, s: RegionStage): void {
  switch (toy.op) {
    case 'add': {
      const result = s.f.let(i64.add(s.get(toy.register), toy.value))
      s.set(toy.register, result)
      if (s.needed(FLAGS)) s.set(FLAGS, i32.wrap(result))
      return
    }
    case 'vector': {
      const sum = s.f.let(i64x2.add(s.get(VECTOR, 'v128'), i64x2.splat(s.get(toy.register))))
      s.set(VECTOR, sum)
      s.set(toy.register, i64x2.extractLane(sum, 1))
      return
    }
    case 'flags': return s.set(toy.register, i64.extendU(s.get(FLAGS, 'i32')))
    // Only when they are not zero: what is written under a condition.
    case 'clear': return s.f.if(s.get(FLAGS, 'i32'), () => s.set(FLAGS, i32.and(s.get(FLAGS, 'i32'), ~toy.mask)))
    case 'branch': return s.branch(i32.and(s.get(FLAGS, 'i32'), toy.mask))
    case 'jump': return s.jump()
    case 'indirect': return s.indirect(i64.add(s.unit, i64.and(s.get(toy.register), 2 * UNIT_SIZE - 1)))
    case 'risky': {
      const bad = s.f.let(i64.eqz(i64.and(s.get(toy.register), 3)))
      if (toy.miss) s.missIf(bad, s.get(toy.register), 5)
      else s.escapeIf(bad)
      return s.set(toy.register, i64.add(s.get(toy.register), 1))
    }
    case 'tells': {
      s.set(toy.register, i64.add(s.get(toy.register), 1))
      return s.leaveBehindIf(i64.eqz(i64.and(s.get(toy.register), 7)))
    }
    case 'long': return s.budgetBy(i32.and(i32.wrap(s.get(toy.register)), 3))
    case 'leave': throw new RangeError('an instruction that leaves is never written')
  }
}

function frontend(program: readonly Placed[], hooks: Partial<Frontend> = {}): Frontend {
  const byOffset = new Map(program.map((each) => [each.offset, each.toy]))
  const offsetOf = (n: number): number => program[n % program.length]?.offset ?? 0
  return {
    registers: specs, unitSize: UNIT_SIZE, granule: 1, ...hooks,
    decode(offset) {
      const toy = byOffset.get(offset)
      if (!toy) return null
      const flow: Flow = toy.op === 'branch' ? { kind: 'branch', target: offsetOf(toy.target) } : toy.op === 'jump' ? { kind: 'jump', target: offsetOf(toy.target), returns: false }
        : toy.op === 'indirect' ? { kind: 'indirect', returns: false } : toy.op === 'leave' ? { kind: 'leave' } : { kind: 'next' }
      const instruction: Instruction = { offset, length: toy.length, flow, ...flow.kind === 'leave' ? { reads: [], writes: [] } : usesOf(specs, (stage) => { emit(toy, stage) }), emit: (stage) => { emit(toy, stage) } }
      return instruction
    },
  }
}

interface Model {
  registers: bigint[]
  flags: number
  vector: [bigint, bigint]
  pc: number
  /** Steps, and how the last instruction ended what goes on here. */
  steps: number
  ended: 'no' | 'before' | 'behind'
}

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value)

/** One instruction, by the book. */
function step(program: readonly Placed[], m: Model): void {
  const found = program.find(({ offset }) => UNIT + offset === m.pc)
  if (!found || found.toy.op === 'leave') {
    m.ended = 'before'
    return
  }
  const { toy } = found
  const next = m.pc + toy.length
  const targetOf = (n: number): number => UNIT + (program[n % program.length]?.offset ?? 0)
  const get = (n: number): bigint => m.registers[n] ?? 0n
  let to = next
  let steps = 1
  if (toy.op === 'add') {
    m.registers[toy.register] = u64(get(toy.register) + BigInt(toy.value))
    m.flags = Number(get(toy.register) & 0xffff_ffffn)
  } else if (toy.op === 'vector') {
    const add = get(toy.register)
    m.vector = [u64(m.vector[0] + add), u64(m.vector[1] + add)]
    m.registers[toy.register] = m.vector[1]
  } else if (toy.op === 'flags') m.registers[toy.register] = BigInt(m.flags)
  else if (toy.op === 'clear') m.flags = (m.flags & ~toy.mask) >>> 0
  else if (toy.op === 'branch') to = (m.flags & toy.mask) !== 0 ? targetOf(toy.target) : next
  else if (toy.op === 'jump') to = targetOf(toy.target)
  else if (toy.op === 'indirect') to = UNIT + Number(get(toy.register) & BigInt(2 * UNIT_SIZE - 1))
  else if (toy.op === 'risky') {
    if ((get(toy.register) & 3n) === 0n) {
      m.ended = 'before'
      return
    }
    m.registers[toy.register] = u64(get(toy.register) + 1n)
  } else if (toy.op === 'tells') {
    m.registers[toy.register] = u64(get(toy.register) + 1n)
    if ((get(toy.register) & 7n) === 0n) m.ended = 'behind'
  } else if (toy.op === 'long') steps += Number(get(toy.register) & 3n)
  m.pc = to
  m.steps += steps
}

/** Compiles the region of a program from its start. */
function compile(code: Frontend, roots: readonly number[]): { run(entry: number, budget: number): number; entries: readonly number[]; data: DataView } {
  const memory = createMemory({ initial: 1, maximum: 1 })
  const table = createTable(1)
  const data = new DataView(memory.buffer)
  const compiler = new RegionCompiler({
    table, imports: { host: { memory } }, mode: 'now',
    prepare: (m) => {
      m.importMemory({ module: 'host', name: 'memory', initial: 1, maximum: 1 })
      return emitExits(m, AT)
    },
  })
  let entries: readonly number[] = []
  let slot = -1
  compiler.request({
    roots, arrivals: [], frontend: code, place: { entryMap: AT.map }, constants: {},
    ready: (at, offsets) => {
      slot = at
      entries = offsets
    },
    failed: (error) => { throw error },
  })
  entries.forEach((offset, number) => data.setUint16(AT.map + 2 * offset, number + 1, true))
  const run = table.get(slot) as (entry: number, unit: bigint, budget: number) => number
  return { run: (entry, budget) => run(entry, BigInt(UNIT), budget), entries, data }
}

function put(data: DataView, m: Model): void {
  m.registers.forEach((value, i) => data.setBigUint64(AT.registers + 8 * i, value, true))
  data.setUint32(AT.flags, m.flags, true)
  m.vector.forEach((value, i) => data.setBigUint64(AT.vector + 8 * i, value, true))
}

test('a region of instructions at any byte does what they do, with registers of other types and flags that are stored on the ways out', () => {
  fc.assert(fc.property(programs, fc.array(fc.bigInt({ min: 0n, max: 40n }), { minLength: REGISTERS, maxLength: REGISTERS }), fc.nat(255), fc.integer({ min: 1, max: 200 }), fc.nat(39), (toys, initial, flags, budget, other) => {
    const program = place(toys)
    const { run, entries, data } = compile(frontend(program), [0, program[other % program.length]?.offset ?? 0])
    entries.forEach((offset, number) => {
      const start: Model = { registers: [...initial], flags, vector: [5n, 6n], pc: UNIT + offset, steps: 0, ended: 'no' }
      put(data, start)
      const left = run(number, budget)
      const model = { ...start, registers: [...initial] }
      while (model.steps < budget - left && model.ended === 'no') step(program, model)
      const kind = data.getUint32(AT.exit, true)
      if (kind === Exit.miss || kind === Exit.escape) {
        step(program, model)
        expect(model.ended).toBe('before')
      }
      expect(kind === Exit.moved).toBe(model.ended === 'behind')
      expect({ left, pc: Number(data.getBigUint64(AT.pc, true)), flags: data.getUint32(AT.flags, true), registers: initial.map((_, i) => data.getBigUint64(AT.registers + 8 * i, true)), vector: [0, 8].map((at) => data.getBigUint64(AT.vector + at, true)) })
        .toEqual({ left: budget - model.steps, pc: model.pc, flags: model.flags, registers: model.registers, vector: [...model.vector] })
    })
  }), { numRuns: 1500 })
})

describe('what a front end adds', () => {
  const loop = place([{ op: 'add', register: 0, value: 1, length: 1 }, { op: 'add', register: 1, value: 1, length: 2 }, { op: 'branch', mask: 15, target: 0, length: 2 }, { op: 'leave', length: 1 }])
  const start = (): Model => ({ registers: [0n, 0n, 0n], flags: 0, vector: [0n, 0n], pc: UNIT, steps: 0, ended: 'no' })

  test('is written where blocks begin, on edges and on ways out', () => {
    const at = 3000
    const count = (f: RegionStage['f'], n: number): void => f.do(i32.store(0, i32.add(i32.load(0, at + 4 * n), 1), at + 4 * n))
    const kinds: WayOut[] = []
    const { run, data } = compile(frontend(loop, {
      beginBlock: (s) => {
        count(s.f, 0)
        s.escapeIf(i64.eq(s.get(0), 9))
      },
      edge: (f) => { count(f, 1) },
      wayOut: ({ f }, kind) => {
        kinds.push(kind)
        count(f, 2)
      },
    }), [0])
    put(data, start())
    expect(run(0, 1000)).toBe(1000 - 27)
    // Ten times at the start of the block, nine times around, and out where it begins for the tenth time.
    expect([0, 1, 2].map((n) => data.getUint32(at + 4 * n, true))).toEqual([10, 9, 1])
    expect([data.getBigUint64(AT.registers, true), data.getUint32(AT.flags, true), data.getUint32(AT.exit, true), Number(data.getBigUint64(AT.pc, true))]).toEqual([9n, 9, Exit.escape, UNIT])
    expect(kinds).toContain('jump')
  })

  test('flags that the next instruction writes are wanted by nobody', () => {
    const wanted: boolean[] = []
    const code = frontend(loop)
    compile({ ...code, decode: (offset) => {
      const instruction = code.decode(offset)
      return instruction && { ...instruction, emit: (s) => {
        if (offset < 2) wanted.push(s.needed(FLAGS))
        instruction.emit(s)
      } }
    } }, [0])
    expect(wanted).toEqual([false, true])
  })
})

test('the uses of registers are found by writing an instruction', () => {
  const uses = (toy: Toy): unknown => usesOf(specs, (stage) => { emit(toy, stage) })
  expect(uses({ op: 'add', register: 1, value: 1, length: 1 })).toEqual({ reads: [1], writes: [1, FLAGS], leaves: 'never' })
  expect(uses({ op: 'clear', mask: 1, length: 1 })).toEqual({ reads: [FLAGS], writes: [FLAGS], leaves: 'never' })
  expect(uses({ op: 'risky', register: 2, miss: true, length: 1 })).toEqual({ reads: [2], writes: [2], leaves: 'before' })
  expect(uses({ op: 'tells', register: 0, length: 1 })).toEqual({ reads: [0], writes: [0], leaves: 'behind' })
  expect(usesOf(specs, (s) => {
    s.f.if(1, () => { s.set(0, i64.const(1)) })
    s.set(1, i64.const(2))
    s.set(2, s.get(1))
  })).toEqual({ reads: [0], writes: [0, 1, 2], leaves: 'never' })
  expect(() => usesOf(specs, (s) => { s.get(FLAGS) })).toThrow(/no i64/)
})
