/** A small machine, snapshots of it in memory, and what is done to them. */
import { brotliCompressSync, brotliDecompressSync, crc32, deflateRawSync, inflateRawSync } from 'node:zlib'
import { isMachinistError } from '@machinist/api'
import { riscv } from '@machinist/cpu-riscv'
import { encode } from '@machinist/cpu-riscv/isa'
import { uart16550a } from '@machinist/devices'
import { clint, plic } from '@machinist/interrupts'
import { type Catalogue, createMachine, defineMachine, instantiateStored, type Machine, type MachineHost, part } from '@machinist/machine'
import { createMemory } from '@machinist/wasm'
import { openSnapshot, type OpenSnapshotOptions, type SnapshotCodec, type SnapshotInput, type SnapshotOutput, writeSnapshot, type WriteOptions } from '../src/index.ts'

export const RAM = 0x8000_0000
export const SIZE: number = 1 << 20
export const CLINT = 0x200_0000
export const catalogue: Catalogue = [riscv, uart16550a, clint, plic]

export const codec: SnapshotCodec = {
  compression: 'brotli',
  compress: (bytes) => brotliCompressSync(bytes, { params: { 1: 1 } }),
  decompress: (compression, bytes, length) => compression === 'brotli' ? brotliDecompressSync(bytes, { maxOutputLength: length }) : inflateRawSync(bytes, { maxOutputLength: length }),
  crc32: (bytes) => crc32(bytes),
}

export const deflate: SnapshotCodec = { ...codec, compression: 'deflate', compress: (bytes) => deflateRawSync(bytes, { level: 1 }) }

export function testHost(maximumMemory: number = 256 << 20): MachineHost {
  return {
    maximumMemory,
    loop: { now: () => 0, soon(callback) { setImmediate(callback) }, after: () => () => {} },
    linearMemory: (maximum) => createMemory({ initial: 16, maximum: maximum / 65536, shared: true }),
  }
}

/** Counts for ever in RAM, a page further each time, with a timer armed. */
export function counting(harts = 2): Machine {
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

/** A file that is being written, in memory. */
export class MemoryFile implements SnapshotOutput {
  bytes: Uint8Array = new Uint8Array()

  write(offset: number, bytes: Uint8Array): Promise<void> {
    const longer = new Uint8Array(Math.max(this.bytes.length, offset + bytes.length))
    longer.set(this.bytes)
    longer.set(bytes, offset)
    this.bytes = longer
    return Promise.resolve()
  }
}

export async function written(machine: Machine, about?: unknown, options: WriteOptions = {}): Promise<Uint8Array> {
  const file = new MemoryFile()
  const snapshot = await machine.save()
  await writeSnapshot(snapshot, file, codec, { about, ...options })
  snapshot.dispose()
  return file.bytes
}

export function input(file: Uint8Array, closed: () => void = () => {}): SnapshotInput {
  return { name: 'test', size: file.length, read: (offset, length) => file.subarray(offset, offset + length), close: closed }
}

export function run(machine: Machine, turns: number): void {
  machine.start({ drive: 'caller' })
  for (let i = 0; i < turns; i++) machine.runSlice(0)
  machine.pause()
}

export function stateOf(machine: Machine): unknown {
  const ram = new Uint8Array(SIZE)
  machine.memory.read(RAM, ram)
  return { ram: crc32(ram), harts: machine.vcpus.map((vcpu) => vcpu.save()), devices: machine.saveDevices(), time: machine.stats.virtualTime }
}

/** Opens, restores and runs, all the way; whatever goes wrong is a typed error. */
export function tryOut(file: Uint8Array, options: OpenSnapshotOptions = {}): string {
  try {
    const machine = instantiateStored(openSnapshot(input(file), codec, options), catalogue, testHost())
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

/** Plain data with one thing in it replaced, left out or doubled. */
export function spoilt(value: unknown, path: readonly number[], by: unknown): unknown {
  const [first = 0, ...rest] = path
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || path.length === 0) return by
  const keys = Object.keys(value)
  const chosen = keys[first % Math.max(1, keys.length)]
  if (Array.isArray(value)) return chosen === undefined ? [by] : value.map((each: unknown, index) => (String(index) === chosen ? spoilt(each, rest, by) : each))
  return Object.fromEntries(Object.entries(value).flatMap(([key, each]): [string, unknown][] => (key !== chosen ? [[key, each]] : by === undefined ? [] : [[key, spoilt(each, rest, by)]])))
}
