import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { type Backend, type BackendClock, type CharPort, type Deliver, isMachinistError } from '@machinist/api'
import { riscv } from '@machinist/cpu-riscv'
import { encode } from '@machinist/cpu-riscv/isa'
import { uart16550a } from '@machinist/devices'
import { clint, plic } from '@machinist/interrupts'
import { createMachine, defineMachine, instantiateStored, type Machine, type MachineBlueprint, type MachineHost, part, type RecordOptions } from '@machinist/machine'
import { createMemory } from '@machinist/wasm'
import { expect, test } from 'vitest'
import type { SnapshotCodec, SnapshotInput } from '../index.ts'
import { crc32 } from '@machinist/boot'
import { portableCodec } from '../portable/codec.ts'
import { openRecording, openSnapshot, RecordingWriter, replayMachine, writeSnapshot } from '../index.ts'

const RAM = 0x8000_0000
const SIZE = 1 << 20
const UART = 0x1000_0000
const catalogue = [riscv, uart16550a, clint, plic]

const codec: SnapshotCodec = {
  compression: 'deflate',
  compress: (bytes) => deflateRawSync(bytes, { level: 1 }),
  decompress: (_, bytes, length) => inflateRawSync(bytes, { maxOutputLength: length }),
  crc32,
}

const host: MachineHost = {
  maximumMemory: 256 << 20,
  loop: { now: () => 0, soon(callback) { setImmediate(callback) }, after: () => () => {} },
  linearMemory: (maximum) => createMemory({ initial: 16, maximum: maximum / 65536, shared: true }),
}

/** Numbers below `limit`, the same ones for a seed. Another seed: RECORDING_SEED. */
function randomOf(seed: number): (limit: number) => number {
  let state = (seed + Number(process.env['RECORDING_SEED'] ?? 0) * 7919) >>> 0
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor(state / 2 ** 32 * limit)
  }
}

/** A stream that takes some of what is written, has input at odd times, by itself and by timers of the machine's time, and then ends. */
function oddStream(random: (limit: number) => number): Backend<CharPort> & { poke(): void; said: number[] } {
  let input: number[] = []
  let listener: Parameters<CharPort['listen']>[0] | null = null
  let deliver: Deliver = () => {}
  let clock: BackendClock | undefined
  let writable = false
  const said: number[] = []
  const come = (): void => {
    input.push(...Array.from({ length: 1 + random(6) }, () => random(256)))
    deliver(() => { listener?.readable() })
  }
  return {
    kind: 'char', said,
    poke() {
      come()
      if (writable) deliver(() => { listener?.writable() })
      writable = false
    },
    connect(to, time) {
      deliver = to
      clock = time
      const timer = clock?.timer(come)
      return {
        write(bytes) {
          const taken = random(3) === 0 ? 0 : bytes.length
          writable ||= taken < bytes.length
          said.push(...bytes.subarray(0, taken))
          if (random(4) === 0) timer?.arm((clock?.now() ?? 0) + random(300_000))
          if (random(9) === 0) come()
          return taken
        },
        read(into) {
          const count = Math.min(into.length, input.length, 1 + random(3))
          into.set(input.slice(0, count))
          input = input.slice(count)
          return count
        },
        get ended() { return said.length > 200 && input.length === 0 },
        listen(to) { listener = to },
      }
    },
  }
}

const register = { cpu: 5, uart: 6, line: 7, flag: 28, at: 29, page: 30 } as const
/** Registers that programs compute with. */
const WORK = [8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27] as const

/** A program for all harts: arithmetic of random kinds and stores here and there, what comes from the UART mixed in, and words back. */
function programOf(random: (limit: number) => number): Uint8Array {
  const { uart, line, flag, at, page } = register
  const any = (): number => WORK[random(WORK.length)] ?? 8
  const code = [encode('auipc', { rd: page, imm: 0x4000 }), encode('lui', { rd: uart, imm: UART })]
  const loop = code.length
  for (let i = 0; i < 24; i++) {
    const name = (['add', 'xor', 'sub', 'mul', 'sll', 'or'] as const)[random(6)] ?? 'add'
    code.push(encode(name, { rd: any(), rs1: any(), rs2: any() }))
  }
  code.push(
    // A place that depends on what was computed.
    encode('slli', { rd: at, rs1: any(), imm: 50 }), encode('srli', { rd: at, rs1: at, imm: 47 }), encode('add', { rd: at, rs1: at, rs2: page }),
    encode('sd', { rs1: at, rs2: any(), imm: 0 }), encode('amoadd.d', { rd: any(), rs1: page, rs2: any() }),
    // Input, if there is some.
    encode('lbu', { rd: line, rs1: uart, imm: 5 }), encode('andi', { rd: flag, rs1: line, imm: 1 }), encode('beq', { rs1: flag, rs2: 0, imm: 12 }),
    encode('lbu', { rd: flag, rs1: uart, imm: 0 }), encode('add', { rd: any(), rs1: any(), rs2: flag }),
    // Output, now and then.
    encode('andi', { rd: flag, rs1: any(), imm: 7 }), encode('bne', { rs1: flag, rs2: 0, imm: 8 }), encode('sb', { rs1: uart, rs2: any(), imm: 0 }),
  )
  code.push(encode('jal', { rd: 0, imm: (loop - code.length) * 4 }))
  return new Uint8Array(Uint32Array.from(code).buffer)
}

function blueprintOf(random: (limit: number) => number, harts: number, console: Backend<CharPort>): MachineBlueprint {
  return defineMachine({
    name: 'recorded', memory: { base: RAM, size: SIZE }, time: { instructionsPerSecond: 1e7 }, randomness: 'host',
    cpu: part(riscv, { config: { harts, firmware: 'none', translate: random(2) === 0 ? 'off' : 'now' }, backends: { console: 'null' } }),
    devices: {
      plic: part(plic, { at: 0xc00_0000, config: { harts } }), clint: part(clint, { at: 0x200_0000, config: { harts } }),
      uart0: part(uart16550a, { at: UART, backends: { console } }),
    },
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: programOf(random) }], entry: RAM },
  })
}

function stateOf(machine: Machine): unknown {
  const ram = new Uint8Array(SIZE)
  machine.memory.read(RAM, ram)
  return { ram: crc32(ram), harts: machine.vcpus.map((vcpu) => vcpu.save()), devices: machine.saveDevices(), retired: machine.stats.retired, time: machine.stats.virtualTime }
}

interface File {
  bytes: Uint8Array
}

function recordingOf(file: File): RecordingWriter {
  return new RecordingWriter({
    write(offset, bytes) {
      const longer = new Uint8Array(Math.max(file.bytes.length, offset + bytes.length))
      longer.set(file.bytes)
      longer.set(bytes, offset)
      file.bytes = longer
    },
  }, codec)
}

function input(bytes: Uint8Array): SnapshotInput {
  return { name: 'test', size: bytes.length, read: (offset, length) => bytes.subarray(offset, offset + length) }
}

interface Recorded {
  readonly file: Uint8Array
  readonly state: unknown
  readonly said: readonly number[]
}

const entropy = (random: (limit: number) => number): NonNullable<MachineHost['entropy']> => ({ fill: (into) => { into.forEach((_, index) => { into[index] = random(256) }) } })

/** Has a machine run in slices, between which something comes from outside. */
function live(machine: Machine, random: (limit: number) => number, console: ReturnType<typeof oddStream>, slices: number): void {
  machine.start({ drive: 'caller' })
  for (let i = 0; i < slices; i++) {
    machine.runSlice(0)
    if (random(3) === 0) console.poke()
    if (random(60) === 0) machine.reset()
    if (random(40) === 0) {
      machine.pause()
      console.poke()
      machine.resume()
    }
  }
}

async function record(seed: number, harts: number, end: 'off' | 'stop' | 'cut', slices = 400): Promise<Recorded> {
  const random = randomOf(seed)
  const console = oddStream(random)
  const file: File = { bytes: new Uint8Array() }
  const writer = recordingOf(file)
  const record: RecordOptions = { sink: writer.sink, checkEvery: 500, checkMemoryEvery: 2000 }
  const machine = createMachine(blueprintOf(random, harts, console), { ...host, entropy: entropy(random) }, { record })
  await writer.begin(machine, { about: { seed } })
  live(machine, random, console, slices)
  if (end === 'off') machine.powerOff(3)
  if (end === 'stop') machine.stopRecording()
  const state = stateOf(machine)
  const { bytes } = file
  machine.dispose()
  return { file: end === 'cut' ? bytes : file.bytes, state, said: console.said }
}

function replay(file: Uint8Array, own: SnapshotCodec = portableCodec): { readonly machine: Machine; readonly said: number[] } {
  const said: number[] = []
  const machine = replayMachine(openRecording(input(file), own), catalogue, host, {
    onSay({ part: from, member, args, answer }) { if (from === 'uart0.console' && member === 'write') said.push(...(args[0] as Uint8Array).subarray(0, answer as number)) },
  })
  machine.start({ drive: 'caller' })
  return { machine, said }
}

/** Runs a replay to its end, in slices of other lengths than those of the recording. */
function finish(machine: Machine): void {
  for (let i = 0; i < 100_000 && machine.state === 'running'; i++) machine.runSlice(i % 3 === 0 ? 0 : Infinity)
}

test.each([1, 2, 3, 4].flatMap((seed) => [1, 3].map((harts) => ({ seed, harts }))))('what a random program did, seed $seed with $harts harts, it does again without what it was connected to', async ({ seed, harts }) => {
  const { file, state, said } = await record(seed, harts, 'off')
  const again = replay(file)
  finish(again.machine)
  expect(again.machine.replay).toMatchObject({ ended: true, whole: true, off: true, difference: null })
  expect(again.machine.replay?.checks).toBeGreaterThan(3)
  expect(again.machine.status).toBe(3)
  expect(stateOf(again.machine)).toEqual(state)
  expect(again.said).toEqual(said)
  expect(said.length).toBeGreaterThan(20)
  again.machine.dispose()
})

test('a recording that was stopped ends with the machine paused, as the other was then; stopping it anywhere on the way changes nothing', async () => {
  const { file, state } = await record(5, 2, 'stop')
  const { machine } = replay(file)
  const random = randomOf(99)
  for (let i = 0; i < 40 && machine.state === 'running'; i++) {
    machine.stopAt({ retired: machine.stats.retired + 1 + random(5000) })
    while (machine.state === 'running') machine.runSlice(Infinity)
    if (machine.replay?.ended !== true) machine.resume()
  }
  machine.stopAt(null)
  finish(machine)
  expect(machine.replay).toMatchObject({ ended: true, whole: true, off: false, difference: null })
  expect(machine.state).toBe('paused')
  expect(stateOf(machine)).toEqual(state)
  machine.dispose()
})

test('a file that was cut anywhere is replayed as far as it goes', async () => {
  const { file } = await record(6, 1, 'cut')
  const whole = openRecording(input(file), codec)
  expect(whole.parts).toBeGreaterThan(10)
  const first = file.length - whole.logSize
  for (const at of [first, first + 5, first + Math.floor(whole.logSize / 2), file.length - 1]) {
    const cut = openRecording(input(file.subarray(0, at)), codec)
    expect(cut.parts).toBeLessThan(whole.parts)
    if (cut.parts === 0) continue
    const { machine } = replay(file.subarray(0, at))
    finish(machine)
    expect(machine.replay).toMatchObject({ ended: true, whole: false, difference: null })
    expect(machine.state).toBe('paused')
    machine.dispose()
  }
  // What was written last may be garbage after a crash.
  const torn = file.slice()
  torn[torn.length - 1] = (torn.at(-1) ?? 0) ^ 1
  expect(openRecording(input(torn), codec).parts).toBe(whole.parts - 1)
  for (const at of [0, 10, 20, 30]) expect(() => openRecording(input(file.subarray(0, at)), codec)).toThrow('not a recording')
  expect(() => openRecording(input(file.subarray(0, first - 1)), codec)).toThrow('not all there')
})

/** The file with another log. */
async function withLog(file: Uint8Array, change: (log: Uint8Array, part: number) => Uint8Array): Promise<Uint8Array> {
  const recording = openRecording(input(file), codec)
  const copy: File = { bytes: file.slice(0, file.length - recording.logSize) }
  const from = copy.bytes.length
  const parts: File = { bytes: new Uint8Array() }
  const writer = recordingOf(parts)
  const machine = createMachine(blueprintOf(randomOf(1), 1, oddStream(randomOf(1))), { ...host, entropy: entropy(randomOf(1)) })
  await writer.begin(machine)
  machine.dispose()
  const start = parts.bytes.length
  for (let part = 0; part < recording.parts; part++) writer.sink.write(change(recording.source.part(part) ?? new Uint8Array(), part))
  const log = parts.bytes.subarray(start)
  const bytes = new Uint8Array(from + log.length)
  bytes.set(copy.bytes)
  bytes.set(log, from)
  return bytes
}

test('a changed byte of what came in is found, by the next checksum at the latest', async () => {
  const { file } = await record(7, 1, 'off')
  const { machine: right } = replay(await withLog(file, (log) => log))
  finish(right)
  expect(right.replay).toMatchObject({ ended: true, difference: null })
  right.dispose()
  // Bytes that the guest read, one at a time: an answer, the number 1, and 1 byte. Some of them it makes nothing of.
  let changedAt = -1
  const wrong = await withLog(file, (log, part) => {
    const isRead = (at: number): boolean => log[at] === 6 && log[at + 1] === 4 && log[at + 2] === 1 && log[at + 3] === 1
    if (part < 8 || (changedAt >= 0 && part !== changedAt) || !log.some((_, at) => isRead(at))) return log
    changedAt = part
    return log.map((byte, at) => (isRead(at - 4) ? byte ^ 0x10 : byte))
  })
  expect(changedAt).toBeGreaterThan(0)
  const { machine } = replay(wrong)
  finish(machine)
  const { difference, ended } = machine.replay ?? {}
  expect(ended).toBe(false)
  expect(difference).toMatchObject({ code: 'replay-difference' })
  expect(difference?.message).toMatch(/after [0-9]+ instructions/)
  expect(await machine.finished()).toMatchObject({ status: 1, error: difference })
  // Parts end with a check, but for the first one.
  expect(Math.abs((machine.replay?.checks ?? 0) - changedAt)).toBeLessThanOrEqual(1)
  machine.dispose()
})

test('a log with random changes gives the same, or a typed error', async () => {
  const { file } = await record(8, 2, 'off', 40)
  const random = randomOf(8)
  const outcomes = { same: 0, error: 0 }
  for (let i = 0; i < 150; i++) {
    const target = random(openRecording(input(file), codec).parts)
    const wrong = await withLog(file, (log, number) => {
      if (number !== target) return log
      const copy = log.slice(0, random(4) === 0 ? random(log.length) + 1 : log.length)
      for (let changes = 1 + random(3); changes > 0; changes--) copy[random(copy.length)] = random(256)
      return copy
    })
    try {
      const { machine } = replay(wrong, codec)
      finish(machine)
      const { replay: status } = machine
      if (status?.ended === true) outcomes.same++
      else {
        const { error } = await machine.finished()
        expect(isMachinistError(error), String(error?.stack)).toBe(true)
        outcomes.error++
      }
      machine.dispose()
    } catch (error) {
      if (!isMachinistError(error)) throw error
      outcomes.error++
    }
  }
  expect(outcomes.error).toBeGreaterThan(50)
})

test('damage to the file is found', async () => {
  const { file } = await record(9, 1, 'off', 40)
  const { logSize } = openRecording(input(file), codec)
  const random = randomOf(9)
  for (let i = 0; i < 40; i++) {
    const wrong = file.slice()
    // Within the log, or before it: header, tables, document, images.
    const at = i % 2 === 0 ? file.length - logSize + random(logSize - 200) : random(file.length - logSize)
    wrong[at] = (wrong[at] ?? 0) ^ (1 + random(255))
    try {
      const { machine } = replay(wrong)
      finish(machine)
      // Bytes that nobody looks at.
      if (machine.replay?.ended !== true) expect(isMachinistError(machine.replay?.difference) || isMachinistError((await machine.finished()).error)).toBe(true)
      machine.dispose()
    } catch (error) {
      if (!isMachinistError(error)) throw error
    }
  }
})

test('a machine that was restored is recorded too, and its recording has all that it began with', async () => {
  const random = randomOf(10)
  const console = oddStream(random)
  const blueprint = blueprintOf(random, 2, console)
  const before = createMachine(blueprint, { ...host, entropy: entropy(random) })
  live(before, random, console, 50)
  const saved: File = { bytes: new Uint8Array() }
  const saving = before.save()
  for (let i = 0; i < 3; i++) await new Promise((resolve) => { setImmediate(resolve) })
  const snapshot = await saving
  await writeSnapshot(snapshot, {
    write(offset, bytes) {
      const longer = new Uint8Array(Math.max(saved.bytes.length, offset + bytes.length))
      longer.set(saved.bytes)
      longer.set(bytes, offset)
      saved.bytes = longer
      return Promise.resolve()
    },
  }, codec)
  snapshot.dispose()
  before.dispose()
  const stored = openSnapshot(input(saved.bytes), codec)
  const file: File = { bytes: new Uint8Array() }
  const writer = recordingOf(file)
  const machine = instantiateStored(stored, catalogue, { ...host, entropy: entropy(random) }, {
    backends: { 'uart0.console': console }, record: { sink: writer.sink, checkEvery: 500, checkMemoryEvery: 2000 },
  })
  await writer.begin(machine, { restored: stored })
  live(machine, random, console, 80)
  machine.powerOff(0)
  const state = stateOf(machine)
  machine.dispose()
  stored.close()
  const { machine: again } = replay(file.bytes)
  finish(again)
  expect(again.replay).toMatchObject({ ended: true, whole: true, off: true, difference: null })
  expect(stateOf(again)).toEqual(state)
  again.dispose()
})

test('a machine whose time is real is not recorded', () => {
  const blueprint = blueprintOf(randomOf(1), 1, oddStream(randomOf(1)))
  const file: File = { bytes: new Uint8Array() }
  const make = (): Machine => createMachine({ ...blueprint, definition: { ...blueprint.definition, time: 'real' } }, { ...host, entropy: entropy(randomOf(1)) }, { record: { sink: recordingOf(file).sink } })
  expect(make).toThrow('only a machine of counted time can be recorded')
})
