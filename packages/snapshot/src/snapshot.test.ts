import { brotliCompressSync, brotliDecompressSync, crc32, deflateRawSync, inflateRawSync } from 'node:zlib'
import { isMachinistError } from '@machinist/api'
import { riscv } from '@machinist/cpu-riscv'
import { encode } from '@machinist/cpu-riscv/isa'
import { uart16550a } from '@machinist/devices'
import { clint, plic } from '@machinist/interrupts'
import { createMachine, defineMachine, instantiateStored, type Machine, type MachineHost, part } from '@machinist/machine'
import { createMemory } from '@machinist/wasm'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodePlain, encodePlain } from './plain.ts'
import { openSnapshot, type SnapshotCodec, type SnapshotInput, writeSnapshot } from './index.ts'

const RAM = 0x8000_0000
const SIZE = 1 << 20
const CLINT = 0x200_0000
const catalogue = [riscv, uart16550a, clint, plic]

const codec: SnapshotCodec = {
  compression: 'brotli',
  compress: (bytes) => brotliCompressSync(bytes, { params: { 1: 1 } }),
  decompress: (compression, bytes, length) => compression === 'brotli' ? brotliDecompressSync(bytes, { maxOutputLength: length }) : inflateRawSync(bytes, { maxOutputLength: length }),
  crc32: (bytes) => crc32(bytes),
}

const deflate: SnapshotCodec = { ...codec, compression: 'deflate', compress: (bytes) => deflateRawSync(bytes, { level: 1 }) }

function testHost(maximumMemory = 256 << 20): MachineHost {
  return {
    maximumMemory,
    loop: { now: () => 0, soon(callback) { setImmediate(callback) }, after: () => () => {} },
    linearMemory: (maximum) => createMemory({ initial: 16, maximum: maximum / 65536, shared: true }),
  }
}

/** Counts for ever in RAM, a page further each time, with a timer armed. */
function counting(harts = 2): Machine {
  const [hart, page, word, rest, step] = [10, 5, 6, 7, 28]
  const code = [
    encode('lui', { rd: rest, imm: CLINT + 0x4000 }), encode('lui', { rd: step, imm: 0x7_0000 }), encode('sd', { rs1: rest, rs2: step, imm: 0 }),
    encode('lui', { rd: step, imm: 0x1000 }), encode('auipc', { rd: page, imm: 0x2000 }), encode('addi', { rd: rest, rs1: 0, imm: 200 }),
    encode('addi', { rd: word, rs1: word, imm: 1 }), encode('add', { rd: word, rs1: word, rs2: hart }), encode('sd', { rs1: page, rs2: word, imm: 0x100 }), encode('add', { rd: page, rs1: page, rs2: step }),
    encode('addi', { rd: rest, rs1: rest, imm: -1 }), encode('bne', { rs1: rest, rs2: 0, imm: -20 }), encode('jal', { rd: 0, imm: -32 }),
  ]
  return createMachine(defineMachine({
    name: 'counting', memory: { base: RAM, size: SIZE }, time: { instructionsPerSecond: 1e6 }, cpu: part(riscv, { config: { harts, firmware: 'none', translate: 'off' }, backends: { console: 'null' } }),
    devices: { plic: part(plic, { at: 0xc00_0000, config: { harts } }), clint: part(clint, { at: CLINT, config: { harts } }), uart0: part(uart16550a, { at: 0x1000_0000, backends: { console: 'null' } }) },
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: new Uint8Array(Uint32Array.from(code).buffer) }], entry: RAM },
  }), testHost())
}

async function written(machine: Machine, about?: unknown): Promise<Uint8Array> {
  let file = new Uint8Array()
  const snapshot = await machine.save()
  await writeSnapshot(snapshot, {
    write(offset, bytes) {
      const longer = new Uint8Array(Math.max(file.length, offset + bytes.length))
      longer.set(file)
      longer.set(bytes, offset)
      file = longer
      return Promise.resolve()
    },
  }, codec, { about })
  snapshot.dispose()
  return file
}

function input(file: Uint8Array, closed: () => void = () => {}): SnapshotInput {
  return { name: 'test', size: file.length, read: (offset, length) => file.subarray(offset, offset + length), close: closed }
}

function run(machine: Machine, turns: number): void {
  machine.start({ drive: 'caller' })
  for (let i = 0; i < turns; i++) machine.runSlice(0)
  machine.pause()
}

function stateOf(machine: Machine): unknown {
  const ram = new Uint8Array(SIZE)
  machine.memory.read(RAM, ram)
  return { ram: crc32(ram), harts: machine.vcpus.map((vcpu) => vcpu.save()), devices: machine.saveDevices(), time: machine.stats.virtualTime }
}

test('a machine goes on where it was saved as if nothing had happened, and brings in what it touches', async () => {
  const machine = counting()
  run(machine, 40)
  const file = await written(machine, { who: 'test', many: 2n ** 70n })
  let closed = 0
  const stored = openSnapshot(input(file, () => { closed++ }), codec)
  expect(stored.about).toEqual({ who: 'test', many: 2n ** 70n })
  const copy = instantiateStored(stored, catalogue, testHost(), { exact: true })
  stored.close()
  expect([copy.state, copy.name, copy.memory.touchedPages, closed]).toEqual(['paused', 'counting', 0, 0])
  run(copy, 1)
  expect(copy.memory.touchedPages).toBeGreaterThan(0)
  expect(copy.memory.touchedPages).toBeLessThan(machine.memory.touchedPages)
  run(machine, 1)
  for (let i = 0; i < 5; i++) {
    run(machine, 30)
    run(copy, 30)
    expect(stateOf(copy)).toEqual(stateOf(machine))
  }
  // A copy of the copy holds the file, too; one that was saved again has what is still in the first file.
  const fork = await copy.fork({ start: false, exact: true })
  const again = instantiateStored(openSnapshot(input(await written(copy)), codec), catalogue, testHost(), { exact: true })
  copy.dispose()
  expect([closed, stateOf(again)]).toEqual([0, stateOf(fork)])
  fork.dispose()
  expect(closed).toBe(1)
  // Its images are in the file.
  again.start({ drive: 'caller' })
  again.reset()
  run(again, 40)
  expect(again.vcpus[0]?.retired).toBeGreaterThan(1000)
  again.dispose()
  machine.dispose()
})

test('pages are stored once, zeros not at all, and the machine may go on while they are written', async () => {
  const machine = counting()
  run(machine, 40)
  const page = Uint8Array.from({ length: 4096 }, () => Math.floor(Math.random() * 256))
  const before = (await written(machine)).length
  for (let i = 0; i < 20; i++) machine.memory.write(RAM + 0xd_0000 + i * 4096, page)
  machine.memory.write(RAM + 0xf_0000, new Uint8Array(8192))
  const more = (await written(machine)).length - before
  expect(more).toBeGreaterThan(4000)
  expect(more).toBeLessThan(5500)
  const snapshot = await machine.save()
  const expected = stateOf(machine)
  run(machine, 20)
  const chunks: Uint8Array[] = []
  await writeSnapshot(snapshot, { write(offset, bytes) { chunks[offset] = bytes; return Promise.resolve() } }, codec)
  snapshot.dispose()
  machine.dispose()
  const file = new Uint8Array(Math.max(...Object.keys(chunks).map((offset) => Number(offset) + (chunks[Number(offset)]?.length ?? 0))))
  for (const offset of Object.keys(chunks)) file.set(chunks[Number(offset)] ?? [], Number(offset))
  const copy = instantiateStored(openSnapshot(input(file), codec), catalogue, testHost(), { exact: true })
  expect(stateOf(copy)).toEqual(expected)
  copy.dispose()
})

test('plain data becomes text and plain data again', () => {
  const plain = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 }, fc.integer(), fc.double(), fc.bigInt(), fc.string(), fc.boolean(), fc.constantFrom(null, undefined), fc.uint8Array({ maxLength: 600 }),
      fc.array(tie('value')), fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('$bytes', '$bigint', '__proto__', '$')), tie('value'), { noNullPrototype: true }),
    ),
  })).value
  fc.assert(fc.property(plain, (value) => {
    const pieces: Uint8Array[] = []
    const text = JSON.stringify(encodePlain(value, (bytes) => pieces.push(bytes) - 1))
    expect(Object.is(value, -0) ? 0 : decodePlain(JSON.parse(text), (piece) => pieces[piece] ?? new Uint8Array())).toStrictEqual(Object.is(value, -0) ? 0 : value)
  }), { numRuns: 300 })
  for (const bad of [() => {}, Symbol('s'), new Map(), new Date(0), Object.create({})]) expect(() => encodePlain(bad, () => 0)).toThrow(/cannot be written/)
})

/** Opens, restores and runs, all the way; whatever goes wrong is a typed error. */
function tryOut(file: Uint8Array): string {
  try {
    const machine = instantiateStored(openSnapshot(input(file), codec), catalogue, testHost())
    let outcome = 'fine'
    machine.on('error', ({ error }) => {
      if (isMachinistError(error)) outcome = error.code
      else throw error
    })
    try {
      machine.start({ drive: 'caller' })
      for (let i = 0; i < 3; i++) machine.runSlice(0)
      stateOf(machine)
      machine.reset()
      machine.runSlice(0)
    } finally {
      machine.dispose()
    }
    return outcome
  } catch (error) {
    if (isMachinistError(error)) return error.code
    throw error
  }
}

test('a file that was changed in any way is refused with a typed error', async () => {
  const machine = counting()
  run(machine, 40)
  const file = await written(machine)
  machine.dispose()
  expect(tryOut(file)).toBe('fine')
  const change = fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), at: fc.nat(file.length - 1), to: fc.integer({ min: 1, max: 255 }) }),
    fc.record({ kind: fc.constant('cut' as const), at: fc.nat(file.length - 1), to: fc.constant(0) }),
    fc.record({ kind: fc.constant('zero' as const), at: fc.nat(file.length - 1), to: fc.integer({ min: 1, max: 4096 }) }),
  )
  fc.assert(fc.property(change, ({ kind, at, to }) => {
    const bytes = kind === 'cut' ? file.slice(0, at) : file.slice()
    if (kind === 'flip') bytes[at] = (bytes[at] ?? 0) ^ to
    if (kind === 'zero') bytes.fill(0, at, at + to)
    if (Buffer.compare(bytes, file) === 0) return
    expect(['snapshot-format', 'snapshot-version', 'snapshot-damaged']).toContain(tryOut(bytes))
  }), { numRuns: 300 })
})

/** Plain data with one thing in it replaced, left out or doubled. */
function spoilt(value: unknown, path: readonly number[], by: unknown): unknown {
  const [first = 0, ...rest] = path
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || path.length === 0) return by
  const keys = Object.keys(value)
  const chosen = keys[first % Math.max(1, keys.length)]
  if (Array.isArray(value)) return chosen === undefined ? [by] : value.map((each: unknown, index) => (String(index) === chosen ? spoilt(each, rest, by) : each))
  return Object.fromEntries(Object.entries(value).flatMap(([key, each]): [string, unknown][] => (key !== chosen ? [[key, each]] : by === undefined ? [] : [[key, spoilt(each, rest, by)]])))
}

test('a file whose state was changed, with checksums that are right, gives a machine or a typed error', async () => {
  const machine = counting()
  run(machine, 40)
  const snapshot = await machine.save()
  const outcomes = new Map<string, number>()
  const junk = fc.oneof(fc.constantFrom(undefined, null, -1, 0, 2 ** 32, 2 ** 53, 1e300, NaN, Infinity, '', [], {}, true, 2n ** 65n, -1n), fc.integer(), fc.string({ maxLength: 5 }))
  await fc.assert(fc.asyncProperty(fc.array(fc.nat(12), { minLength: 1, maxLength: 7 }), junk, fc.constantFrom('state', 'state', 'definition'), async (path, by, part) => {
    let file = new Uint8Array()
    const changed = { ...snapshot, [part]: spoilt(snapshot[part as 'state'], path, by) }
    try {
      await writeSnapshot(changed, {
        write(offset, bytes) {
          const longer = new Uint8Array(Math.max(file.length, offset + bytes.length))
          longer.set(file)
          longer.set(bytes, offset)
          file = longer
          return Promise.resolve()
        },
      }, deflate)
    } catch {
      // The writer trusts a definition.
      return
    }
    const outcome = tryOut(file)
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }), { numRuns: 120 })
  snapshot.dispose()
  machine.dispose()
  expect(outcomes.get('state')).toBeGreaterThan(2)
  expect(outcomes.get('fine')).toBeGreaterThan(2)
})
