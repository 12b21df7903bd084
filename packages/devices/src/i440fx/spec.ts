import type { DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { I440fx, type I440fxState } from './device.ts'
import { FIRST } from './registers.ts'

/** What it switches. */
export type I440fxBackends = { readonly power: 'power' }

/**
 * The host bridge of the 440FX (82441FX PMC data sheet, order 290549), for slot 0 of a PCI host that has no bridge of its own: it has RAM below 1 MiB shadow firmware. Firmware is to lie in memory that ends at 4 GiB, and C0000h to FFFFFh is to be memory.
 * Subsystem numbers are those by which firmware for QEMU knows its machine.
 */
export const i440fx: DeviceSpec<Readonly<Record<never, never>>, I440fxState, never, I440fxBackends> = {
  kind: 'i440fx',
  stateVersion: 1,
  backends: { power: 'power' },
  configure(input, name) {
    plainData(name, input, 'configuration').done()
    return {}
  },
  regions: () => [{ name: 'configuration', size: 0x100 - FIRST, space: 'config' }],
  irqs: () => [],
  pci: () => ({
    vendorId: 0x8086, deviceId: 0x1237, revision: 2, classCode: 0x06_0000, subsystemVendorId: 0x1af4, subsystemId: 0x1100, bars: [], capabilities: [],
    hostBridge: true,
    registers: { region: 0, at: FIRST },
    // Memory is always on, and it is always a bus master (3.2.3).
    command: 0x0006,
  }),
  create: (_config, context) => new I440fx(context),
}
