import { type Backend, machinistError } from '@machinist/api'
import type { BackendDescriptor } from '../definition/definition.ts'
import type { ResolvedMachine } from '../resolving/resolve.ts'

/** What {@link Machine.fork} may be given. */
export interface ForkOptions {
  /** Name of the copy; that of the machine, cut if need be, and a number, unless given. */
  readonly name?: string
  /**
   * Backends of the copy, by part and port (`'uart0.console'`). A stream that is not given is `'null'`; what a host makes of plain data, it makes
   * anew; a live backend makes one for the copy, if it can, as disks and NATs do. A disk that can do none of this must be given. What a backend kept
   * (`Backend.save`) goes to the one in its place, but for disks that are given: these have what they have.
   */
  readonly backends?: Readonly<Record<string, Backend<unknown> | BackendDescriptor>>
  /**
   * True: the copy does not know that it is one. Its devices are not told (`Device.forked`), and its own generator of random bytes gives what the
   * machine's would, so that with counted time it does what the machine would do. For tests and for looking into a machine: two guests that go on
   * with the same random numbers have no secrets from each other.
   */
  readonly exact?: boolean
  /**
   * True: a copy that is given a network goes by the address that the machine has there, because it takes its place. Otherwise a network device of the copy has another one: a driver
   * that asks again learns it, and until then frames are readdressed between guest and network. A backend that makes one for the copy is the copy's alone: there, it keeps its address.
   */
  readonly keepAddresses?: boolean
  /**
   * `'own'`: the copy gets an arena of its own, and its memory is copied at once, by frames: tens of milliseconds for 100 MiB that were touched, half of them the host's for the new memory. It shares nothing with the machine,
   * neither memory nor translated code, and what either takes the other does not lack. `'shared'` unless given: memory is shared until one of both writes.
   */
  readonly arena?: 'shared' | 'own'
  /** False leaves the copy paused. Otherwise it runs when the machine does, driven in the same way. */
  readonly start?: boolean
}

/** The definition of a copy, and the live backends that it names. */
export interface ForkPlan {
  readonly resolved: ResolvedMachine
  readonly live: ReadonlyMap<string, Backend<unknown>>
  /** Parts and ports whose backends were made for the copy by those of the machine. */
  readonly inherited: ReadonlySet<string>
  /** Closes the backends that were made for the copy, which will not be. */
  undo(): void
}

function isBackend(choice: Backend<unknown> | BackendDescriptor): choice is Backend<unknown> {
  return typeof choice === 'object' && 'connect' in choice && typeof choice.connect === 'function'
}

/**
 * Decides what the parts of a copy are connected to, and makes it where a backend makes its own copy, which is as it is at this moment.
 *
 * @param made - what the host made of plain data, by part and port
 * @throws typed errors: `'fork-backend'` for a backend that must be given; `'backend-name'` for one of no part
 */
export function planFork(
  resolved: ResolvedMachine, live: ReadonlyMap<string, Backend<unknown>>, made: ReadonlyMap<string, Backend<unknown>>, name: string, given: ForkOptions['backends'] = {},
): ForkPlan {
  const own = new Map<string, Backend<unknown>>()
  const undo = (): void => { for (const backend of own.values()) backend.close?.() }
  try {
    const planned = plan(resolved, name, given, own, (id, kind, before) => inherit(id, kind, before, live, made))
    return { ...planned, inherited: new Set(own.keys()), undo }
  } catch (error) {
    undo()
    throw error
  }
}

/**
 * Decides what the parts of a machine that was saved are connected to.
 *
 * @throws typed errors: `'restore-backend'` for a backend that must be given; `'backend-name'` for one of no part
 */
export function planRestore(resolved: ResolvedMachine, name: string, given: ForkOptions['backends'] = {}): Omit<ForkPlan, 'inherited' | 'undo'> {
  return plan(resolved, name, given, new Map(), again)
}

/**
 * Decides what the parts of a machine that was handed over are connected to.
 *
 * @throws typed errors: `'hand-over-backend'` for a backend that must be given; `'backend-name'` for one of no part
 */
export function planHanded(resolved: ResolvedMachine, { copy, disks }: { readonly copy: boolean; readonly disks: readonly string[] }, given: ForkOptions['backends'] = {}): Omit<ForkPlan, 'inherited' | 'undo'> {
  return plan(resolved, resolved.definition.name, given, new Map(), (id, kind, before) => {
    if (before !== id && !(copy && disks.includes(id))) return before
    if (copy && kind === 'char') return 'null'
    throw machinistError({ code: 'hand-over-backend', part: id, value: kind, remedy: `Give it as backends: { '${id}': … } where the machine goes on.` }, 'what it is connected to cannot cross to another thread')
  })
}

/**
 * @param own - gets the backends that were made for the copy
 * @param inherited - what comes in the place of what a part was connected to
 */
function plan(
  resolved: ResolvedMachine, name: string, given: NonNullable<ForkOptions['backends']>, own: Map<string, Backend<unknown>>,
  inherited: (id: string, kind: string, before: BackendDescriptor) => Backend<unknown> | BackendDescriptor,
): Omit<ForkPlan, 'inherited' | 'undo'> {
  const copies = new Map<string, Backend<unknown>>()
  const left = new Set(Object.keys(given))
  const choose = (part: string, descriptors: Readonly<Record<string, BackendDescriptor>> | undefined, wants: Readonly<Record<string, string>>): Record<string, BackendDescriptor> => {
    const chosen: Record<string, BackendDescriptor> = {}
    for (const [port, kind] of Object.entries(wants)) {
      const id = `${part}.${port}`
      const before = descriptors?.[port]
      const wish = Object.hasOwn(given, id) ? given[id] : undefined
      left.delete(id)
      if (wish !== undefined) {
        if (isBackend(wish)) copies.set(id, wish)
        chosen[port] = isBackend(wish) ? id : wish
      } else if (before !== undefined) {
        const choice = inherited(id, kind, before)
        if (isBackend(choice)) {
          copies.set(id, choice)
          own.set(id, choice)
        }
        chosen[port] = isBackend(choice) ? id : choice
      }
    }
    return chosen
  }
  const { definition } = resolved
  const cpu = { ...definition.cpu, backends: choose('cpu', definition.cpu.backends, resolved.cpu.spec.backends) }
  const devices = resolved.devices.map((device) => ({ ...device, definition: { ...device.definition, backends: choose(device.name, device.definition.backends, device.spec.backends) } }))
  const [unknown] = left
  if (unknown !== undefined) {
    throw machinistError({ code: 'backend-name', part: definition.name, value: unknown, remedy: "Name a part's port, such as 'uart0.console'." }, 'no part has such a backend')
  }
  return {
    live: copies,
    resolved: {
      ...resolved,
      devices,
      definition: { ...definition, name, cpu, devices: Object.fromEntries(devices.map((device) => [device.name, device.definition])) },
    },
  }
}

function inherit(id: string, kind: string, before: BackendDescriptor, live: ReadonlyMap<string, Backend<unknown>>, made: ReadonlyMap<string, Backend<unknown>>): Backend<unknown> | BackendDescriptor {
  const shares = typeof before === 'object' && before.type === 'share'
  if (kind === 'char') return shares ? before : 'null'
  const backend = typeof before === 'string' ? live.get(before) : undefined
  const copy = (backend ?? made.get(id))?.fork?.()
  if (copy !== undefined) return copy
  if (backend === undefined && kind !== 'block') return before
  throw machinistError({ code: 'fork-backend', part: id, value: kind, remedy: `Give the copy one of its own: fork({ backends: { '${id}': … } }).` }, 'the copy cannot have the same')
}

/** What a part of a machine that was saved is connected to. A live backend was named after the part. */
function again(id: string, kind: string, before: BackendDescriptor): BackendDescriptor {
  if (before !== id) return before
  if (kind === 'char') return 'null'
  throw machinistError({ code: 'restore-backend', part: id, value: kind, remedy: `Give it as backends: { '${id}': … }.` }, 'what it was connected to is not in a snapshot')
}
