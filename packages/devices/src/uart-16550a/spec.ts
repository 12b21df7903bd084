import { machinistError, type DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { isaResources, socNode } from '../describe.ts'
import { Uart16550a, type Uart16550aState } from './device.ts'
import { uartShortcuts } from './shortcuts.ts'

/** Configuration of a 16550A. */
export interface Uart16550aConfig {
  /** Where its registers are: in memory, when absent, or in ports, from 0x3f8 on unless given, as the first serial line of a PC. */
  readonly space: 'mmio' | 'pio'
  /** Input clock in hertz, 16 times the baud rate with divisor 1; 3 686 400 when absent, and 1 843 200 in ports, as in a PC. */
  readonly clockFrequency: number
  /** Registers are 2^regShift bytes apart, 0 … 4; 0 when absent. Ports follow one another. */
  readonly regShift: number
  /** Bytes of an access that drivers are told to use: 1, 2 or 4, at most 2^regShift; 1 when absent. */
  readonly regIoWidth: 1 | 2 | 4
}

/** The other end of the line. */
export type UartBackends = { readonly console: 'char' }

/**
 * The UART 16550A, as in the PC16550D's data sheet. Output goes to the host as fast as it takes it, and input waits there
 * until the guest has room: the baud rate paces only the character timeout.
 */
export const uart16550a: DeviceSpec<Uart16550aConfig, Uart16550aState, 'interrupt', UartBackends> = {
  kind: 'uart-16550a',
  stateVersion: 3,
  backends: { console: 'char' },
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const space = data.oneOf('space', ['mmio', 'pio'], 'mmio')
    const config: Uart16550aConfig = {
      space,
      clockFrequency: data.integer('clockFrequency', 1, 0xffff_ffff, space === 'pio' ? 1_843_200 : 3_686_400),
      regShift: data.integer('regShift', 0, space === 'pio' ? 0 : 4, 0),
      regIoWidth: data.oneOf('regIoWidth', [1, 2, 4], 1),
    }
    data.done()
    if (config.regIoWidth > 2 ** config.regShift) {
      throw machinistError({
        code: 'config', part: `${name}.regIoWidth`, value: config.regIoWidth,
        remedy: `Use at most ${2 ** config.regShift}, or a greater regShift.`,
      }, 'an access would cover several registers')
    }
    return config
  },
  regions: ({ space }) => [space === 'pio' ? { name: 'ports', size: 8, space, at: 0x3f8 } : { name: 'registers', size: 0x100, space }],
  irqs: () => ['interrupt'],
  shortcuts: ({ space, regShift, regIoWidth }) => space === 'pio' ? [] : uartShortcuts.map(({ kind, register }) => ({ kind, offset: register << regShift, width: regIoWidth })),
  create: (config, context) => new Uart16550a(config, context),
  // Version 1 had the time of the timeout instead of what is left until then.
  migrate(old) {
    const { timeoutAt = -1, ...rest } = old as { readonly timeoutAt?: number }
    return { ...rest, timeoutLeft: Math.min(timeoutAt, 0) } as Uart16550aState
  },
  describe(config, at, out) {
    if (config.space === 'pio') out.acpi?.device('COM', 'PNP0501').set('_CRS', { resources: isaResources(at) })
    if (out.fdt === undefined || config.space === 'pio') return
    const node = socNode(out.fdt, 'serial', at)
      .set('compatible', 'ns16550a')
      .set('clock-frequency', config.clockFrequency)
    if (config.regShift !== 0) node.set('reg-shift', config.regShift)
    if (config.regIoWidth !== 1) node.set('reg-io-width', config.regIoWidth)
  },
}
