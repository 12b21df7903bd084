import type { DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import type { HartsConfig, NoBackends } from '../harts.ts'
import { LocalApics, type LocalApicsState } from './device.ts'
import { LINTS, localApicOutputs, MESSAGES, MOST_APICS } from './registers.ts'

/** Configuration of local APICs. */
export interface LocalApicConfig extends HartsConfig {
  /** Whether there is x2APIC mode; true when absent. */
  readonly x2apic: boolean
  /** Whether the first is set up as firmware leaves it, so that an 8259A at its LINT0 is heard; false when absent, as after a reset. */
  readonly virtualWire: boolean
  /** Name of the part with the I/O APIC, which is told ends of interrupts; `''`, when absent, for none. */
  readonly ioApic: string
}

/**
 * The outputs: to a hart's inputs of these names, and ends of interrupts to an I/O APIC. `intr` is a level, `nmi`, `smi` and `init` are edges, `sipi` takes messages: the
 * vector of a start-up, which is the page where the hart begins.
 */
export type LocalApicIrq = `hart${number}.${typeof localApicOutputs[number]}` | 'eoi'

/** Where ends of interrupts go: behind the 24 inputs of an I/O APIC. */
export const EOI_INPUT = 24

/**
 * The local APICs of all harts (Intel SDM volume 3, chapter "Advanced Programmable Interrupt Controller"; in newer editions chapter 11, before 10): xAPIC and x2APIC. A hart's own registers are reached by
 * `Device.local`; the region takes messages. Inputs 2n and 2n + 1 are LINT0 and LINT1 of hart n; the last one takes messages of I/O APICs. The timer counts nanoseconds; TSC deadlines
 * are counts of the machine's time counter.
 */
export const localApic: DeviceSpec<LocalApicConfig, LocalApicsState, LocalApicIrq, NoBackends> = {
  kind: 'local-apic',
  stateVersion: 1,
  backends: {},
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const config: LocalApicConfig = {
      harts: data.integer('harts', 1, MOST_APICS, 1),
      cpu: data.string('cpu', 'cpu'),
      x2apic: data.boolean('x2apic', true),
      virtualWire: data.boolean('virtualWire', false),
      ioApic: data.string('ioApic', ''),
    }
    data.done()
    return config
  },
  regions: () => [{ name: 'messages', size: MESSAGES.size, space: 'mmio', at: MESSAGES.base }],
  irqs: ({ harts, ioApic }) => [
    ...localApicOutputs.flatMap((output) => Array.from({ length: harts }, (_, hart): LocalApicIrq => `hart${hart}.${output}`)),
    ...(ioApic === '' ? [] : ['eoi' as const]),
  ],
  inputs: ({ harts }) => harts * LINTS + 1,
  perHart: true,
  defaultRoute: (irq, { cpu, ioApic }) => irq === 'eoi' ? { to: ioApic, line: EOI_INPUT, shared: true } : { to: cpu, line: irq },
  create: (config, context) => new LocalApics(config, context),
  describe({ harts }, _at, { acpi }) {
    for (let hart = 0; hart < harts; hart++) acpi?.processor(hart, hart)
  },
}
