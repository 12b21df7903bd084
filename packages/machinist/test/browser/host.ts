/** What a page offers to a machine: the whole of a host for browsers, as far as a machine needs one. */
import type { MachineHost } from '@machinist/machine'

const WASM_PAGE = 65536

/** As browsers have them: those of Node.js have other types. */
declare class MessageChannel {
  readonly port1: { onmessage: () => void }
  readonly port2: { postMessage(message: null): void }
}
declare const WebAssembly: { readonly Memory: new (limits: { readonly initial: number; readonly maximum: number; readonly shared: boolean }) => ReturnType<MachineHost['linearMemory']> }

/** The page must be isolated from other origins, or there is no shared memory. */
export function browserHost(): MachineHost {
  const { port1, port2 } = new MessageChannel()
  const waiting: (() => void)[] = []
  port1.onmessage = () => { waiting.shift()?.() }
  return {
    loop: {
      now: () => Math.floor(performance.now() * 1e6),
      // Sooner than a timer, which browsers hold back for some milliseconds.
      soon(callback) {
        waiting.push(callback)
        port2.postMessage(null)
      },
      after(ns, callback) {
        const timer = setTimeout(callback, Math.min(2 ** 31 - 1, ns / 1e6))
        return () => { clearTimeout(timer) }
      },
    },
    linearMemory: (maximum) => new WebAssembly.Memory({ initial: 16, maximum: Math.floor(maximum / WASM_PAGE), shared: true }),
    maximumMemory: 2 ** 30,
    entropy: { fill(into) { crypto.getRandomValues(into as Uint8Array<ArrayBuffer>) } },
    wallClock: { now: () => BigInt(Date.now()) * 1_000_000n },
  }
}
