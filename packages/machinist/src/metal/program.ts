/** What an image of `machinist metal build` runs. */
import { virtDevices } from '@machinist/boards'
import { type Native, openAppliance } from '@machinist/host-metal'
import { backends } from './backends.ts'

declare const native: Native

const { backend, uplink } = backends()
const { turn } = openAppliance(native, { devices: virtDevices, backend, opened: ({ networks }, { loop }) => { uplink(networks, (callback) => { loop.soon(callback) }) } })
for (;;) {
  turn()
  native.jobs()
}
