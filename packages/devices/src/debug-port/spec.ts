import type { DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { DebugPort, type DebugPortState } from './device.ts'

/** Where its text goes. */
export type DebugPortBackends = { readonly console: 'char' }

/** A port to which firmware writes what it does, 402h unless the definition says another: that of SeaBIOS and OVMF. */
export const debugPort: DeviceSpec<Readonly<Record<never, never>>, DebugPortState, never, DebugPortBackends> = {
  kind: 'debug-port',
  stateVersion: 1,
  backends: { console: 'char' },
  configure(input, name) {
    plainData(name, input, 'configuration').done()
    return {}
  },
  regions: () => [{ name: 'port', size: 1, space: 'pio', at: 0x402 }],
  irqs: () => [],
  create: (_config, context) => new DebugPort(context),
}
