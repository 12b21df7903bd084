import type { Backend, CharPort } from '@machinist/api'
import type { LinearMemory } from '@machinist/memory'
import { work } from '../src/testing/fake-cpu.ts'
import type { HostLoop, MachineHost } from '../src/index.ts'

/** A host whose time moves when told to, by a step with every look at it, and with the work of fake harts. */
export interface TestHost extends MachineHost {
  readonly loop: HostLoop & { time: number; step: number; readonly waits: number[] }
  /** Runs what is due until nothing is left, or so many turns. Returns the turns. */
  turns(most?: number): number
}

function linearMemory(): LinearMemory {
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

/** One that other threads see. */
export function sharedMemory(maximum: number): LinearMemory {
  const { Memory } = (globalThis as unknown as { readonly WebAssembly: { readonly Memory: new (how: object) => LinearMemory } }).WebAssembly
  return new Memory({ initial: 16, maximum: Math.floor(maximum / 65536), shared: true })
}

export function testHost(extra: Partial<Omit<MachineHost, 'loop'>> = {}): TestHost {
  let queue: { at: number; callback: () => void }[] = []
  let seen = work.instructions
  const loop = {
    time: 0,
    step: 1000,
    waits: [] as number[],
    now: (): number => {
      loop.time += loop.step + (work.instructions - seen) * 100
      seen = work.instructions
      return loop.time
    },
    soon: (callback: () => void): void => { queue.push({ at: 0, callback }) },
    after: (ns: number, callback: () => void): (() => void) => {
      loop.waits.push(ns)
      const entry = { at: loop.time + ns, callback }
      queue.push(entry)
      return () => { queue = queue.filter((each) => each !== entry) }
    },
  }
  return {
    loop,
    linearMemory,
    entropy: { fill: (into) => { into.fill(7) } },
    wallClock: { now: () => 0n },
    ...extra,
    turns(most = 1000) {
      let count = 0
      for (; count < most && queue.length > 0; count++) {
        const first = queue.reduce((best, each) => (each.at < best.at ? each : best))
        queue = queue.filter((each) => each !== first)
        loop.time = Math.max(loop.time, first.at)
        first.callback()
      }
      return count
    },
  }
}

/** A stream that remembers output. */
export function collector(): Backend<CharPort> & { readonly bytes: number[]; readonly text: string; deliver: ((callback: () => void) => void) | null } {
  const bytes: number[] = []
  return {
    kind: 'char',
    bytes,
    deliver: null,
    get text() { return String.fromCharCode(...bytes) },
    connect(deliver) {
      this.deliver = deliver
      return { write: (more) => bytes.push(...more) && more.length, read: () => 0, listen() {} }
    },
  }
}
