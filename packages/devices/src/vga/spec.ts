import type { DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { Vga, type VgaState } from './device.ts'
import { PORTS, WINDOW } from './registers.ts'

/** Configuration of a {@link vga}. */
export interface VgaConfig {
  /** MiB of video memory, a power of two from 1 to 64; 16 when absent. */
  readonly memory: number
}

/** Where its screen is shown. */
export type VgaBackends = { readonly screen: 'display' }

/**
 * A graphics adapter for PCI with all that a VGA has (IBM VGA technical reference, order 042204), in ports and memory by custom, and the display interface of Bochs with a frame buffer behind BAR 0: as QEMU's `VGA`, for which there are firmware and drivers.
 * A screen of text is told as text, too.
 */
export const vga: DeviceSpec<VgaConfig, VgaState, never, VgaBackends> = {
  kind: 'vga',
  stateVersion: 1,
  backends: { screen: 'display' },
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const config: VgaConfig = { memory: data.oneOf('memory', [1, 2, 4, 8, 16, 32, 64], 16) }
    data.done()
    return config
  },
  regions: ({ memory }) => [
    { name: 'frame-buffer', size: memory * 2 ** 20, space: 'mmio' },
    { name: 'registers', size: 0x1000, space: 'mmio' },
    { name: 'window', size: WINDOW.size, space: 'mmio', at: WINDOW.base },
    { name: 'mono', size: PORTS.mono, space: 'pio', at: PORTS.first },
    { name: 'color', size: PORTS.color, space: 'pio', at: PORTS.colorAt },
    { name: 'vbe', size: 4, space: 'pio', at: PORTS.vbe },
  ],
  irqs: () => [],
  pci: () => ({
    vendorId: 0x1234, deviceId: 0x1111, revision: 2, classCode: 0x03_0000, subsystemVendorId: 0x1af4, subsystemId: 0x1100,
    bars: [{ index: 0, type: 'memory32', region: 0 }, { index: 2, type: 'memory32', region: 1 }], capabilities: [],
  }),
  create: ({ memory }, context) => new Vga(memory * 2 ** 20, context),
}
