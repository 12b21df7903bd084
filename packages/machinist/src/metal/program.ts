/** What an image of `machinist metal build` runs. */
import { virtDevices } from '@machinist/boards'
import { type MetalHost, type Native, openAppliance } from '@machinist/host-metal'
import type { UplinkHost } from '@machinist/network'
import { backends } from './backends.ts'

declare const native: Native

const NS_PER_MS = 1e6

/** The time and the chance that networks go by. */
function uplinkHost({ loop, entropy }: MetalHost): UplinkHost {
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

const { backend, uplink } = backends()
const { turn } = openAppliance(native, { devices: virtDevices, backend, opened: ({ networks: [network] }, host) => { uplink(network, uplinkHost(host), (text) => { native.print(`${text}\n`) }) } })
for (;;) {
  turn()
  native.jobs()
}
