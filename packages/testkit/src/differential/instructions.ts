import { compressed, decode, emptyDecoded, encode, type Instruction, instructions } from '@machinist/cpu-riscv/isa'
import type { CodeBuffer } from './code-buffer.ts'
import { pickRegister } from './code-buffer.ts'
import { Csr, Status } from './csr.ts'
import type { CsrRule } from './csr-rules.ts'
import type { Random } from '../random.ts'
import { integerValue } from './values.ts'

/** What the instructions of a sequence depend on. */
export interface Surroundings {
  readonly random: Random
  readonly code: CodeBuffer
  /** 3, 1 or 0: where the sequence starts. */
  readonly mode: number
  readonly csrs: readonly CsrRule[]
  /** Stay close to the addresses that {@link address} gives. */
  readonly near: boolean
  /** Some addresses lead nowhere, where QEMU 7.2 reports atomics and misaligned loads in a way of its own. */
  readonly nowhere: boolean
  /** Whether the code may be written through the program counter's addresses. */
  readonly modifiable: boolean
  /** The register that a trap changes. */
  readonly spare: number
  /** Leaves an address to access in `random.lo` and `random.hi`; returns whether it is a multiple of 8. */
  readonly address: () => boolean
  /** Whether WFI may be reached only where it traps. */
  readonly waitTraps: boolean
}

/** Extensions that QEMU 7.2 does not have: tested against a model instead. */
const elsewhere: ReadonlySet<string> = new Set(['zicond', 'zicbo', 'zawrs'])

/** QEMU 7.2 lets U-mode execute the former two, and counts CTZW of a zero word up into the upper half. */
const untested: ReadonlySet<string> = new Set(['sfence.w.inval', 'sfence.inval.ir', 'ctzw'])

const table = instructions.filter((i, number) => number !== 0 && !elsewhere.has(i.extension) && !untested.has(i.name))
const named = (test: (name: string, i: Instruction) => boolean): readonly Instruction[] => table.filter((i) => test(i.name, i))
const isFloat = (i: Instruction): boolean => i.extension === 'f' || i.extension === 'd'
const pure = named((_, i) => i.kind === 'pure')
const floats = named((_, i) => isFloat(i) && i.format !== 'S' && !i.fields.has('iimm'))
const memory = named((name, i) => name !== 'jalr' && /^(rd|rs2|fd|fs2), imm\(rs1\)$/.test(i.operands))
const integerMemory = memory.filter((i) => !isFloat(i))
const floatMemory = memory.filter(isFloat)
const atomics = named((name) => name.startsWith('amo'))
const branches = named((_, i) => i.format === 'B')
const csrOps = named((_, i) => i.format === 'CSR')
const fences = named((name) => name === 'fence' || name === 'fence.i' || name === 'pause')
const returns = named((name) => name === 'mret' || name === 'sret')
const translationFences = named((name) => name === 'sfence.vma' || name === 'sinval.vma')

/** Names of the instructions that sequences contain, other than compressed ones and rubbish. */
export const covered: readonly string[] = [
  ...[pure, floats, memory, atomics, branches, csrOps, fences, returns, translationFences].flat().map((i) => i.name),
  'lr.w', 'sc.w', 'lr.d', 'sc.d', 'jal', 'jalr', 'ecall', 'ebreak', 'wfi',
]

const register = (random: Random): number => (random.chance(0.25) ? random.between(8, 15) : random.below(32))

/** A destination that the loop around does not need. */
function destination(s: Surroundings): number {
  for (;;) {
    const rd = register(s.random)
    if (!(s.code.reserved >>> rd & 1)) return rd
  }
}

function immediate12(random: Random): number {
  return random.chance(0.5) ? random.between(-33, 33) : random.pick([-2048, 2047, -1, random.between(-2048, 2047), random.between(-2048, 2047)])
}

/** Encodes with random operands, whatever fields the instruction has. */
function plain(s: Surroundings, i: Instruction, imm?: number): void {
  const { random, code } = s
  const rd = destination(s)
  const immediate = imm ?? (i.format === 'U' ? random.u32() & 0xffff_f000 : i.fields.has('iimm') ? immediate12(random) : random.below(64))
  const rm = random.chance(0.02) ? random.pick([5, 6]) : random.chance(0.5) ? 7 : random.below(5)
  const rs2 = random.chance(0.1) ? 0 : register(random)
  code.word(encode(i.name, { rd, rs1: register(random), rs2, rs3: random.below(32), rm, imm: immediate }))
  if (i.fields.has('rd') && i.operands.startsWith('rd')) code.written(rd)
}

/** A register with an address, made now if there is none. */
function addressRegister(s: Surroundings, aligned: boolean): number {
  const { random, code } = s
  if (random.chance(0.9)) {
    const known = pickRegister(random, aligned ? code.aligned : code.addresses)
    if (known > 0) return known
  }
  for (;;) {
    const rd = destination(s)
    // An address in the spare register would be gone after a trap, and what is there then could be anybody's.
    if (rd === 0 || rd === s.spare) continue
    const isAligned = s.address()
    if (aligned) random.lo = (random.lo & ~7) >>> 0
    code.li(rd, random.lo, random.hi)
    code.holdsAddress(rd, aligned || isAligned)
    return rd
  }
}

function access(s: Surroundings, i: Instruction): void {
  const { random, code } = s
  const rs1 = addressRegister(s, s.nowhere || random.chance(0.5))
  const imm = s.nowhere ? 8 * random.between(-5, 5) : s.near ? random.between(-40, 40) : random.chance(0.5) ? random.pick([0, 8, -8, 16, 4]) : random.chance(0.8) ? random.between(-40, 40) : random.between(-2048, 2047)
  const rd = destination(s)
  code.word(encode(i.name, { rd, rs1, rs2: register(random), imm }))
  if (i.operands.startsWith('rd')) code.written(rd)
}

function atomic(s: Surroundings): void {
  if (s.nowhere) return plain(s, s.random.pick(pure))
  const { random, code } = s
  const rs1 = addressRegister(s, random.chance(0.95))
  const rd = destination(s)
  code.word(encode(random.pick(atomics).name, { rd, rs1, rs2: register(random), aqrl: random.below(4) }))
  code.written(rd)
}

/**
 * LR, perhaps something in between, SC of the same width at the same address: what is defined on every machine. An SC
 * without a reservation may trap or just fail, so it is passed over when LR trapped, which shows in the spare register.
 */
function reservedPair(s: Surroundings): void {
  if (s.nowhere) return plain(s, s.random.pick(pure))
  const { random, code, spare } = s
  const width = random.pick(['w', 'd'])
  const rs1 = addressRegister(s, true)
  if (code.reserved >>> spare & 1) return
  const keep = code.reserved
  code.reserved |= 1 << rs1 | 1 << spare
  const rd = destination(s)
  code.op('addi', { rd: spare, rs1: 0, imm: 0 })
  code.word(encode(`lr.${width}`, { rd, rs1, aqrl: random.below(4) }))
  code.written(rd)
  for (let n = random.below(3); n > 0; n--) plain(s, random.pick(pure))
  code.reserved = keep
  const result = destination(s)
  code.op('bne', { rs1: spare, rs2: 0, imm: 8 })
  code.word(encode(`sc.${width}`, { rd: result, rs1, rs2: register(random), aqrl: random.below(4) }))
  code.written(result)
}

const scratchDecoded = emptyDecoded()

/** Whether a raw encoding may stand in a sequence: it goes neither backwards nor to where a register says. */
function acceptable(s: Surroundings, word: number): boolean {
  const d = decode(word, scratchDecoded)
  const i = instructions[d.number]
  if (!i || d.number === 0) return true
  if (elsewhere.has(i.extension) || untested.has(i.name) || i.name === 'wfi' || i.format === 'CSR') return false
  if (i.format === 'J' || i.format === 'B') return (word & 3) !== 3 && s.code.reserved === 0
  if (i.name === 'jalr' || i.name.startsWith('sc.') || (s.mode !== 0 && (i.name === 'mret' || i.name === 'sret'))) return false
  if (i.fields.has('rd') && i.operands.startsWith('rd') && s.code.reserved >>> d.rd & 1) return false
  return true
}

/** Records what an accepted raw encoding writes; `scratchDecoded` still holds it. */
function recordWritten(s: Surroundings): void {
  const i = instructions[scratchDecoded.number]
  if (i?.fields.has('rd') && i.operands.startsWith('rd')) s.code.written(scratchDecoded.rd)
}

function compressedUnit(s: Surroundings): void {
  const { random, code } = s
  for (let attempt = 0; attempt < 40; attempt++) {
    const form = random.pick(compressed)
    const half = form.match | (random.u32() & ~form.mask & 0xffff)
    if (!acceptable(s, half)) continue
    if (scratchDecoded.number === 0 && random.chance(0.9)) continue
    const operands = instructions[scratchDecoded.number]?.operands ?? ''
    if (operands.includes('(rs1)') && !((s.nowhere ? code.aligned : code.addresses) >>> scratchDecoded.rs1 & 1)) continue
    recordWritten(s)
    if (form.name === 'c.j') code.forward('short jump', half, random.between(1, 4))
    else if (form.name === 'c.beqz' || form.name === 'c.bnez') code.forward('short branch', half, random.between(1, 4))
    else code.half(half)
    return
  }
  code.half(1)
}

function rubbish(s: Surroundings): void {
  const { random, code } = s
  for (;;) {
    // Near misses of real instructions are more telling than noise.
    const near = random.chance(0.7) ? random.pick(table) : null
    const word = near ? ((near.match | (random.u32() & ~near.mask)) ^ (random.chance(0.7) ? 1 << random.below(30) + 2 : 0)) >>> 0 : random.u32() | 3
    if (!acceptable(s, word)) continue
    const operands = instructions[scratchDecoded.number]?.operands ?? ''
    if (operands.includes('target')) continue
    if (operands.includes('(rs1)') && (s.nowhere || s.near || !(code.addresses >>> scratchDecoded.rs1 & 1))) continue
    recordWritten(s)
    if ((word & 3) === 3) code.word(word)
    else code.half(word & 0xffff)
    return
  }
}

function csrUnit(s: Surroundings): void {
  const { random, code } = s
  const rule = random.pick(s.csrs)
  const op = random.pick(csrOps)
  const rd = rule.compare ? destination(s) : 0
  const write = op.name.startsWith('csrrw')
  const immediate = op.name.endsWith('i')
  // CSRs of a higher privilege trap: any operand will do.
  const allowed = (rule.number >> 8 & 3) <= s.mode
  const read = (): void => code.op('csrrs', { rd, rs1: 0, imm: rule.number })
  if (!allowed) {
    code.op(op.name, { rd, rs1: register(random), imm: rule.number })
    return
  }
  if (!rule.value || random.chance(0.25)) return read()
  if (!write && !rule.mix) return read()
  rule.value(random, write)
  if (immediate) {
    // Five bits of a proper value are a proper value, as all its wide fields lie higher.
    if (rule.fence || (!rule.mix && (random.hi !== 0 || random.lo > 31))) return read()
    code.op(op.name, { rd, rs1: random.lo & 31, imm: rule.number })
    return
  }
  let operand = destination(s)
  while (operand === 0) operand = destination(s)
  code.li(operand, random.lo, random.hi)
  code.op(op.name, { rd, rs1: operand, imm: rule.number })
  if (rule.number >= Csr.pmpaddr0 && rule.number <= Csr.pmpaddr7) {
    // QEMU 7.2 works out the range of the entry above, which may start here, only when its configuration is written.
    code.op('csrrs', { rd: operand, rs1: 0, imm: Csr.pmpcfg0 })
    code.op('csrrw', { rd: 0, rs1: operand, imm: Csr.pmpcfg0 })
  }
  if (rule.fence) code.op('sfence.vma', {})
}

/** A loop of two to five rounds. */
function loop(s: Surroundings): void {
  const { random, code } = s
  let counter = destination(s)
  while (counter === 0 || counter === s.spare) counter = destination(s)
  const keep = code.reserved
  code.op('addi', { rd: counter, rs1: 0, imm: random.between(2, 5) })
  // The second round must find the addresses that the first found.
  code.reserved |= 1 << counter | code.addresses
  const start = code.bytes
  for (let n = random.between(1, 5); n > 0; n--) straight(s)
  code.op('addi', { rd: counter, rs1: counter, imm: -1 })
  code.op('bne', { rs1: counter, rs2: 0, imm: start - code.bytes })
  code.reserved = keep
}

/** Code that changes itself: the store, FENCE.I, and the place that it changes. */
function selfModifying(s: Surroundings): void {
  const { random, code } = s
  const pointer = random.between(5, 7)
  const value = random.between(28, 31)
  if (!s.modifiable || code.reserved !== 0) return plain(s, random.pick(pure))
  const patched = encode(random.pick(pure.filter((i) => i.format === 'R')).name, { rd: random.between(8, 15), rs1: register(random), rs2: register(random) })
  code.li(value, patched, 0)
  const start = code.bytes
  code.op('auipc', { rd: pointer, imm: 0 })
  code.op('sw', { rs1: pointer, rs2: value, imm: 16 })
  code.op('fence.i', {})
  code.op('addi', { rd: 0, rs1: 0, imm: 0 })
  if (code.bytes - start !== 16) throw new RangeError('the place to change has moved')
  plain(s, random.pick(pure.filter((i) => i.format === 'R')))
  for (let rd = 8; rd < 16; rd++) code.written(rd)
}

function system(s: Surroundings): void {
  const { random, code } = s
  const name = random.pick(['ecall', 'ebreak', 'c.ebreak', 'sfence', 'sfence', 'fence', 'fence', 'sret', 'mret', 'wfi', 'enter'])
  switch (name) {
    case 'ecall':
    case 'ebreak':
      return code.op(name, {})
    case 'c.ebreak':
      return code.half(0x9002)
    case 'sfence':
      return plain(s, random.pick(translationFences))
    case 'fence':
      return plain(s, random.pick(fences), random.below(2048))
    case 'sret':
    case 'mret':
      // Where it does not trap it would go back to wherever the last trap was: `enter` does that better.
      return s.mode === 0 || (s.mode === 1 && name === 'mret') ? code.op(name, {}) : enter(s)
    case 'wfi':
      return s.waitTraps ? code.op('wfi', {}) : code.op('fence', {})
    default:
      return enter(s)
  }
}

/** Goes on in another mode: sets the return address to a place ahead, then MRET or SRET. */
function enter(s: Surroundings): void {
  const { random, code } = s
  const name = s.mode === 3 && random.chance(0.7) ? 'mret' : 'sret'
  const pointer = random.between(5, 7)
  if (code.reserved !== 0) return
  code.op('auipc', { rd: pointer, imm: 0 })
  code.forward('address', encode('addi', { rd: pointer, rs1: pointer, imm: 0 }), random.between(1, 3))
  code.op('csrrw', { rd: 0, rs1: pointer, imm: name === 'mret' ? Csr.mepc : Csr.sepc })
  if (s.mode === 3) {
    // QEMU 7.2 does not clear it when going to a lower mode.
    code.op('lui', { rd: pointer, imm: Status.mprv })
    code.op('csrrc', { rd: 0, rs1: pointer, imm: Csr.mstatus })
  }
  code.op(name, {})
}

function jump(s: Surroundings): void {
  const { random, code } = s
  if (code.reserved !== 0) return plain(s, random.pick(pure))
  const ahead = random.between(1, 4)
  const choice = random.below(10)
  if (choice < 6) {
    const rs2 = random.chance(0.2) ? 0 : register(random)
    code.forward('branch', encode(random.pick(branches).name, { rs1: register(random), rs2, imm: 0 }), ahead)
  } else if (choice < 8) {
    const rd = destination(s)
    code.forward('jal', encode('jal', { rd, imm: 0 }), ahead)
    code.written(rd)
  } else if (choice < 9) {
    const pointer = destination(s)
    if (pointer === 0) return
    const rd = destination(s)
    code.op('auipc', { rd: pointer, imm: 0 })
    code.forward('address', encode('addi', { rd: pointer, rs1: pointer, imm: 0 }), ahead)
    code.op('jalr', { rd, rs1: pointer, imm: random.below(2) })
  } else {
    // Into the void.
    let pointer = destination(s)
    while (pointer === 0) pointer = destination(s)
    code.op('lui', { rd: pointer, imm: (0x1400_0000 + random.below(0x0b00_0000) & 0xffff_f000) | (random.chance(0.5) ? 0x8000_0000 : 0) })
    if (random.chance(0.5)) code.op('slli', { rd: pointer, rs1: pointer, imm: random.between(24, 30) })
    code.op('jalr', { rd: destination(s), rs1: pointer, imm: immediate12(random) })
  }
}

/** Shares of the kinds of units; see `profiles`. */
export type Profile = Readonly<Record<'pure' | 'compressed' | 'memory' | 'floatMemory' | 'atomic' | 'pair' | 'float' | 'csr' | 'rubbish', number>>

/** What sequences are made of: each leans to something. */
export const profiles: readonly Profile[] = [
  { pure: 30, compressed: 15, memory: 16, floatMemory: 4, atomic: 5, pair: 2, float: 12, csr: 8, rubbish: 2 },
  { pure: 60, compressed: 25, memory: 6, floatMemory: 0, atomic: 1, pair: 1, float: 2, csr: 1, rubbish: 1 },
  { pure: 5, compressed: 2, memory: 2, floatMemory: 10, atomic: 0, pair: 0, float: 75, csr: 5, rubbish: 1 },
  { pure: 10, compressed: 20, memory: 40, floatMemory: 10, atomic: 15, pair: 5, float: 2, csr: 3, rubbish: 1 },
  { pure: 10, compressed: 5, memory: 20, floatMemory: 2, atomic: 3, pair: 2, float: 3, csr: 45, rubbish: 3 },
  { pure: 10, compressed: 40, memory: 5, floatMemory: 1, atomic: 1, pair: 1, float: 5, csr: 3, rubbish: 30 },
]
let shares: Profile = profiles[0] as Profile

function straight(s: Surroundings): void {
  const { random } = s
  let left = random.below(Object.values(shares).reduce((sum, share) => sum + share, 0))
  const take = (share: number): boolean => (left -= share) < 0
  if (take(shares.pure)) plain(s, random.pick(pure))
  else if (take(shares.compressed)) compressedUnit(s)
  else if (take(shares.memory)) access(s, random.pick(integerMemory))
  else if (take(shares.floatMemory)) access(s, random.pick(floatMemory))
  else if (take(shares.atomic)) atomic(s)
  else if (take(shares.pair)) reservedPair(s)
  else if (take(shares.float)) plain(s, random.pick(floats))
  else if (take(shares.csr)) csrUnit(s)
  else rubbish(s)
}

/** Adds `count` units to the code. */
export function generateUnits(s: Surroundings, profile: Profile, count: number): void {
  shares = profile
  const { random, code } = s
  for (let n = 0; n < count && !code.full; n++) {
    const kind = random.below(100)
    code.unit(() => {
      if (kind < 6) jump(s)
      else if (kind < 8) loop(s)
      else if (kind < 11) system(s)
      else if (kind < 12) selfModifying(s)
      else straight(s)
    })
  }
  code.units.push(code.length)
  code.resolve()
}

/** A value for a register that is not an address. */
export function registerValue(random: Random): void {
  integerValue(random)
}
