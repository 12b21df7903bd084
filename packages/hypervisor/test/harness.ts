import type { Catalogue, HostLoop, MachineHost } from '@machinist/machine'
import { fakeCpu, gadget, hub, testMachine, work } from '@machinist/machine/testing'
import { createHypervisor, type HypervisorEvent, type HypervisorOptions, localChannel, type MachineSpec, type OwnHypervisor, type ProcessorOptions, runProcessor, type FromProcessor, type ToProcessor } from '../src/index.ts'

/** An instruction of the fake harts takes so many nanoseconds, and a look at the clock. */
export const INSTRUCTION = 1000
const LOOK = 20

export interface TestLoop extends HostLoop {
  time: number
  /** Callbacks that have their time, or come as soon as may be. */
  readonly waiting: number
  /** One turn: what waits, then what is due. Time goes to the next timer when there is nothing else. */
  turn(): void
}

/** An event loop whose time is that of the work of fake harts, so that a run is the same each time. */
export function testLoop(): TestLoop {
  let soon: (() => void)[] = []
  let timers: { readonly at: number; readonly callback: () => void }[] = []
  let seen = work.instructions
  return {
    time: 0,
    get waiting() { return soon.length + timers.length },
    now() {
      this.time += LOOK + (work.instructions - seen) * INSTRUCTION
      seen = work.instructions
      return this.time
    },
    soon(callback) { soon.push(callback) },
    after(ns, callback) {
      const entry = { at: this.time + ns, callback }
      timers.push(entry)
      return () => { timers = timers.filter((each) => each !== entry) }
    },
    turn() {
      const batch = soon
      soon = []
      for (const callback of batch) callback()
      if (soon.length === 0 && timers.length > 0) this.time = Math.max(this.time, Math.min(...timers.map(({ at }) => at)))
      const due = timers.filter(({ at }) => at <= this.time).sort((one, other) => one.at - other.at)
      for (const entry of due) {
        // One may cancel another.
        if (!timers.includes(entry)) continue
        timers = timers.filter((each) => each !== entry)
        entry.callback()
      }
    },
  }
}

function linearMemory(): ReturnType<MachineHost['linearMemory']> {
  let buffer = new ArrayBuffer(1 << 20)
  return {
    get buffer() { return buffer },
    grow(pages) {
      const before = buffer
      buffer = new ArrayBuffer(before.byteLength + pages * 65536)
      new Uint8Array(buffer).set(new Uint8Array(before))
      return before.byteLength / 65536
    },
  }
}

export const catalogue: Catalogue = [fakeCpu, gadget, hub]

export function spec(name: string, words: readonly number[], more: Partial<MachineSpec> = {}): MachineSpec {
  return { name, machine: testMachine(words), ...more }
}

/** The host of machines in the time of a loop. */
export function testHost(loop: HostLoop): MachineHost {
  return { loop, linearMemory, entropy: { fill: (into) => { into.fill(7) } }, wallClock: { now: () => 0n } }
}

export interface TestFleet {
  readonly hypervisor: OwnHypervisor
  readonly loop: TestLoop
  readonly events: HypervisorEvent[]
  /** Ends a processor, as a thread that dies does. */
  kill(index: number): void
  /** Turns the loop until a promise is settled. */
  wait<T>(promise: Promise<T>): Promise<T>
  /** Turns the loop for so many nanoseconds. */
  run(ns: number): Promise<void>
  /** Turns the loop until something is so. */
  until(what: () => boolean | Promise<boolean>): Promise<void>
}

/** A hypervisor with its processors in this thread and time. Each has what it is given, or what is made for it. */
export function fleet(options: Partial<HypervisorOptions> = {}, processor: Partial<ProcessorOptions> | (() => Partial<ProcessorOptions>) = {}, opening: (index: number) => void = () => {}): TestFleet {
  const loop = testLoop()
  const ends: (() => void)[] = []
  const host = testHost(loop)
  const hypervisor = createHypervisor({
    loop,
    open(index) {
      opening(index)
      const [mine, its] = localChannel<ToProcessor, FromProcessor>(loop)
      ends[index] = runProcessor(its, { host, catalogue, ...(typeof processor === 'function' ? processor() : processor) })
      return mine
    },
    ...options,
  })
  const events: HypervisorEvent[] = []
  hypervisor.on((event) => { events.push(event) })
  const step = async (): Promise<void> => {
    loop.turn()
    // What was promised has its say.
    for (let i = 0; i < 30; i++) await Promise.resolve()
  }
  return {
    hypervisor,
    loop,
    events,
    kill(index) { ends[index]?.() },
    async wait(promise) {
      let settled = false
      void promise.catch(() => {}).finally(() => { settled = true })
      for (let i = 0; i < 100_000 && !settled; i++) await step()
      if (!settled) throw new Error('it never comes')
      return promise
    },
    async run(ns) {
      const end = loop.time + ns
      while (loop.time < end) await step()
    },
    async until(what) {
      for (let i = 0; i < 100_000; i++) {
        if (await what()) return
        await step()
      }
      throw new Error('it is never so')
    },
  }
}

/** What a console said. */
export function listener(): { text: string; closed: boolean; readonly to: { output(bytes: Uint8Array): void; closed(): void } } {
  const heard = { text: '', closed: false, to: { output(bytes: Uint8Array) { heard.text += String.fromCharCode(...bytes) }, closed() { heard.closed = true } } }
  return heard
}

