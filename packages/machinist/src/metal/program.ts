/** What an image of `machinist metal build` runs. */
import { virtDevices } from '@machinist/boards'
import { type Native, openAppliance } from '@machinist/host-metal'
import { backends } from './backends.ts'
import { uplinkHost } from './uplink-host.ts'

declare const native: Native

const { backend, uplink } = backends()
const { turn } = openAppliance(native, { devices: virtDevices, backend, opened: ({ networks: [network] }, host) => { uplink(network, uplinkHost(host), (text) => { native.print(`${text}\n`) }) } })
for (;;) {
  turn()
  native.jobs()
}
