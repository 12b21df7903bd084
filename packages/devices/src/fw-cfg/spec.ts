import type { DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { socNode } from '../describe.ts'
import { FwCfg, type FwCfgState } from './device.ts'
import { memory, ports } from './registers.ts'

/** Configuration of a {@link fwCfg}. */
export interface FwCfgConfig {
  /** Where it is: in ports, as in PCs, or in memory; ports when absent. */
  readonly space: 'pio' | 'mmio'
}

/** QEMU's firmware configuration device, by which firmware asks for files and facts of its machine (QEMU's docs/specs/fw_cfg.rst): what the machine tells by `Device.firmware`. Items cannot be written. */
export const fwCfg: DeviceSpec<FwCfgConfig, FwCfgState, never, Readonly<Record<never, never>>> = {
  kind: 'fw-cfg',
  stateVersion: 1,
  backends: {},
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const config: FwCfgConfig = { space: data.oneOf('space', ['pio', 'mmio'], 'pio') }
    data.done()
    return config
  },
  regions: ({ space }) => [space === 'pio' ? { name: 'ports', size: ports.size, space, at: 0x510 } : { name: 'registers', size: memory.size, space }],
  irqs: () => [],
  create: ({ space }, context) => new FwCfg(space === 'mmio', context),
  describe({ space }, at, { fdt, acpi }) {
    if (space === 'mmio') {
      if (fdt !== undefined) socNode(fdt, 'fw-cfg', at).set('compatible', 'qemu,fw-cfg-mmio').set('dma-coherent', true)
    } else acpi?.device('FWC', 'QEMU0002').set('_CRS', { resources: at.regions.map(({ base, size }) => ({ ports: base, size })) })
  },
}
