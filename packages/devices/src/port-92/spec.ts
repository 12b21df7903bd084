import type { DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { Port92, type Port92State } from './device.ts'

/** What it switches. */
export type Port92Backends = { readonly power: 'power' }

/**
 * Port 92h of a PC: a fast reset, and the gate of address line 20, of which its output is the mask (A20M#). Its input is the mask that a keyboard controller asks for;
 * without one A20 is never masked.
 */
export const port92: DeviceSpec<Readonly<Record<never, never>>, Port92State, 'a20m', Port92Backends> = {
  kind: 'port-92',
  stateVersion: 1,
  backends: { power: 'power' },
  configure(input, name) {
    plainData(name, input, 'configuration').done()
    return {}
  },
  regions: () => [{ name: 'port', size: 1, space: 'pio', at: 0x92 }],
  irqs: () => ['a20m'],
  inputs: () => 1,
  defaultRoute: () => ({ to: 'cpu', line: 'hart0.a20m' }),
  create: (_config, context) => new Port92(context),
}
