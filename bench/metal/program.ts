/** What the images of the benchmark run: as those of `machinist metal build`, but disks are in memory, so that what is counted is a machine's, whatever the hardware's disk costs. */
import { virtDevices } from '../../packages/boards/src/index.ts'
import { type Native, openAppliance } from '../../packages/host-metal/src/index.ts'
import { memoryDisk } from '../../packages/storage/src/index.ts'
import { backends } from '../../packages/machinist/src/metal/backends.ts'

declare const native: Native

const { backend } = backends()
const { turn } = openAppliance(native, { devices: virtDevices, backend: (descriptor, kind, part) => kind === 'block' ? memoryDisk(2 ** 20) : backend(descriptor, kind, part) })
for (;;) {
  turn()
  native.jobs()
}
