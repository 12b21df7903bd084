import type { DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { socNode } from '../describe.ts'
import { Vmgenid, type VmgenidState } from './device.ts'

/** Where generation IDs come from. */
export type VmgenidBackends = { readonly entropy: 'entropy' }

/**
 * A virtual machine's generation ID, as the device-tree binding `microsoft,vmgenid` has it: 16 bytes that are another number in each copy of a
 * machine, and an interrupt that says so. Linux, from 6.10 on, gives its generator of random numbers a new seed then. It has no configuration.
 */
export const vmgenid: DeviceSpec<Readonly<Record<never, never>>, VmgenidState, 'changed', VmgenidBackends> = {
  kind: 'vmgenid',
  stateVersion: 1,
  backends: { entropy: 'entropy' },
  configure(input, name) {
    plainData(name, input, 'configuration').done()
    return {}
  },
  regions: () => [{ name: 'id', size: 0x1000, space: 'mmio' }],
  irqs: () => ['changed'],
  create: (_config, context) => new Vmgenid(context),
  describe(_config, at, out) {
    if (out.fdt !== undefined) socNode(out.fdt, 'rng', at).set('compatible', 'microsoft,vmgenid')
  },
}
