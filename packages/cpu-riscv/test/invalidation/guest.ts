import { AddressSpace } from '@machinist/bus'
import { expect } from 'vitest'
import type { RiscvConfig } from '../../src/cpu.ts'
import type { Hart } from '../../src/hart.ts'
import { saveHart } from '../../src/hart-state.ts'
import { RAM, testMachine, type TestMachine } from '../../src/test-machine.ts'
import { Program } from './program.ts'

/** A way to run a guest. What the guest sees must not depend on it. */
export interface Way {
  readonly name: string
  readonly config: Partial<RiscvConfig>
  /** Instructions to run at a time, in turn. */
  readonly pieces: readonly number[]
  /** Whether each piece is exactly so long: then the precise stepper executes it, if it is short. */
  readonly exact: boolean
  /** Each run goes on in a copy of the machine, or beside one that does other things. */
  readonly forked?: boolean
}

/**
 * The only place that knows how to have code translated at once, and early: it is found to be hot at the ends of runs,
 * so runs are short, and some of them longer, in which translated code is left alone.
 */
const ways: readonly Way[] = [
  { name: 'interpreted', config: { translate: 'off' }, pieces: [Infinity], exact: true },
  { name: 'stepped', config: { translate: 'off' }, pieces: [500], exact: true },
  { name: 'translated', config: { translate: 'now', hot: 1 }, pieces: [10], exact: false },
  { name: 'forked', config: { translate: 'now', hot: 1 }, pieces: [10], exact: false, forked: true },
  { name: 'translated a little later', config: { translate: 'now', hot: 40 }, pieces: [199, 401], exact: false },
]

/** Code is translated in the background, as usual, and as early as may be. */
export const later: Way = { name: 'translated in the background', config: { translate: 'later', hot: 1 }, pieces: [40], exact: false }

/** The last instructions of a run are counted out exactly. */
const TAIL = 3000

/** Instructions that translated code has executed on a hart. */
export function translatedSteps(hart: Hart): number {
  return hart.record.getNumber('regionSteps')
}

/** What the engine has done: regions translated, pages of decoded code held, and instructions executed one at a time. */
export function figures({ machine: { cpu } }: Guest): { readonly regions: number; readonly codePages: number; readonly slow: number } {
  const { regions = 0, codePages = 0 } = cpu.stats
  return { regions, codePages, slow: cpu.vcpus.reduce((sum, { record }) => sum + record.getNumber('slowSteps'), 0) }
}

export interface GuestOptions {
  readonly ramMiB?: number
  readonly harts?: number
  readonly firmware?: RiscvConfig['firmware']
  /** False for a scenario that looks at the machine itself, and so must not go on in a copy of it. */
  readonly forks?: boolean
}

/** A machine for one run of a scenario in one way. */
export class Guest {
  readonly way: Way
  machine: TestMachine
  readonly #ramBytes: number
  /** What the guest saw after each run. */
  readonly trace: unknown[] = []
  /** Instructions executed by translated code. */
  translated = 0

  constructor(way: Way, { ramMiB = 2, harts = 1, firmware = 'none' }: GuestOptions = {}) {
    this.way = way
    this.#ramBytes = ramMiB * 2 ** 20
    this.machine = testMachine({ ...way.config, harts, firmware }, ramMiB)
  }

  hart(index: number = 0): Hart {
    const hart = this.machine.cpu.vcpus[index]
    if (!hart) throw new RangeError(`no hart ${index}`)
    return hart
  }

  x(register: number, hart: number = 0): bigint {
    return this.hart(hart).getX(register)
  }

  setX(register: number, value: number | bigint, hart: number = 0): void {
    this.hart(hart).setX(register, BigInt(value))
  }

  /** Sets several registers, by number. */
  set(registers: Readonly<Record<number, number | bigint>>): void {
    for (const [register, value] of Object.entries(registers)) this.setX(Number(register), value)
  }

  setPc(pc: number | bigint, hart: number = 0): void {
    this.hart(hart).record.set64('pc', BigInt(pc))
  }

  /** Writes a program into RAM, as DMA does. */
  load(program: Program): void {
    for (const [at, bytes] of program.pieces()) this.write(at, bytes)
  }

  /** Changes a word of RAM behind the back of everybody, and says so. */
  change(at: number, word: number): void {
    const { memory, cpu } = this.machine
    // A page that others have, too, must be made writable first.
    memory.fault(memory.entryAddress(at), 'write')
    memory.arena.data.setUint32(memory.resolve(at), word, true)
    cpu.memoryChanged(at, 4)
  }

  /** DMA. */
  write(address: number, bytes: Uint8Array | readonly number[]): void {
    expect(this.machine.memory.write(address, Uint8Array.from(bytes))).toBe(true)
  }

  writeWord(address: number, value: number): void {
    this.write(address, new Uint8Array(Uint32Array.of(value).buffer))
  }

  write64(address: number, value: bigint): void {
    this.write(address, new Uint8Array(BigUint64Array.of(value).buffer))
  }

  read64(address: number): bigint {
    const bytes = new Uint8Array(8)
    expect(this.machine.memory.read(address, bytes)).toBe(true)
    return new DataView(bytes.buffer).getBigUint64(0, true)
  }

  /**
   * Copies the machine. The copy goes on, and the other one comes to its end; or the copy runs for a while, without devices, does what it
   * likes, and comes to its end, and this one goes on.
   */
  #fork(): void {
    const goOn = this.#forks++ % 3 !== 0
    const parent = this.machine
    const copy = parent.fork(goOn ? parent.bus : new AddressSpace('none'))
    const [gone, here] = goOn ? [parent, copy] : [copy, parent]
    this.machine = here
    if (!goOn) for (const hart of gone.cpu.vcpus) hart.run(700, false)
    for (let at = RAM; at < RAM + this.#ramBytes; at += 3 * 4096) if (this.#forks % 2 === 0) gone.memory.write(at + 8, Uint8Array.of(0x13, 0, 0, 0))
    gone.cpu.dispose()
    gone.memory.dispose()
  }
  #forks = 0

  /** Executes exactly `count` instructions, or fewer if the hart ends the run itself. */
  run(count: number, hart: number = 0): string {
    if (this.way.forked === true) this.#fork()
    const target = this.hart(hart)
    const { pieces, exact } = this.way
    const before = target.retired
    const hot = translatedSteps(target)
    let exit = 'budget'
    // Traps are steps too, but do not retire an instruction.
    const steps = (): number => target.record.getNumber('steps')
    const end = steps() + count
    for (let i = 0; exit === 'budget' && steps() < end; i++) {
      const left = end - steps()
      const piece = Math.min(left, pieces[i % pieces.length] ?? left)
      exit = exact ? target.run(piece, true) : left > TAIL ? target.run(piece, false) : target.run(left, true)
    }
    this.translated += translatedSteps(target) - hot
    this.trace.push({ exit, retired: target.retired - before, ...this.state() })
    return exit
  }

  /** The same, and wants translated code to have executed at least `share` of it, where anything is translated. */
  runHot(count: number, share: number = 0.5, hart: number = 0): string {
    const before = this.translated
    const exit = this.run(count, hart)
    if (this.way.config.translate !== 'off') expect(this.translated - before, `steps in translated code, of ${count}`).toBeGreaterThanOrEqual(count * share)
    return exit
  }

  /** What the guest can see of itself. */
  state(): { readonly harts: readonly unknown[]; readonly memory: number } {
    return {
      harts: this.machine.cpu.vcpus.map((hart) => ({ ...saveHart(hart.record, this.machine.memory), hsm: hart.hsm, retired: hart.retired })),
      memory: this.#hash(),
    }
  }

  /** A sum over all of RAM. Pages that nobody touched are zero, and add nothing. */
  #hash(): number {
    const { memory } = this.machine
    const page = new Int32Array(1024)
    let hash = 0
    for (let at = 0; at < this.#ramBytes; at += 4096) {
      if (memory.arena.u32[memory.entryAddress(RAM + at) >>> 2] === 0) continue
      memory.read(RAM + at, new Uint8Array(page.buffer))
      for (let i = 0; i < 1024; i++) hash = (hash + Math.imul(page[i] ?? 0, Math.imul(at + i, 0x9e37_79b1) | 1)) | 0
    }
    return hash
  }
}

/**
 * Runs a scenario in every way. The scenario asserts what must come out; here it is asserted that the ways do not
 * differ, in any register, in memory, in traps or in the number of instructions, and that code was translated.
 */
export function everyWay(scenario: (guest: Guest) => void, options: GuestOptions = {}): void {
  let reference: readonly unknown[] | null = null
  for (const way of ways) {
    if (way.forked === true && options.forks === false) continue
    const guest = new Guest(way, options)
    try {
      scenario(guest)
      reference ??= guest.trace
      expect(guest.trace).toEqual(reference)
      if (way.config.translate === 'off') expect(guest.translated).toBe(0)
      else expect(guest.translated).toBeGreaterThan(0)
    } catch (error) {
      if (error instanceof Error) error.message = `${way.name}: ${error.message}`
      throw error
    }
  }
}

export { RAM }
