/**
 * Snapshots of earlier versions, kept in `test/kept`: machines go on from them, and do what they did when they were saved. They are not made anew, since that is what they
 * are there for. When a state gets a new version, keep one more before: `KEEP_SNAPSHOT=NAME npx vitest run packages/machinist/src/snapshot/kept`.
 */
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { virt, virtCatalogue } from '@machinist/boards'
import { riscv } from '@machinist/cpu-riscv'
import { encode } from '@machinist/cpu-riscv/isa'
import { goldfishRtc, uart16550a } from '@machinist/devices'
import { nodeHost, openSnapshotFile, saveSnapshotFile } from '@machinist/host-node'
import { type Catalogue, createMachine, instantiateStored, type Machine } from '@machinist/machine'
import { afterAll, expect, it } from 'vitest'

const KEPT = join(import.meta.dirname, '../../test/kept')
const KEEP = process.env['KEEP_SNAPSHOT']

const folder = mkdtempSync(join(tmpdir(), 'machinist-kept-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

/** A machine that is kept: its file, and what it comes to. */
interface Kept {
  /** SHA-256 of RAM when its program has ended. */
  readonly ram: string
  /** The file, in Base64. */
  readonly snapshot: string
}

/** The registers of devices that the program writes once, and what it writes; see `virtMap`. */
const WRITES = [
  { at: 0x1000_0000, offset: 7, store: 'sb', value: 0x5a }, // UART: scratch
  { at: 0xc00_0000, offset: 40, store: 'sw', value: 5 }, // PLIC: priority of source 10
  { at: 0x200_4000, offset: 0, store: 'sw', value: 0x7ff }, // CLINT: mtimecmp of hart 0
  { at: 0x1000_1000, offset: 0x70, store: 'sw', value: 3 }, // virtio: status of the entropy device
] as const
/** What it reads again and again, so that all of that comes into RAM. */
const READS = [
  { at: 0x1000_0000, offset: 7, load: 'lbu' }, { at: 0x1000_0000, offset: 5, load: 'lbu' }, { at: 0xc00_0000, offset: 40, load: 'lw' }, { at: 0x200_4000, offset: 0, load: 'ld' },
  { at: 0x200_c000, offset: -8, load: 'ld' }, { at: 0x1000_1000, offset: 0x70, load: 'lw' }, { at: 0x1000_1000, offset: 8, load: 'lw' }, { at: 0x3000_0000, offset: 0, load: 'lw' },
] as const
const CSRS = { mhartid: 0xf14, time: 0xc01, instret: 0xc02, mip: 0x344 } as const

const TURNS = 8000

/**
 * A program for M-mode that mixes what devices and CSRs say into a number, and writes that to one page after another. The first hart does it many times, and the other
 * once: what comes of it does not depend on how they take turns.
 */
function program(): Uint8Array {
  const [address, value, sum, page, step, hart, turns] = [5, 6, 7, 8, 9, 10, 11]
  const code = [
    encode('auipc', { rd: page, imm: 0x10_0000 }), encode('slli', { rd: value, rs1: hart, imm: 15 }), encode('add', { rd: page, rs1: page, rs2: value }), encode('lui', { rd: step, imm: 0x1000 }),
    encode('add', { rd: sum, rs1: hart, rs2: 0 }), encode('addi', { rd: turns, rs1: 0, imm: 1 }), encode('bne', { rs1: hart, rs2: 0, imm: 12 }),
    encode('lui', { rd: turns, imm: 0x2000 }), encode('addi', { rd: turns, rs1: turns, imm: TURNS - 0x2000 }),
    ...WRITES.flatMap(({ at, offset, store, value: what }) => [encode('lui', { rd: address, imm: at }), encode('addi', { rd: value, rs1: 0, imm: what }), encode(store, { rs1: address, rs2: value, imm: offset })]),
  ]
  const mix = [encode('slli', { rd: address, rs1: sum, imm: 5 }), encode('add', { rd: sum, rs1: sum, rs2: address }), encode('add', { rd: sum, rs1: sum, rs2: value })]
  const turn = [
    ...READS.flatMap(({ at, offset, load }) => [encode('lui', { rd: address, imm: at }), encode(load, { rd: value, rs1: address, imm: offset }), ...mix]),
    ...Object.values(CSRS).flatMap((csr) => [encode('csrrs', { rd: value, rs1: 0, imm: csr }), ...mix]),
    encode('sd', { rs1: page, rs2: sum, imm: 0x100 }),
    // Eight pages in turn: bits 14:12 of the address count.
    encode('add', { rd: value, rs1: page, rs2: step }), encode('xor', { rd: value, rs1: value, rs2: page }), encode('slli', { rd: value, rs1: value, imm: 49 }), encode('srli', { rd: value, rs1: value, imm: 49 }), encode('xor', { rd: page, rs1: page, rs2: value }),
  ]
  code.push(...turn, encode('addi', { rd: turns, rs1: turns, imm: -1 }), encode('bne', { rs1: turns, rs2: 0, imm: -4 * (turn.length + 1) }), encode('wfi'), encode('jal', { rd: 0, imm: -4 }))
  return new Uint8Array(Uint32Array.from(code).buffer)
}

/** Runs a machine until its harts have retired so many instructions, or to its end. */
function run(machine: Machine, instructions: number = Infinity): void {
  machine.start({ drive: 'caller' })
  while (machine.stats.retired < instructions && machine.runSlice(0).kind === 'runnable');
  expect(machine.stats.retired).toBeGreaterThan(MOMENT)
}

function ramOf(machine: Machine): string {
  const hash = createHash('sha256')
  const { base, size } = machine.memory.regions[0] ?? { base: 0, size: 0 }
  for (let at = 0; at < size; at += 1 << 20) {
    const bytes = new Uint8Array(1 << 20)
    machine.memory.read(base + at, bytes)
    hash.update(bytes)
  }
  return hash.digest('hex')
}

const BOARDS = { mmio: { virtio: 'mmio' }, pci: { virtio: 'pci' } } as const
/** Instructions, of some 600 000. */
const MOMENT = 200_000

it.runIf(KEEP !== undefined)('keeps snapshots for those who come later', async () => {
  for (const [name, board] of Object.entries(BOARDS)) {
    const machine = createMachine(virt({ ...board, harts: 2, memory: 16 << 20, firmware: program(), time: { instructionsPerSecond: 1e8 } }), nodeHost())
    run(machine, MOMENT)
    machine.pause()
    const path = join(folder, 'new.snapshot')
    await saveSnapshotFile(machine, path)
    run(machine)
    const kept: Kept = { ram: ramOf(machine), snapshot: readFileSync(path).toString('base64') }
    machine.dispose()
    writeFileSync(join(KEPT, `${name}-${KEEP ?? ''}.json`), `${JSON.stringify(kept, null, 2)}\n`)
  }
})

/** A machine's state, as far as it is looked into. */
interface State {
  readonly devices: { readonly devices: Readonly<Record<string, { readonly version: number; readonly state: unknown }>> }
}

function restore(name: string, catalogue: Catalogue, change: (state: State) => unknown = (state) => state): { readonly machine: Machine; readonly kept: Kept } {
  const kept = JSON.parse(readFileSync(join(KEPT, name), 'utf8')) as Kept
  const path = join(folder, 'kept.snapshot')
  writeFileSync(path, Buffer.from(kept.snapshot, 'base64'))
  const stored = openSnapshotFile(path)
  try {
    return { machine: instantiateStored({ ...stored, state: change(stored.state as State) }, catalogue, nodeHost(), { exact: true }), kept }
  } finally {
    stored.close()
  }
}

it.each(readdirSync(KEPT))('a machine goes on from %s as it did then', (name) => {
  const { machine, kept: { ram } } = restore(name, virtCatalogue)
  run(machine)
  expect(ramOf(machine)).toBe(ram)
  machine.dispose()
})

it('states of devices and harts of older versions are brought up to date by their specs, and refused where that cannot be', () => {
  const from: unknown[] = []
  const noted: typeof uart16550a = { ...uart16550a, migrate(state, version) { from.push(['uart', version]); return uart16550a.migrate?.(state, version) ?? fail() } }
  const laterHarts: typeof riscv = { ...riscv, stateVersion: riscv.stateVersion + 1, migrate(state, version) { from.push(['hart', version]); return state } }
  const others = virtCatalogue.filter((spec) => ![uart16550a, riscv, goldfishRtc].some(({ kind }) => kind === spec.kind))
  // The UART's first version had the time of its timeout, not what is left until then.
  const oldUart = (state: State): unknown => {
    const { uart0 } = state.devices.devices
    const { timeoutLeft: _, ...rest } = uart0?.state as { readonly timeoutLeft: number }
    return { ...state, devices: { ...state.devices, devices: { ...state.devices.devices, uart0: { ...uart0, version: 1, state: { ...rest, timeoutAt: -1 } } } } }
  }
  const { machine, kept: { ram } } = restore('mmio-1.json', [...others, goldfishRtc, laterHarts, noted], oldUart)
  expect(from).toEqual([['hart', riscv.stateVersion], ['hart', riscv.stateVersion], ['uart', 1]])
  run(machine)
  expect(ramOf(machine)).toBe(ram)
  machine.dispose()
  const unread = /version that this one cannot read/
  expect(() => restore('mmio-1.json', [...others, riscv, uart16550a, { ...goldfishRtc, stateVersion: goldfishRtc.stateVersion + 1 }])).toThrow(unread)
  expect(() => restore('mmio-1.json', [...others, goldfishRtc, uart16550a, { ...riscv, stateVersion: riscv.stateVersion + 1 }])).toThrow(unread)
})

function fail(): never {
  throw new Error('it cannot bring its state up to date')
}
