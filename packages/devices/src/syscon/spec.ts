import type { DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { socNode } from '../describe.ts'
import { Syscon, type SysconState } from './device.ts'
import { finish } from './registers.ts'

/** What it switches. */
export type SysconBackends = { readonly power: 'power' }

/**
 * Power off and reset by a write: 0x5555 ends the machine with status 0, 0x3333 with the status in bits 31:16 (1 if that
 * is 0), 0x7777 resets it. It has no configuration.
 */
export const syscon: DeviceSpec<Readonly<Record<never, never>>, SysconState, never, SysconBackends> = {
  kind: 'syscon',
  stateVersion: 1,
  backends: { power: 'power' },
  configure(input, name) {
    plainData(name, input, 'configuration').done()
    return {}
  },
  regions: () => [{ name: 'registers', size: 0x1000, space: 'mmio' }],
  irqs: () => [],
  create: (_config, context) => new Syscon(context),
  describe(_config, at, out) {
    if (out.fdt === undefined) return
    socNode(out.fdt, 'test', at).set('compatible', ['sifive,test1', 'sifive,test0', 'syscon'])
    for (const [name, value] of [['poweroff', finish.pass], ['reboot', finish.reset]] as const) {
      out.fdt.child(name)
        .set('compatible', `syscon-${name}`)
        .set('regmap', [{ ref: at.name }])
        .set('offset', 0)
        .set('value', value)
    }
  },
}
