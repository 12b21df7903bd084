import { machinistError, type FdtCell, type IrqLine, type IrqRoute } from '@machinist/api'

/** What every controller of harts' inputs is told. */
export interface HartsConfig {
  /** How many harts it serves, numbered from 0. */
  readonly harts: number
  /** Name of the CPU part whose inputs the outputs go to. */
  readonly cpu: string
}

/** No backends. */
export type NoBackends = Readonly<Record<never, never>>

/** Harts that one device can serve: the ACLINT has room for 4095 of each register. */
export const maxHarts = 4095

/** The outputs called `hartN.suffix`, by hart. */
export function hartLines(name: string, irq: Readonly<Record<string, IrqLine>>, harts: number, suffix: string): IrqLine[] {
  return Array.from({ length: harts }, (_, hart) => {
    const line = irq[`hart${hart}.${suffix}`]
    if (line === undefined) {
      throw machinistError({
        code: 'irq-missing', part: name, value: `hart${hart}.${suffix}`, remedy: 'Connect every output that irqs(config) names.',
      }, 'an interrupt output is not connected')
    }
    return line
  })
}

/** Every output has its namesake at the CPU. */
export function routeToCpu(irq: string, config: HartsConfig): IrqRoute {
  return { to: config.cpu, line: irq }
}

/** `interrupts-extended`: for each hart, its local interrupts with these causes. */
export function hartInterrupts(harts: number, causes: readonly number[]): FdtCell[] {
  return Array.from({ length: harts }, (_, hart) => causes.flatMap((cause): FdtCell[] => [{ ref: `hart${hart}` }, cause])).flat()
}
