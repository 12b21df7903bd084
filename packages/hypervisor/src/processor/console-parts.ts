import { type BackendDescriptor, type Catalogue, cpuSpec, deviceSpec, type MachineDefinition } from '@machinist/machine'

/** What a definition calls the console of its machine: `'console'`, or a terminal, which a machine of a hypervisor has not. */
const CONSOLE: readonly unknown[] = ['console', 'terminal', 'stdout']

type Backends = Readonly<Record<string, BackendDescriptor>> | undefined

/**
 * A definition whose console is a live backend, named by part and port.
 *
 * @returns the definition, and the parts and ports (`'uart0.console'`) that are connected to the console
 * @throws typed errors `'unknown-kind'`
 */
export function withConsole(definition: MachineDefinition, catalogue: Catalogue): { readonly definition: MachineDefinition; readonly ports: readonly string[] } {
  const ports: string[] = []
  const named = <Part extends { readonly backends?: Backends }>(name: string, part: Part, wants: Readonly<Record<string, string>>): Part => {
    if (part.backends === undefined) return part
    const backends = Object.fromEntries(Object.entries(part.backends).map(([port, descriptor]) => {
      const id = `${name}.${port}`
      // A terminal that was live when the machine was saved is named by its part.
      if (wants[port] !== 'char' || !(CONSOLE.includes(typeof descriptor === 'string' ? descriptor : descriptor.type) || descriptor === id)) return [port, descriptor]
      ports.push(id)
      return [port, id]
    }))
    return { ...part, backends }
  }
  const devices = Object.fromEntries(Object.entries(definition.devices).map(([name, device]) => [name, named(name, device, deviceSpec(catalogue, device.kind, name).backends)]))
  return { definition: { ...definition, cpu: named('cpu', definition.cpu, cpuSpec(catalogue, definition.cpu.kind, 'cpu').backends), devices }, ports }
}

/** A definition in which what was live in one thread, and is named by its part and port, is described as plain data again, so that another thread can make it anew. */
export function describedAs(definition: MachineDefinition, plain: MachineDefinition): MachineDefinition {
  const devices = Object.entries(definition.devices).map(([name, device]) => [name, device.backends === undefined ? device : {
    ...device,
    backends: Object.fromEntries(Object.entries(device.backends).map(([port, descriptor]) => [port, descriptor === `${name}.${port}` ? plain.devices[name]?.backends?.[port] ?? descriptor : descriptor])),
  }] as const)
  return { ...definition, devices: Object.fromEntries(devices) }
}
