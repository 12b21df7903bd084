import type { Clock, CountedVcpu, CpuContext, TimeCounter } from '@machinist/api'
import { AddressSpace } from '@machinist/bus'
import { riscv } from '@machinist/cpu-riscv'
import { Arena, GuestMemory } from '@machinist/memory'
import { createMemory } from '@machinist/wasm'
import { FINISHER, MTIMECMP } from './harness.ts'
import { type Image, RECORDS_AT } from './image.ts'
import { inSave, RAM_BASE, RAM_SIZE, RECORD_SIZE, SAVE_AREA, SCRATCH, SCRATCH_PAGES } from './memory-map.ts'
import type { Outcome } from './qemu.ts'

/** Steps without a case completed after which the core is taken to hang; a few thousand to a case are usual. */
const PATIENCE = 500_000

/** Runs images on `@machinist/cpu-riscv`: one hart, RAM and the finisher. */
export class Core {
  readonly #memory: GuestMemory
  readonly #cpu: ReturnType<typeof riscv.create>
  readonly #hart: CountedVcpu
  #finished = false

  /** @param engine - `'translated'`: every page of code is translated as soon as control arrives in it twice */
  constructor(engine: 'default' | 'translated' = 'default') {
    this.#memory = new GuestMemory(new Arena(createMemory({ initial: 1, maximum: 65536, shared: true }), 2 ** 32 - 65536))
    this.#memory.addRam('ram', RAM_BASE, RAM_SIZE)
    const bus = new AddressSpace('mmio')
    bus.attach('finisher', FINISHER, 4096, 0, {
      read: () => 0,
      write: () => {
        this.#finished = true
        this.#hart.kick()
      },
    })
    // The timer is told never to be due: nothing need be there.
    bus.attach('mtimer', MTIMECMP, 8, 0, { read: () => 0, write: () => undefined })
    this.#cpu = riscv.create(riscv.configure({ harts: 1, firmware: 'none', ...(engine === 'translated' ? { translate: 'now', hot: 2 } : {}) }, 'cpu'), context(this.#memory, bus))
    const [hart] = this.#cpu.vcpus
    if (!hart) throw new RangeError('a CPU without a hart')
    this.#hart = hart
  }

  /** @param budget - steps at a time; below 1000 they are counted exactly */
  run(image: Image, count: number, budget: number = 100_000): Outcome {
    this.#memory.write(RAM_BASE, image.bytes.subarray(0, image.used))
    this.#cpu.reset('cold', { pc: RAM_BASE, args: [] })
    this.#cpu.memoryChanged(RAM_BASE, image.used)
    this.#finished = false
    let completed = 0
    for (let idle = 0; !this.#finished && idle < PATIENCE; ) {
      const { retired } = this.#hart
      const exit = this.#hart.run(budget, budget < 1000)
      const now = this.#completed()
      // PAUSE gives way long before the budget is used up.
      idle = now !== completed ? 0 : idle + (exit === 'yield' ? Math.max(1, this.#hart.retired - retired) : budget)
      completed = now
    }
    return {
      records: this.#read(RAM_BASE + RECORDS_AT, count * RECORD_SIZE),
      scratch: this.#read(SCRATCH, SCRATCH_PAGES * 4096),
      completed: this.#completed(),
    }
  }

  /** Runs `words` from the start of RAM in M-mode until they write to the finisher; returns the first scratch page. */
  program(words: readonly number[]): DataView {
    this.#memory.write(SCRATCH, new Uint8Array(4096))
    this.#memory.write(RAM_BASE, new Uint8Array(Uint32Array.from(words).buffer))
    this.#cpu.reset('cold', { pc: RAM_BASE, args: [] })
    this.#cpu.memoryChanged(RAM_BASE, words.length * 4)
    this.#finished = false
    for (let slice = 0; !this.#finished && slice < 100; slice++) this.#hart.run(10_000, false)
    if (!this.#finished) throw new Error('the program does not end')
    return new DataView(this.#read(SCRATCH, 4096).buffer)
  }

  #completed(): number {
    return new DataView(this.#read(SAVE_AREA + inSave.index, 8).buffer).getUint32(0, true)
  }

  #read(address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    this.#memory.read(address, bytes)
    return bytes
  }
}

/** What a hart is given here: time that stands still, and nobody to talk to. */
export function context(memory: GuestMemory, bus: AddressSpace): CpuContext<GuestMemory, AddressSpace, typeof riscv.backends> {
  // Time stands still well after zero: a comparison with 0 has passed, one with all ones never will.
  const ticks = 1000
  const counter: TimeCounter = {
    frequency: 10_000_000,
    base: 0n,
    elapsed: () => ticks,
    read: () => BigInt(ticks),
    onWrite: () => undefined,
    write: () => undefined,
    timeOf: (at) => (at > 2n ** 46n ? Infinity : Number(at) * 100),
  }
  const clock: Clock = { now: () => ticks * 100, timer: () => ({ arm: () => undefined, cancel: () => undefined }) }
  return {
    name: 'cpu', memory, bus, counter, clock,
    backends: {
      power: { off: () => undefined, reset: () => undefined },
      console: { write: (bytes) => bytes.length, send: () => undefined, more: () => undefined, read: () => 0, listen: () => undefined },
    },
    trace: { enabled: false, warn: () => undefined, event: () => undefined },
    wake: () => undefined,
  }
}
