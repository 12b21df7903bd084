import type { DeviceSpec, IrqRoute } from '@machinist/api'
import { plainData } from '@machinist/registers'
import type { NoBackends } from '../harts.ts'
import { I8259Pair, type I8259State } from './device.ts'

/** Configuration of a pair of 8259A. */
export interface I8259Config {
  /** Whether it has edge/level control registers, as in chip sets with PCI, where ICW1 does not decide; true when absent. */
  readonly elcr: boolean
  /** Name of the CPU part whose hart 0 is interrupted. */
  readonly cpu: string
}

/** The output: the INT pin of the master. */
export type I8259Irq = 'intr'

/**
 * Two 8259A programmable interrupt controllers as in the IBM PC/AT (Intel data sheet, order 231468): the second at input 2 of the first, which
 * nothing else can use. Inputs 0 to 7 are those of the master, 8 to 15 those of the slave. Processors get vectors by `Device.acknowledge`.
 */
export const i8259: DeviceSpec<I8259Config, I8259State, I8259Irq, NoBackends> = {
  kind: 'i8259',
  stateVersion: 1,
  backends: {},
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const config: I8259Config = { elcr: data.boolean('elcr', true), cpu: data.string('cpu', 'cpu') }
    data.done()
    return config
  },
  regions: ({ elcr }) => [
    { name: 'master', size: 2, space: 'pio', at: 0x20 },
    { name: 'slave', size: 2, space: 'pio', at: 0xa0 },
    ...(elcr ? [{ name: 'elcr', size: 2, space: 'pio', at: 0x4d0 } as const] : []),
  ],
  irqs: () => ['intr'],
  inputs: () => 16,
  defaultRoute: (_irq, { cpu }): IrqRoute => ({ to: cpu, line: 'hart0.intr' }),
  create: (config, context) => new I8259Pair(config, context),
  describe(_config, { regions }, { acpi }) {
    acpi?.legacyControllers()
    acpi?.device('PIC', 'PNP0000').set('_CRS', { resources: regions.map(({ base, size }) => ({ ports: base, size })) })
  },
}
