import type { DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { type HartsConfig, maxHarts, type NoBackends, routeToCpu } from '../harts.ts'
import { describeAplic } from './describe.ts'
import { Aplic, type AplicState } from './device.ts'
import { aplicSize } from './registers.ts'

/** Configuration of an APLIC. */
export interface AplicConfig extends HartsConfig {
  /** Interrupt sources, numbered from 1: 1 … 1023; 95 when absent. */
  readonly sources: number
  /** Name of the part with the harts' IMSICs, which the device tree names; `'imsic'` when absent. */
  readonly imsic: string
}

/** The outputs: messages to each hart's interrupt file for supervisor mode. */
export type AplicIrq = `hart${number}.simsic`

/** Senses of an input in the second cell of a device-tree interrupt (binding `riscv,aplic`): active high. */
const LEVEL_HIGH = 4

/**
 * An Advanced PLIC (AIA 1.0, chapter 4): one supervisor-level domain, in MSI delivery mode alone, that knows its harts' interrupt files
 * as if machine-mode firmware had told it. Its inputs are the sources; input 0 is never used.
 */
export const aplic: DeviceSpec<AplicConfig, AplicState, AplicIrq, NoBackends> = {
  kind: 'aplic',
  stateVersion: 1,
  backends: {},
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const config: AplicConfig = {
      sources: data.integer('sources', 1, 1023, 95),
      harts: data.integer('harts', 1, maxHarts, 1),
      imsic: data.string('imsic', 'imsic'),
      cpu: data.string('cpu', 'cpu'),
    }
    data.done()
    return config
  },
  regions: () => [{ name: 'domain', size: aplicSize, space: 'mmio' }],
  irqs: ({ harts }) => Array.from({ length: harts }, (_, hart): AplicIrq => `hart${hart}.simsic`),
  inputs: ({ sources }) => sources + 1,
  inputCells: (line) => [line, LEVEL_HIGH],
  perHart: true,
  defaultRoute: (irq, config) => ({ ...routeToCpu(irq, config), shared: true }),
  create: (config, context) => new Aplic(config, context),
  describe: describeAplic,
}
