import { expect } from 'vitest'
import type { RiscvConfig } from '../cpu.ts'
import type { Hart } from '../hart.ts'
import { saveHart } from '../hart-state.ts'
import { RAM, testMachine, type TestMachine } from '../test-machine.ts'
import { Program } from './program.ts'

/** A way to run a guest. What the guest sees must not depend on it. */
interface Way {
  readonly name: string
  readonly config: Partial<RiscvConfig>
  /** Most instructions at a time; few enough that the precise stepper executes them all. */
  readonly slice: number
}

/** The only place that knows how to have code translated at once, and early. */
const ways: readonly Way[] = [
  { name: 'interpreted', config: { translate: 'off' }, slice: Infinity },
  { name: 'stepped', config: { translate: 'off' }, slice: 500 },
  { name: 'translated', config: { translate: 'now', hot: 1 }, slice: Infinity },
  { name: 'translated a little later', config: { translate: 'now', hot: 7 }, slice: Infinity },
]

/** Instructions that translated code has executed on a hart. */
export function translatedSteps(hart: Hart): number {
  return hart.record.getNumber('regionSteps')
}

export interface GuestOptions {
  readonly ramMiB?: number
  readonly harts?: number
  readonly firmware?: RiscvConfig['firmware']
}

/** A machine for one run of a scenario in one way. */
export class Guest {
  readonly way: Way
  readonly machine: TestMachine
  readonly #ramBytes: number
  /** What the guest saw after each run. */
  readonly trace: unknown[] = []

  constructor(way: Way, { ramMiB = 2, harts = 1, firmware = 'none' }: GuestOptions) {
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

  setPc(pc: number | bigint, hart: number = 0): void {
    this.hart(hart).record.set64('pc', BigInt(pc))
  }

  /** Writes a program into RAM, as DMA does. */
  load(program: Program): void {
    for (const [at, bytes] of program.pieces()) this.write(at, bytes)
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

  /** Executes exactly `count` instructions, or fewer if the hart ends the run itself. */
  run(count: number, hart: number = 0): string {
    const target = this.hart(hart)
    const before = target.retired
    let exit = 'budget'
    let left = count
    while (left > 0) {
      const part = Math.min(left, this.way.slice)
      exit = target.run(part, true)
      left -= part
      if (exit !== 'budget') break
    }
    this.trace.push({ exit, retired: target.retired - before, ...this.state() })
    return exit
  }

  /** The same, and wants translated code to have executed at least `share` of it, where anything is translated. */
  runHot(count: number, share: number = 0.5, hart: number = 0): string {
    const before = translatedSteps(this.hart(hart))
    const exit = this.run(count, hart)
    if (this.way.config.translate !== 'off') expect(translatedSteps(this.hart(hart)) - before, `steps in translated code, of ${count}`).toBeGreaterThanOrEqual(count * share)
    return exit
  }

  /** What the guest can see of itself. */
  state(): { readonly harts: readonly unknown[]; readonly memory: number } {
    return {
      harts: this.machine.cpu.vcpus.map((hart) => ({ ...saveHart(hart.record), hsm: hart.hsm, retired: hart.retired })),
      memory: this.#hash(),
    }
  }

  #hash(): number {
    const bytes = new Uint8Array(this.#ramBytes)
    this.machine.memory.read(RAM, bytes)
    let hash = 0
    for (const word of new Int32Array(bytes.buffer)) hash = (Math.imul(hash, 0x0100_0193) ^ word) | 0
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
    const guest = new Guest(way, options)
    try {
      scenario(guest)
      reference ??= guest.trace
      expect(guest.trace).toEqual(reference)
      const steps = guest.machine.cpu.vcpus.reduce((sum, hart) => sum + translatedSteps(hart), 0)
      if (way.config.translate === 'off') expect(steps).toBe(0)
      else expect(steps).toBeGreaterThan(0)
    } catch (error) {
      if (error instanceof Error) error.message = `${way.name}: ${error.message}`
      throw error
    }
  }
}

export { RAM }
