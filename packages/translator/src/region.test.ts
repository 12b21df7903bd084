import { createMemory, createTable, i64 } from '@machinist/wasm'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { emitExits, Exit, type Flow, type Frontend, type Instruction, RegionCompiler } from './index.ts'

/** A small instruction set: enough to make any control flow. Instructions are two bytes. */
type Toy =
  | { readonly op: 'add'; readonly register: number; readonly value: number }
  | { readonly op: 'branch'; readonly register: number; readonly mask: number; readonly target: number }
  | { readonly op: 'jump'; readonly target: number; readonly returns: boolean }
  | { readonly op: 'indirect'; readonly register: number }
  | { readonly op: 'leave' }
  /** Leaves when the register is a multiple of 8, before it has any effect; then adds. */
  | { readonly op: 'risky'; readonly register: number; readonly miss: boolean }

const SLOTS = 32
const UNIT_SIZE = SLOTS * 2
const UNIT = 0x4000
const REGISTERS = 4
const AT = { registers: 1024, pc: 2048, va: 2056, exit: 2064, access: 2068, budget: 2072, map: 4096 }

const slot = fc.nat(SLOTS - 1)
const toy: fc.Arbitrary<Toy> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ op: fc.constant('add' as const), register: fc.nat(REGISTERS - 1), value: fc.integer({ min: -3, max: 9 }) }) },
  { weight: 5, arbitrary: fc.record({ op: fc.constant('branch' as const), register: fc.nat(REGISTERS - 1), mask: fc.constantFrom(1, 2, 4, 8, 255), target: fc.integer({ min: -2, max: SLOTS + 2 }) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('jump' as const), target: slot, returns: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('indirect' as const), register: fc.nat(REGISTERS - 1) }) },
  { weight: 1, arbitrary: fc.constant({ op: 'leave' as const }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('risky' as const), register: fc.nat(REGISTERS - 1), miss: fc.boolean() }) },
)

function frontend(program: readonly Toy[]): Frontend {
  return {
    registers: Array.from({ length: REGISTERS }, (_, i) => ({ type: 'i64', address: AT.registers + 8 * i })),
    unitSize: UNIT_SIZE,
    decode(offset) {
      const instruction = program[offset / 2]
      if (!instruction) return null
      const flow: Flow =
        instruction.op === 'branch' ? { kind: 'branch', target: instruction.target * 2 }
        : instruction.op === 'jump' ? { kind: 'jump', target: instruction.target * 2, returns: instruction.returns }
        : instruction.op === 'indirect' ? { kind: 'indirect', returns: false }
        : instruction.op === 'leave' ? { kind: 'leave' }
        : { kind: 'next' }
      const register = 'register' in instruction ? [instruction.register] : []
      const result: Instruction = {
        offset,
        length: 2,
        flow,
        reads: register,
        writes: instruction.op === 'add' || instruction.op === 'risky' ? register : [],
        emit(stage) {
          switch (instruction.op) {
            case 'add':
              stage.set(instruction.register, i64.add(stage.get(instruction.register), instruction.value))
              break
            case 'branch':
              stage.branch(stage.f.let(i64.ne(i64.and(stage.get(instruction.register), instruction.mask), 0)))
              break
            case 'jump':
              stage.jump()
              break
            case 'indirect':
              stage.indirect(i64.add(stage.unit, i64.and(i64.shl(stage.get(instruction.register), 1), UNIT_SIZE * 2 - 1)))
              break
            case 'risky': {
              const value = stage.get(instruction.register)
              // In a local of the instruction's own, which goes back to others behind it.
              const bad = stage.f.let(i64.eqz(i64.and(value, 7)))
              if (instruction.miss) stage.missIf(bad, value, 5)
              else stage.escapeIf(bad)
              stage.set(instruction.register, i64.add(value, 3))
              break
            }
            case 'leave':
              throw new RangeError('an instruction that leaves is never written')
          }
        },
      }
      return result
    },
  }
}

/** One instruction, by the book. Returns the next pc, or null when it cannot be executed here. */
function step(program: readonly Toy[], registers: bigint[], pc: number): number | null {
  const instruction = program[(pc - UNIT) / 2]
  if (!instruction) return null
  const get = (register: number): bigint => registers[register] ?? 0n
  switch (instruction.op) {
    case 'add':
      registers[instruction.register] = BigInt.asUintN(64, get(instruction.register) + BigInt(instruction.value))
      return pc + 2
    case 'branch':
      return (get(instruction.register) & BigInt(instruction.mask)) !== 0n ? UNIT + instruction.target * 2 : pc + 2
    case 'jump':
      return UNIT + instruction.target * 2
    case 'indirect':
      return UNIT + Number((get(instruction.register) << 1n) & BigInt(UNIT_SIZE * 2 - 1))
    case 'risky':
      if ((get(instruction.register) & 7n) === 0n) return null
      registers[instruction.register] = BigInt.asUintN(64, get(instruction.register) + 3n)
      return pc + 2
    case 'leave':
      return null
  }
}

/** Branches to near places and little else: loops in loops, entered in several places. */
const tangle: fc.Arbitrary<readonly Toy[]> = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.record({ op: fc.constant('add' as const), register: fc.nat(REGISTERS - 1), value: fc.integer({ min: 1, max: 9 }) }) },
    { weight: 3, arbitrary: fc.record({ op: fc.constant('branch' as const), register: fc.nat(REGISTERS - 1), mask: fc.constantFrom(1, 2, 4, 8), target: fc.integer({ min: -5, max: 8 }) }) },
  ),
  { minLength: SLOTS / 2, maxLength: SLOTS },
).map((program) => program.map((each, at) => (each.op === 'branch' ? { ...each, target: Math.min(SLOTS, Math.max(0, at + each.target)) } : each)))

test.each([
  ['any control flow', fc.array(toy, { minLength: 4, maxLength: SLOTS }), fc.uniqueArray(slot, { minLength: 1, maxLength: 4 })],
  ['loops in loops with several entries', tangle, fc.constant([0])],
] as const)('a region of %s does what its instructions do, and counts them', (_, programs, roots) => {
  const memory = createMemory({ initial: 1, maximum: 1 })
  const table = createTable(1)
  const data = new DataView(memory.buffer)
  fc.assert(
    fc.property(
      programs,
      roots,
      fc.array(fc.bigInt({ min: 0n, max: 40n }), { minLength: REGISTERS, maxLength: REGISTERS }),
      fc.integer({ min: 1, max: 300 }),
      (program, starts, initial, budget) => {
        const roots = starts.filter((start) => start < program.length).map((start) => start * 2)
        fc.pre(roots.length > 0)
        const compiler = new RegionCompiler({
          table,
          imports: { host: { memory } },
          prepare: (m) => {
            m.importMemory({ module: 'host', name: 'memory', initial: 1, maximum: 1 })
            return emitExits(m, { pc: AT.pc, va: AT.va, exit: AT.exit, access: AT.access, budget: AT.budget })
          },
          mode: 'now',
        })
        let places: readonly number[] = []
        let at = -1
        const failures: unknown[] = []
        compiler.request({
          roots,
          arrivals: [],
          frontend: frontend(program),
          place: { entryMap: AT.map },
          constants: {},
          ready: (slot, offsets) => {
            at = slot
            places = offsets
          },
          failed: (error) => failures.push(error),
        })
        expect(failures).toEqual([])
        new Uint8Array(memory.buffer).fill(0, AT.map, AT.map + UNIT_SIZE)
        places.forEach((offset, number) => data.setUint16(AT.map + offset, number + 1, true))
        const run = table.get(at) as (entry: number, unit: bigint, budget: number) => number
        places.forEach((offset, number) => {
          initial.forEach((value, i) => data.setBigUint64(AT.registers + 8 * i, value, true))
          const left = run(number, BigInt(UNIT), budget)
          const model = [...initial]
          let pc: number | null = UNIT + offset
          for (let count = budget - left; count > 0; count--) {
            pc = pc === null ? null : step(program, model, pc)
            expect(pc).not.toBe(null)
          }
          expect(Number(data.getBigUint64(AT.pc, true))).toBe(pc)
          expect(model.map((_, i) => data.getBigUint64(AT.registers + 8 * i, true))).toEqual(model)
          // No further than the longest way through the unit between two looks at the budget.
          expect(left).toBeGreaterThan(-2 * SLOTS)
          const kind = data.getUint32(AT.exit, true)
          if (kind === Exit.miss || kind === Exit.escape) expect(step(program, [...model], pc ?? 0)).toBe(null)
          if (kind === Exit.miss) expect(data.getUint32(AT.access, true)).toBe(5)
        })
        compiler.release(at)
      },
    ),
    { numRuns: 1000 },
  )
})
