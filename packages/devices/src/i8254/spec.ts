import type { DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { systemInterrupt } from '../describe.ts'
import { I8254, type I8254State } from './device.ts'

/**
 * The 8254 programmable interval timer of a PC (Intel data sheet, order 231164), with port B, which has the gate of counter 2 and the speaker. Its
 * output is that of counter 0. What an idle counter costs is nothing: counts follow from virtual time.
 */
export const i8254: DeviceSpec<Readonly<Record<never, never>>, I8254State, 'out0', Readonly<Record<never, never>>> = {
  kind: 'i8254',
  stateVersion: 1,
  backends: {},
  configure(input, name) {
    plainData(name, input, 'configuration').done()
    return {}
  },
  regions: () => [{ name: 'counters', size: 4, space: 'pio', at: 0x40 }, { name: 'port-b', size: 1, space: 'pio', at: 0x61 }],
  irqs: () => ['out0'],
  create: (_config, context) => new I8254(context),
  describe(_config, { regions, irqs }, { acpi }) {
    acpi?.device('TIM', 'PNP0100').set('_CRS', { resources: regions.map(({ base, size }) => ({ ports: base, size })) })
    const interrupt = systemInterrupt(irqs)
    // Systems take it for interrupt 0 of ISA.
    if (interrupt !== undefined && interrupt !== 0) acpi?.override(0, interrupt, false)
  },
}
