import type { DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import type { NoBackends } from '../harts.ts'
import { LINTS, MOST_APICS } from '../local-apic/registers.ts'
import { IoApic, type IoApicState } from './device.ts'
import { PINS } from './registers.ts'

/** Configuration of an I/O APIC. */
export interface IoApicConfig {
  /** Harts that the local APICs have, behind whose inputs is that for messages: 1 … 255; 1 when absent. */
  readonly harts: number
  /** Name of the part with the local APICs; `'apic'` when absent. */
  readonly apic: string
  /** 0x20, when absent, has the EOI register; 0x11 has not. */
  readonly version: 0x11 | 0x20
}

/**
 * An I/O APIC with 24 inputs (Intel 82093AA data sheet, order 290566). Its output takes messages to the part with the local APICs; its last input, 24, takes theirs, which are
 * ends of interrupts. Inputs of ISA are 1 to 15 as they are, and that of the timer is 2, as in PCs.
 */
export const ioApic: DeviceSpec<IoApicConfig, IoApicState, 'apic', NoBackends> = {
  kind: 'io-apic',
  stateVersion: 1,
  backends: {},
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const config: IoApicConfig = {
      harts: data.integer('harts', 1, MOST_APICS, 1),
      apic: data.string('apic', 'apic'),
      version: data.oneOf('version', [0x11, 0x20], 0x20),
    }
    data.done()
    return config
  },
  regions: () => [{ name: 'registers', size: 0x1000, space: 'mmio', at: 0xfec0_0000 }],
  irqs: () => ['apic'],
  inputs: () => PINS + 1,
  defaultRoute: (_irq, { apic, harts }) => ({ to: apic, line: harts * LINTS, shared: true }),
  create: (config, context) => new IoApic(config, context),
  systemInterrupt: (line) => line < PINS ? line : undefined,
  describe: ({ version }, { regions }, { acpi }) => { acpi?.ioApic(0, regions[0]?.base ?? 0, 0, version) },
}
