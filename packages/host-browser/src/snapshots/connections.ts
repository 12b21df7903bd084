import { machinistError } from '@machinist/api'
import { type BackendDescriptor, type Catalogue, CPU_PART, type MachineDefinition, resolve } from '@machinist/machine'
import type { SnapshotDescription } from '../description.ts'

/** What is described here, and what its own program connects to in another place. */
type Known = Readonly<Record<string, readonly string[]>>

/** Descriptors that mean the same in every program, and those of this host that a file may choose, by the kind of port: of no relay, since it would choose whom this page connects to. */
const KNOWN: Known = { char: ['null', 'terminal', 'stdout', 'share'], net: ['switch', 'unplugged'], block: ['null', 'disk'] }

const typeOf = (descriptor: BackendDescriptor): string => typeof descriptor === 'string' ? descriptor : descriptor.type
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null

/** What parts are connected to, by part and port, as far as it is plain data of a type. */
export function describedBackends(definition: MachineDefinition, type: string): Record<string, BackendDescriptor> {
  const found: Record<string, BackendDescriptor> = {}
  for (const [name, { backends = {} }] of Object.entries(definition.devices)) {
    for (const [port, descriptor] of Object.entries(backends)) if (typeof descriptor === 'object' && descriptor.type === type) found[`${name}.${port}`] = descriptor
  }
  return found
}

/**
 * A machine that was saved anywhere, as it is connected here: what the page gives comes first; consoles of other programs are this page's terminals, disks are those that the page
 * which saved it told of, and networks that are not here are unplugged. Only the page names a relay.
 *
 * @param connect - what the page gives, by part and port
 * @param about - what whoever wrote the file said of it
 * @param relayed - the page has a relay, which is in the place of networks that are not here
 * @throws typed errors: `'backend-name'` for what is given to no part; `'restore-backend'` for a disk that the browser keeps, which a file may not name by itself
 */
export function connectedHere(definition: MachineDefinition, catalogue: Catalogue, { connect: given = {}, unplug = false }: Pick<SnapshotDescription, 'connect' | 'unplug'>, about: unknown, relayed = false): MachineDefinition {
  const left = new Set(Object.keys(given))
  const resolved = resolve(definition, catalogue)
  const told = isObject(about) && isObject(about['backends']) ? about['backends'] : {}
  const connect = (part: string, backends: Readonly<Record<string, BackendDescriptor>>, wants: Readonly<Record<string, string>>): Record<string, BackendDescriptor> => {
    const chosen: Record<string, BackendDescriptor> = {}
    for (const [port, before] of Object.entries(backends)) {
      const id = `${part}.${port}`
      const kind = wants[port] ?? ''
      left.delete(id)
      if (unplug && kind === 'net' && !Object.hasOwn(given, id)) chosen[port] = { type: 'unplugged' }
      else chosen[port] = Object.hasOwn(given, id) ? given[id] ?? before : here(id, kind, before, Object.hasOwn(told, id) ? told[id] : undefined, relayed)
    }
    return chosen
  }
  const devices = { ...definition.devices }
  for (const { name, spec } of resolved.devices) {
    const device = devices[name]
    if (device?.backends !== undefined) devices[name] = { ...device, backends: connect(name, device.backends, spec.backends) }
  }
  const { backends } = definition.cpu
  const cpu = backends === undefined ? definition.cpu : { ...definition.cpu, backends: connect(CPU_PART, backends, resolved.cpu.spec.backends) }
  const [unknown] = left
  if (unknown !== undefined) throw machinistError({ code: 'backend-name', part: definition.name, value: unknown, remedy: "Name a part's port, such as 'uart0.console'." }, 'no part has such a backend')
  return { ...definition, devices, cpu }
}

function here(id: string, kind: string, before: BackendDescriptor, told: unknown, relayed: boolean): BackendDescriptor {
  if (kind === 'char') return KNOWN['char']?.includes(typeOf(before)) === true ? before : 'terminal'
  if (kind === 'net') return KNOWN['net']?.includes(typeOf(before)) === true ? before : relayed ? 'relay' : { type: 'unplugged' }
  if (kind !== 'block') return before
  const disk = typeof before === 'string' && isObject(told) && told['type'] === 'disk' ? told as BackendDescriptor : before
  if (typeof disk === 'object' && 'keep' in disk) throw machinistError({ code: 'restore-backend', part: id, value: String(disk['keep']), remedy: `Give it, as connect: { '${id}': … }.` }, 'a snapshot may not say which of the disks it has that are kept here')
  return disk
}

/** What `machinist restore` needs to go on with a machine: words of its command line. Files of disks are its user's to give. */
export function commandLines({ cpu, devices }: MachineDefinition): readonly (readonly string[])[] {
  const nets = Object.keys(devices).filter((name) => /^net\d+$/.test(name))
  return [[...(cpu.kind === 'x86' ? ['--arch', 'amd64'] : []), ...(nets.length === 0 ? ['--net', 'none'] : nets.flatMap(() => ['--net', 'nat']))]]
}
