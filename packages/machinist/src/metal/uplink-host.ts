import type { MetalHost } from '@machinist/host-metal'
import type { UplinkHost } from '@machinist/network'

const NS_PER_MS = 1e6

/** The time and the chance that networks go by. */
export function uplinkHost({ loop, entropy }: MetalHost): UplinkHost {
  const word = new Uint32Array(1)
  return {
    deliver: (callback) => { loop.soon(callback) },
    now: () => loop.now() / NS_PER_MS,
    after: (milliseconds, callback) => loop.after(milliseconds * NS_PER_MS, callback),
    random: () => {
      entropy?.fill(new Uint8Array(word.buffer))
      return word[0] ?? 0
    },
  }
}
