/** What an image of `machinist metal build` runs. */
import { virtDevices } from '@machinist/boards'
import { type Native, openAppliance } from '@machinist/host-metal'
import { backendFor } from './backends.ts'

declare const native: Native

const { turn } = openAppliance(native, { devices: virtDevices, backend: backendFor() })
for (;;) {
  try {
    turn()
  } catch (error) {
    native.print(`\nmachinist: ${error instanceof Error ? `${error.message}\n${error.stack ?? ''}` : String(error)}\n`)
  }
  native.jobs()
}
