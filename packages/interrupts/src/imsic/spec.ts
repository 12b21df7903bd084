import { type DeviceSpec, machinistError } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { type HartsConfig, maxHarts, type NoBackends, routeToCpu } from '../harts.ts'
import { describeImsic } from './describe.ts'
import { Imsic, type ImsicState } from './device.ts'
import { filePage } from './registers.ts'

/** Configuration of IMSICs. */
export interface ImsicConfig extends HartsConfig {
  /** Identities of the harts' interrupt files, as the CPU's configuration has them: 63 … 2047, one less than a multiple of 64; 255 when absent. */
  readonly identities: number
}

/** The outputs: messages to each hart's interrupt file for supervisor mode. */
export type ImsicIrq = `hart${number}.simsic`

/** The outputs in the order of the pages. */
export function imsicIrqs({ harts }: ImsicConfig): readonly ImsicIrq[] {
  return Array.from({ length: harts }, (_, hart): ImsicIrq => `hart${hart}.simsic`)
}

/**
 * The supervisor-level IMSICs of all harts (AIA 1.0, chapter 3): a page for each hart, in order, where devices and harts write the
 * identity of an interrupt. The interrupt files behind the pages are part of the harts.
 */
export const imsic: DeviceSpec<ImsicConfig, ImsicState, ImsicIrq, NoBackends> = {
  kind: 'imsic',
  stateVersion: 1,
  backends: {},
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const config: ImsicConfig = {
      harts: data.integer('harts', 1, maxHarts, 1),
      identities: data.integer('identities', 63, 2047, 255),
      cpu: data.string('cpu', 'cpu'),
    }
    data.done()
    if (config.identities % 64 !== 63) {
      throw machinistError({ code: 'config', part: `${name}.identities`, value: config.identities, remedy: 'Use one less than a multiple of 64.' }, 'not a size of interrupt files')
    }
    return config
  },
  regions: ({ harts }) => [{ name: 'files', size: harts * filePage, space: 'mmio' }],
  irqs: imsicIrqs,
  perHart: true,
  shortcuts: ({ harts }) => Array.from({ length: harts }, (_, hart) => ({ kind: 'doorbell', offset: hart * filePage, width: 4 })),
  defaultRoute: (irq, config) => ({ ...routeToCpu(irq, config), shared: true }),
  create: (config, context) => new Imsic(config, context),
  describe: describeImsic,
}
