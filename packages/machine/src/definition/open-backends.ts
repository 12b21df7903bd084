import type { Backend } from '@machinist/api'
import type { BackendDescriptor, MachineDefinition } from './definition.ts'

/** A definition whose backends of a type are open. */
export interface OpenBackends<Port> {
  /** It names them by part and port. */
  readonly definition: MachineDefinition
  readonly backends: ReadonlyMap<string, Backend<Port>>
}

/**
 * Opens the backends of a type, where opening one takes time: one after the other, in the definition's order. Others stay as they are.
 *
 * @param type - of the descriptors, such as `'disk'`
 * @param open - opens one; `part` is the name of the device and that of the port, with a dot between them
 * @throws what `open` throws; what was opened is closed then
 */
export async function openBackends<Port>(
  definition: MachineDefinition, type: string, open: (descriptor: Exclude<BackendDescriptor, string>, part: string) => Promise<Backend<Port>>,
): Promise<OpenBackends<Port>> {
  const opened = new Map<string, Backend<Port>>()
  const devices = { ...definition.devices }
  try {
    for (const [name, device] of Object.entries(devices)) {
      if (device.backends === undefined) continue
      const backends: Record<string, BackendDescriptor> = { ...device.backends }
      for (const [port, descriptor] of Object.entries(backends)) {
        if (typeof descriptor === 'string' || descriptor.type !== type) continue
        const part = `${name}.${port}`
        opened.set(part, await open(descriptor, part))
        backends[port] = part
      }
      devices[name] = { ...device, backends }
    }
  } catch (error) {
    for (const each of opened.values()) each.close?.()
    throw error
  }
  return { definition: { ...definition, devices }, backends: opened }
}
