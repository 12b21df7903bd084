import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AddressSpace } from '@machinist/bus'
import { riscv } from '@machinist/cpu-riscv'
import { imsic } from '@machinist/interrupts'
import { Arena, GuestMemory } from '@machinist/memory'
import { fakeContext } from '@machinist/registers/testing'
import { createMemory } from '@machinist/wasm'
import { expect, it } from 'vitest'
import { Random } from '../random.ts'
import { Assembler } from './assembler.ts'
import { context } from './core.ts'
import { Csr } from './csr.ts'
import { FINISHER, FINISHER_PASS } from './harness.ts'
import { RAM_BASE } from './memory-map.ts'
import { qemuVersion } from './qemu.ts'

/** RAM: code, a value for each step, a result for each step. */
const [VALUES, RESULTS, SIZE] = [0x40_0000, 0x80_0000, 0x100_0000]
const STEPS = 10_000
/** Where QEMU has the supervisor-level file of hart 0. */
const FILE = 0x2800_0000
const IDENTITIES = 255
const aia = { siselect: 0x150, sireg: 0x151, stopei: 0x15c, stopi: 0xdb0 } as const

const [value, result, values, results, file] = [5, 6, 10, 11, 12] as const

/** An image whose program takes random steps: messages, and accesses to every register of an interrupt file. */
function image(seed: number): Uint8Array {
  const random = new Random(seed)
  const a = new Assembler(RAM_BASE)
  const bytes = new Uint8Array(SIZE)
  const data = new DataView(bytes.buffer)
  for (const [register, at] of [[values, RAM_BASE + VALUES], [results, RAM_BASE + RESULTS], [file, FILE]] as const) a.li(register, BigInt(at))
  for (const [csr, bits] of [[Csr.mideleg, 0x222n], [Csr.mie, 0x200n]] as const) {
    a.li(value, bits)
    a.op('csrrw', { rd: 0, imm: csr, rs1: value })
  }
  let select = 0
  const word = (): bigint => {
    const bits = BigInt(random.u32()) << 32n | BigInt(random.u32())
    return random.pick([bits, bits & BigInt(random.u32()) << BigInt(random.below(33)), 1n << BigInt(random.below(64)), BigInt(random.below(300)), 1n])
  }
  const access = (csr: number, read: boolean): void => a.op(random.pick(read ? ['csrrs'] : ['csrrw', 'csrrw', 'csrrs', 'csrrc']), { rd: result, imm: csr, rs1: read ? 0 : value })
  for (let step = 0; step < STEPS; step++) {
    let bits = word()
    a.op('ld', { rd: value, rs1: values, imm: 0 })
    a.op('addi', { rd: result, rs1: 0, imm: 0 })
    const kind = step === 0 ? 0 : random.below(12)
    if (kind <= 1) {
      // Not what is reserved or beyond the identities there are, which QEMU takes for illegal, nor `iprio`.
      select = random.chance(0.4) ? random.pick([0x70, 0x72, 0xc0]) : random.pick([0x80, 0xc0]) + 2 * random.below(4)
      bits = BigInt(select)
      a.op('csrrw', { rd: result, imm: aia.siselect, rs1: value })
    } else if (kind <= 5) {
      bits = random.chance(0.6) ? BigInt(random.below(32)) : random.chance(0.5) ? BigInt(random.below(300)) : bits & 0xffff_ffffn
      a.op('sw', { rs1: file, rs2: value, imm: 0 })
    } else if (kind <= 8) access(aia.sireg, random.chance(0.3))
    else if (kind === 9) access(aia.stopei, random.chance(0.5))
    else if (kind === 10) {
      // The priority is the implementation's affair.
      a.op('csrrs', { rd: result, imm: aia.stopi, rs1: 0 })
      a.op('srli', { rd: result, rs1: result, imm: 16 })
    } else {
      a.op('csrrs', { rd: result, imm: Csr.sip, rs1: 0 })
      a.op('andi', { rd: result, rs1: result, imm: 0x200 })
    }
    // Mostly on, with a threshold out of the way: else there is little to see.
    if (select === 0x70 && kind > 5 && random.chance(0.7)) bits = random.pick([1n, 1n, 1n, 0n, 2n, 0x4000_0000n])
    if (select === 0x72 && kind > 5 && random.chance(0.7)) bits = 0n
    if (kind <= 1) bits = BigInt(select)
    // Thresholds beyond the identities are nobody's business (WLRL).
    if (select === 0x72 && kind > 5) bits &= 0xffn
    // QEMU takes CSRRS and CSRRC of a register that holds zero for reads, which claim nothing.
    if (kind === 9) bits |= 1n
    data.setBigUint64(VALUES + 8 * step, BigInt.asUintN(64, bits), true)
    a.op('sd', { rs1: results, rs2: result, imm: 0 })
    for (const register of [values, results]) a.op('addi', { rd: register, rs1: register, imm: 8 })
  }
  a.li(value, BigInt(FINISHER))
  a.li(result, BigInt(FINISHER_PASS))
  a.op('sw', { rs1: value, rs2: result, imm: 0 })
  a.label('end')
  a.to('end')
  const words = Uint32Array.from(a.finish())
  expect(words.byteLength).toBeLessThan(VALUES)
  bytes.set(new Uint8Array(words.buffer))
  return bytes
}

function qemu(bytes: Uint8Array): BigUint64Array {
  const folder = mkdtempSync(join(tmpdir(), 'machinist-'))
  try {
    const path = join(folder, 'ram')
    writeFileSync(path, bytes)
    const { status, stderr } = spawnSync('qemu-system-riscv64', [
      '-nodefaults', '-display', 'none', '-machine', 'virt,aia=aplic-imsic,memory-backend=ram', '-object', `memory-backend-file,id=ram,size=${SIZE},mem-path=${path},share=on`,
      '-m', `${SIZE / 2 ** 20}M`, '-bios', 'none',
    ], { encoding: 'utf8', timeout: 20 * 60_000 })
    if (status !== 0) throw new Error(`QEMU ended with status ${String(status)}: ${stderr}`)
    return new BigUint64Array(new Uint8Array(readFileSync(path)).slice(RESULTS, RESULTS + 8 * STEPS).buffer)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function ours(bytes: Uint8Array, translate: 'off' | 'now'): BigUint64Array {
  const memory = new GuestMemory(new Arena(createMemory({ initial: 1, maximum: 65536, shared: true }), 2 ** 32 - 65536))
  memory.addRam('ram', RAM_BASE, SIZE)
  memory.write(RAM_BASE, bytes)
  const bus = new AddressSpace('mmio')
  let ended = false
  bus.attach('finisher', FINISHER, 4096, 0, { read: () => 0, write: () => { ended = true } })
  const cpu = riscv.create(riscv.configure({ firmware: 'none', identities: IDENTITIES, translate, hot: 1 }, 'cpu'), context(memory, bus))
  const line = cpu.input('hart0.simsic')
  if (line === null) throw new Error('the CPU takes no messages')
  const device = imsic.create(imsic.configure({}, 'imsic'), { ...fakeContext({ backends: {} }), irq: { 'hart0.simsic': line } })
  bus.attach('imsic', FILE, 4096, 0, device)
  cpu.reset('cold', { pc: RAM_BASE, args: [] })
  for (let slice = 0; !ended && slice < 100; slice++) cpu.vcpus[0]?.run(100_000, false)
  expect(ended).toBe(true)
  const bytesOf = new Uint8Array(8 * STEPS)
  memory.read(RAM_BASE + RESULTS, bytesOf)
  return new BigUint64Array(bytesOf.buffer)
}

it.skipIf(qemuVersion() === null).each([1, 2, 3])('an interrupt file is that of QEMU, step by step (seed %d; skipped without qemu-system-riscv64)', (seed) => {
  const bytes = image(seed)
  const theirs = qemu(bytes)
  for (const translate of ['off', 'now'] as const) {
    const mine = ours(bytes, translate)
    const wrong = mine.findIndex((each, step) => each !== theirs[step])
    expect({ translate, wrong, mine: mine[wrong]?.toString(16), theirs: theirs[wrong]?.toString(16) }).toEqual({ translate, wrong: -1, mine: undefined, theirs: undefined })
  }
  // Claims, and interrupts that were to be seen.
  expect(theirs.filter((each) => each !== 0n && each >> 16n === (each & 0x7ffn)).length).toBeGreaterThan(100)
  expect(theirs.filter((each) => each === 9n || each === 0x200n).length).toBeGreaterThan(100)
})
