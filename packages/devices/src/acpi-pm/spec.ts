import type { DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { systemInterrupt } from '../describe.ts'
import { AcpiPm, type AcpiPmState } from './device.ts'
import { PM_BLOCK, PM_SIZE, RESET, SLEEP_OFF } from './registers.ts'

/** What it switches, and the button at it. */
export type AcpiPmBackends = { readonly power: 'power'; readonly button: 'input' }

/**
 * The fixed hardware of ACPI (ACPI 6.5, 4.8): PM1 event and control registers with a power button and "off" (SLP_TYP 5), the power management timer with 32 bits, and a reset register at the port where chip sets of
 * PCs have it. It is in ACPI mode from the beginning.
 */
export const acpiPm: DeviceSpec<Readonly<Record<never, never>>, AcpiPmState, 'sci', AcpiPmBackends> = {
  kind: 'acpi-pm',
  stateVersion: 1,
  backends: { power: 'power', button: 'input' },
  configure(input, name) {
    plainData(name, input, 'configuration').done()
    return {}
  },
  regions: () => [{ name: 'power', size: PM_SIZE, space: 'pio', at: 0x600 }, { name: 'reset', size: 1, space: 'pio', at: 0xcf9 }],
  irqs: () => ['sci'],
  create: (_config, context) => new AcpiPm(context),
  describe(_config, at, { acpi }) {
    const [power, reset] = at.regions
    const interrupt = systemInterrupt(at.irqs)
    if (acpi === undefined || power === undefined || reset === undefined || interrupt === undefined) return
    const base = power.base
    acpi.fixedHardware({
      interrupt, events: base + PM_BLOCK.events, control: base + PM_BLOCK.control, timer: base + PM_BLOCK.timer, off: SLEEP_OFF, reset: { port: reset.base, value: RESET.system },
    })
    // It is a level, which those of ISA are not.
    acpi.override(interrupt, interrupt, true)
  },
}
