import { type DeviceSpec, PCI_DEVICES, PCI_FUNCTIONS } from '@machinist/api'
import { configureHost, hostRegions, type PciHostConfig, type PciIrq, pciIrqs } from './config.ts'
import { describeHost } from './describe.ts'
import { EcamHost, type PciHostState } from './host.ts'

/**
 * A PCI host bridge as `pci-host-ecam-generic` describes it (PCI Firmware 3.3, 4.1; PCI Express Base 6.0, 7.2.2): ECAM,
 * windows for I/O and memory, one bus with 32 slots, of which the first function of the first is the bridge itself, four interrupt outputs. Its regions are ECAM, I/O, memory,
 * memory beyond 4 GiB if there is some, and the ports of configuration mechanism #1 (PCI 3.0, 3.2.2.3.2) if it has them.
 */
export const pciHost: DeviceSpec<PciHostConfig, PciHostState, PciIrq, Readonly<Record<never, never>>> = {
  kind: 'pci-host',
  stateVersion: 3,
  backends: {},
  configure: configureHost,
  regions: (config) => hostRegions(config).map(({ window: _, ...region }) => region),
  irqs: () => pciIrqs,
  inputs: () => PCI_DEVICES * PCI_FUNCTIONS,
  slots: () => PCI_DEVICES,
  create: (config, context) => new EcamHost(config, context),
  // Version 2 had no ports.
  migrate: (old) => ({ ...old as PciHostState, address: 0 }),
  describe: describeHost,
}
