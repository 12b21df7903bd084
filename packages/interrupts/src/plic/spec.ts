import type { DeviceSpec, ShortcutSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { maxHarts, routeToCpu, type HartsConfig, type NoBackends } from '../harts.ts'
import { describePlic } from './describe.ts'
import { Plic, type PlicState } from './device.ts'
import { plicRegisters, plicSize } from './registers.ts'

/** Configuration of a PLIC. */
export interface PlicConfig extends HartsConfig {
  /** Interrupt sources, numbered from 1: 1 … 1023; 95 when absent. */
  readonly sources: number
  /** Modes that have a context, in order, on each hart: `'MS'` (when absent), `'M'` or `'S'`. */
  readonly modes: 'MS' | 'M' | 'S'
  /** Bits of a priority, 1 … 32; 3 when absent, which gives priorities up to 7. */
  readonly priorityBits: number
}

/** The outputs: a hart's external interrupts for machine and supervisor mode. */
export type PlicIrq = `hart${number}.meip` | `hart${number}.seip`

/** The outputs in the order of the contexts. */
export function plicIrqs({ harts, modes }: PlicConfig): readonly PlicIrq[] {
  return Array.from({ length: harts }, (_, hart) => [...modes].map((mode): PlicIrq => mode === 'M' ? `hart${hart}.meip` : `hart${hart}.seip`)).flat()
}

/** Of each context in turn: that there is nothing to claim, and completions. */
function plicShortcuts(config: PlicConfig): readonly ShortcutSpec[] {
  const { CLAIM } = plicRegisters
  return plicIrqs(config).flatMap((_, context): ShortcutSpec[] => {
    const at = { offset: CLAIM.offset + context * CLAIM.stride, width: 4 } as const
    return [{ kind: 'shadow', ...at }, { kind: 'gathered', ...at }]
  })
}

/**
 * The RISC-V Platform-Level Interrupt Controller, specification 1.0.0, with level-triggered gateways. Its inputs are
 * the sources; input 0 is never used. Contexts are numbered hart by hart: hart 0 M, hart 0 S, hart 1 M, ….
 */
export const plic: DeviceSpec<PlicConfig, PlicState, PlicIrq, NoBackends> = {
  kind: 'plic',
  stateVersion: 1,
  backends: {},
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const config: PlicConfig = {
      sources: data.integer('sources', 1, 1023, 95),
      harts: data.integer('harts', 1, maxHarts, 1),
      modes: data.oneOf('modes', ['MS', 'M', 'S'], 'MS'),
      priorityBits: data.integer('priorityBits', 1, 32, 3),
      cpu: data.string('cpu', 'cpu'),
    }
    data.done()
    return config
  },
  regions: () => [{ name: 'registers', size: plicSize, space: 'mmio' }],
  irqs: plicIrqs,
  shortcuts: plicShortcuts,
  inputs: ({ sources }) => sources + 1,
  perHart: true,
  defaultRoute: routeToCpu,
  create: (config, context) => new Plic(config, context),
  describe: describePlic,
}
