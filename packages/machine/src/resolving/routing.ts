import { machinistError, pciInput } from '@machinist/api'
import { CPU_PART, type IrqChoice, type IrqConnection } from '../definition/definition.ts'
import type { ConfiguredDevice } from './resolve.ts'
import type { ResolvedSlot } from './slots.ts'

/** One wire from an output to an input. */
export interface Wire {
  readonly irq: string
  readonly to: string
  readonly line: number | string
  readonly shared: boolean
}

/** Which outputs a choice is for: a list and a connection are for the only one. */
function isPerIrq(irq: unknown): irq is Readonly<Record<string, IrqChoice>> {
  return typeof irq === 'object' && irq !== null && !Array.isArray(irq) && !('line' in irq)
}

/** Inputs are given out from here: input 0 of a PLIC does not exist, and of others is often special. */
const FIRST_INPUT = 1

/**
 * Routes every interrupt output: that of a PCI device to its host; others as the definition says, else as the spec does by default, else, in the order of the
 * definition, to the lowest free input of the default controller.
 *
 * @throws typed errors `'bad-irq'`, `'unknown-part'`, `'irq-taken'` (naming both), `'no-controller'`, `'no-free-input'`
 */
export function routeInterrupts(
  devices: readonly ConfiguredDevice[], controller: string | null, slots: ReadonlyMap<string, ResolvedSlot>,
): ReadonlyMap<string, readonly Wire[]> {
  const inputs = new Map<string, number>()
  for (const { name, spec, config } of devices) if (spec.inputs !== undefined) inputs.set(name, spec.inputs(config))
  const users = new Map<string, { readonly owner: string; readonly shared: boolean }>()

  const take = (device: string, irq: string, to: string, line: number | string, shared: boolean): Wire => {
    const part = `${device}.${irq}`
    if (to !== CPU_PART) {
      const count = inputs.get(to)
      if (count === undefined) {
        throw machinistError({ code: 'unknown-part', part, value: to, remedy: `Use one of ${[...inputs.keys(), CPU_PART].join(', ')}.` }, 'its interrupt goes to no known controller')
      }
      if (typeof line !== 'number' || !Number.isInteger(line) || line < 0 || line >= count) {
        throw machinistError({ code: 'bad-irq', part, value: line, remedy: `Use an input of ${to}, below ${count}.` }, `${to} has no such input`)
      }
    } else if (typeof line !== 'string') {
      throw machinistError({ code: 'bad-irq', part, value: line, remedy: "Use a name such as 'hart0.meip'." }, 'inputs of the CPU have names')
    }
    const key = `${to} ${line}`
    const other = users.get(key)
    if (other !== undefined && !(other.shared && shared)) {
      throw machinistError(
        { code: 'irq-taken', part, value: key, remedy: `Choose another input, or let both say that it is shared: true.` },
        `its interrupt input belongs to ${other.owner}`)
    }
    users.set(key, { owner: part, shared })
    return { irq, to, line, shared }
  }

  const wires = new Map<string, (readonly Wire[])[]>()
  const open: { readonly device: string; readonly irq: string; readonly index: number }[] = []
  for (const { name, spec, config, definition } of devices) {
    const outputs = spec.irqs(config)
    const slot = spec.pci?.(config).pin === false ? undefined : slots.get(name)
    if (slot !== undefined) {
      if (definition.irq !== undefined && definition.irq !== null) {
        throw machinistError({ code: 'bad-irq', part: name, value: slot.host, remedy: `Leave irq out, and route the outputs of ${slot.host}.` }, `the interrupts of a PCI device go to its host, ${slot.host}`)
      }
      wires.set(name, definition.irq === null ? [] : outputs.map((irq) => [take(name, irq, slot.host, pciInput(slot), false)]))
      continue
    }
    const per = isPerIrq(definition.irq) ? definition.irq : null
    for (const irq of Object.keys(per ?? {})) {
      if (!outputs.includes(irq)) {
        throw machinistError({ code: 'bad-irq', part: name, value: irq, remedy: `Use one of ${outputs.join(', ') || 'none'}.` }, 'it has no such interrupt output')
      }
    }
    const single = per === null ? definition.irq as IrqChoice | undefined : undefined
    if (single !== undefined && single !== null && outputs.length !== 1) {
      throw machinistError(
        { code: 'bad-irq', part: name, value: connectionsOf(single).map(({ line }) => line).join(', '), remedy: `Give one for each of ${outputs.join(', ') || 'none'} by name.` },
        `it has ${outputs.length} interrupt outputs`)
    }
    wires.set(name, outputs.map((irq, index): readonly Wire[] => {
      const choice = per === null ? single : per[irq]
      if (choice === null) return []
      if (choice === undefined) {
        const route = spec.defaultRoute?.(irq, config)
        if (route !== undefined && route !== null) return [take(name, irq, route.to, route.line, route.shared ?? false)]
        open.push({ device: name, irq, index })
        return []
      }
      return connectionsOf(choice).map(({ to, line, shared }) =>
        take(name, irq, to ?? (typeof line === 'string' ? CPU_PART : needController(controller, `${name}.${irq}`)), line, shared ?? false))
    }))
  }
  for (const { device, irq, index } of open) {
    const to = needController(controller, `${device}.${irq}`)
    const count = inputs.get(to) ?? 0
    let line = FIRST_INPUT
    while (line < count && users.has(`${to} ${line}`)) line++
    if (line >= count) {
      throw machinistError({ code: 'no-free-input', part: `${device}.${irq}`, value: to, remedy: `Give ${to} more inputs, or share one.` }, 'its interrupt controller has no free input')
    }
    const list = wires.get(device)
    if (list !== undefined) list[index] = [take(device, irq, to, line, false)]
  }
  return new Map([...wires].map(([name, list]) => [name, list.flat()]))
}

function connectionsOf(choice: Exclude<IrqChoice, null>): readonly IrqConnection[] {
  if (typeof choice === 'number') return [{ line: choice }]
  return 'line' in choice ? [choice] : choice
}

function needController(controller: string | null, part: string): string {
  if (controller !== null) return controller
  throw machinistError({ code: 'no-controller', part, remedy: 'Add an interrupt controller, or leave the output unconnected with irq: null.' }, 'there is no interrupt controller')
}

/** An input of a hart, as CPUs name them. */
const HART_INPUT = /^hart\d+\.(.+)$/

/**
 * Controllers have outputs for as many harts as they are configured for. Where that is fewer than the CPU has, the others would
 * wait for an interrupt that never comes. What the definition leaves unconnected with null is meant so.
 *
 * @throws a typed error `'hart-not-served'`
 */
export function checkHarts(devices: readonly ConfiguredDevice[], wires: ReadonlyMap<string, readonly Wire[]>, harts: number): void {
  const settled = new Set<number | string>([...wires.values()].flat().filter(({ to }) => to === CPU_PART).map(({ line }) => line))
  const controllers = new Map<string, string>()
  for (const { name, spec, config, definition: { irq: choice } } of devices) {
    if (!spec.perHart) continue
    for (const irq of spec.irqs(config)) {
      const route = spec.defaultRoute?.(irq, config)
      const input = route?.to === CPU_PART ? HART_INPUT.exec(String(route.line))?.[1] : undefined
      if (!route || input === undefined) continue
      if (!controllers.has(input)) controllers.set(input, name)
      if (choice === null || (isPerIrq(choice) && choice[irq] === null)) settled.add(route.line)
    }
  }
  for (const [input, part] of controllers) {
    for (let hart = 0; hart < harts; hart++) {
      const line = `hart${hart}.${input}`
      if (settled.has(line)) continue
      throw machinistError({ code: 'hart-not-served', part, value: line, remedy: `Configure it with harts: ${harts}, or connect another controller there.` }, 'an input of the CPU is driven by nothing')
    }
  }
}
