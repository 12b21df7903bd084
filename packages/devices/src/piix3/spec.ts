import type { DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { Piix3, type Piix3State } from './device.ts'
import { FIRST, PIRQS, routable } from './registers.ts'

/** Its outputs: the interrupts of ISA that those of PCI may become. */
export type Piix3Irq = `irq${(typeof routable)[number]}`

/**
 * The bridge to ISA of the 82371SB PIIX3 (data sheet, order 290550), function 0: it routes PIRQA to PIRQD, its inputs, to interrupts of ISA. What else is on that chip are devices of their own.
 * `systemInterrupt` is where SeaBIOS routes them, since systems with ACPI are told by static tables.
 */
export const piix3: DeviceSpec<Readonly<Record<never, never>>, Piix3State, Piix3Irq, Readonly<Record<never, never>>> = {
  kind: 'piix3',
  stateVersion: 1,
  backends: {},
  configure(input, name) {
    plainData(name, input, 'configuration').done()
    return {}
  },
  regions: () => [{ name: 'configuration', size: 0x100 - FIRST, space: 'config' }],
  irqs: () => routable.map((line): Piix3Irq => `irq${line}`),
  inputs: () => PIRQS,
  systemInterrupt: (line) => firmwareRoutes[line],
  pci: () => ({
    vendorId: 0x8086, deviceId: 0x7000, revision: 0, classCode: 0x06_0100, subsystemVendorId: 0x1af4, subsystemId: 0x1100, bars: [], capabilities: [],
    registers: { region: 0, at: FIRST },
    // Cycles are always on, and it is always a bus master (2.2.3).
    command: 0x0007,
    pin: false,
  }),
  create: (_config, context) => new Piix3(context),
}

const firmwareRoutes: readonly number[] = [10, 10, 11, 11]
