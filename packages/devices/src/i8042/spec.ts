import type { DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { systemInterrupt } from '../describe.ts'
import { I8042, type I8042State } from './device.ts'

/** Its outputs: interrupts of keyboard and mouse, and the mask of A20, which is for a {@link port92}. */
export type I8042Irq = 'keyboard' | 'mouse' | 'a20m'
/** Keys and pointer come from a host; it may reset the machine. */
export type I8042Backends = { readonly keyboard: 'input'; readonly mouse: 'input'; readonly power: 'power' }

/** The keyboard controller of a PC with a keyboard and a mouse of the PS/2 (PS/2 technical reference): scan codes of set 2, which the controller translates to set 1; a mouse with a wheel. */
export const i8042: DeviceSpec<Readonly<Record<never, never>>, I8042State, I8042Irq, I8042Backends> = {
  kind: 'i8042',
  stateVersion: 1,
  backends: { keyboard: 'input', mouse: 'input', power: 'power' },
  configure(input, name) {
    plainData(name, input, 'configuration').done()
    return {}
  },
  regions: () => [{ name: 'data', size: 1, space: 'pio', at: 0x60 }, { name: 'command', size: 1, space: 'pio', at: 0x64 }],
  irqs: () => ['keyboard', 'mouse', 'a20m'],
  create: (_config, context) => new I8042(context),
  describe(_config, { regions, irqs }, { acpi }) {
    const interrupt = (name: I8042Irq): { interrupt: number; level: false }[] => {
      const number = systemInterrupt(irqs.filter(({ irq }) => irq === name))
      return number === undefined ? [] : [{ interrupt: number, level: false }]
    }
    acpi?.device('KBD', 'PNP0303').set('_CRS', { resources: [...regions.map(({ base, size }) => ({ ports: base, size })), ...interrupt('keyboard')] })
    acpi?.device('MOU', 'PNP0F13').set('_CRS', { resources: interrupt('mouse') })
  },
}
