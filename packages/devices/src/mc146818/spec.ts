import type { DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import type { RtcBackends } from '../goldfish-rtc/spec.ts'
import { isaResources } from '../describe.ts'
import { Mc146818, type Mc146818State } from './device.ts'

/** The real-time clock of a PC (Motorola MC146818A data sheet, order ADI1014R1) with its 128 bytes, behind ports 70h and 71h. */
export const mc146818: DeviceSpec<Readonly<Record<never, never>>, Mc146818State, 'interrupt', RtcBackends> = {
  kind: 'mc146818',
  stateVersion: 1,
  backends: { clock: 'wallClock' },
  configure(input, name) {
    plainData(name, input, 'configuration').done()
    return {}
  },
  regions: () => [{ name: 'ports', size: 2, space: 'pio', at: 0x70 }],
  irqs: () => ['interrupt'],
  create: (_config, context) => new Mc146818(context),
  describe: (_config, at, { acpi }) => { acpi?.device('RTC', 'PNP0B00').set('_CRS', { resources: isaResources(at) }) },
}
