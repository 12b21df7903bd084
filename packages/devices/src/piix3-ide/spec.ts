import { type DeviceSpec, machinistError } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { Piix3Ide, type Piix3IdeState } from './device.ts'
import type { IdeDrive, IdePlace, Piix3IdeBackends, Piix3IdeConfig, Piix3IdeIrq } from './places.ts'
import { FIRST } from './registers.ts'

/**
 * The IDE controller of the 82371SB PIIX3 (data sheet, order 290550), function 1: two channels at the ports that PCs have them at, with bus masters, and up to four disks and CD-ROM drives (ATA/ATAPI-6, MMC-3).
 */
export const piix3Ide: DeviceSpec<Piix3IdeConfig, Piix3IdeState, Piix3IdeIrq, Piix3IdeBackends> = {
  kind: 'piix3-ide',
  stateVersion: 1,
  redoesRequests: true,
  backends: { primaryMaster: 'block', primarySlave: 'block', secondaryMaster: 'block', secondarySlave: 'block' },
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const drive = (place: IdePlace): IdeDrive => data.oneOf(place, ['none', 'disk', 'cdrom'], 'none')
    const config: Piix3IdeConfig = { primaryMaster: drive('primaryMaster'), primarySlave: drive('primarySlave'), secondaryMaster: drive('secondaryMaster'), secondarySlave: drive('secondarySlave') }
    data.done()
    for (const [first, second] of [['primaryMaster', 'primarySlave'], ['secondaryMaster', 'secondarySlave']] as const) {
      if (config[first] === 'none' && config[second] !== 'none') throw machinistError({ code: 'config', part: `${name}.${first}`, value: 'none', remedy: `Give ${first} a drive before ${second}.` }, 'a cable has a second drive, and no first')
    }
    return config
  },
  regions: () => [
    { name: 'configuration', size: 0x100 - FIRST, space: 'config' },
    { name: 'bus master', size: 16, space: 'pio' },
    { name: 'primary', size: 8, space: 'pio', at: 0x1f0 },
    { name: 'primary control', size: 1, space: 'pio', at: 0x3f6 },
    { name: 'secondary', size: 8, space: 'pio', at: 0x170 },
    { name: 'secondary control', size: 1, space: 'pio', at: 0x376 },
  ],
  irqs: () => ['irq14', 'irq15'],
  pci: () => ({
    // Its channels are at the ports of custom, and it is a bus master (2.3.6).
    vendorId: 0x8086, deviceId: 0x7010, revision: 0, classCode: 0x01_0180, subsystemVendorId: 0x1af4, subsystemId: 0x1100,
    bars: [{ index: 4, type: 'io', region: 1 }], capabilities: [],
    registers: { region: 0, at: FIRST },
    pin: false,
  }),
  create: (config, context) => new Piix3Ide(config, context),
}
