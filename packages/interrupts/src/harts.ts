import { machinistError, type FdtCell, type FdtNode, type IrqLine, type IrqRoute, type Resolved } from '@machinist/api'

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

/** Stands for no interrupt in `interrupts-extended`, where places count (binding `sifive,plic-1.0.0`). */
const NO_INTERRUPT = 0xffff_ffff

/** Adds `interrupts-extended`: where each of these outputs goes, in order. Those that go nowhere keep their places, with a cause of all ones. */
export function describeOutputs(node: FdtNode, at: Resolved, outputs: readonly string[]): void {
  const routes = outputs.map((output) => at.irqs.find(({ irq, cells }) => irq === output && cells.length > 0))
  const known = routes.find((route) => route !== undefined)
  if (known === undefined) return
  node.set('interrupts-extended', routes.flatMap((route): FdtCell[] =>
    route === undefined ? [{ ref: known.ref }, ...known.cells.map(() => NO_INTERRUPT)] : [{ ref: route.ref }, ...route.cells]))
}
