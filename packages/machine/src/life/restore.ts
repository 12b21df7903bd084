import { type Backend, isMachinistError, machinistError } from '@machinist/api'
import type { GuestMemory } from '@machinist/memory'
import type { MachineHost } from '../assembly/host.ts'
import { memoryFor } from '../assembly/parts.ts'
import type { TraceListener } from '../assembly/trace.ts'
import type { Catalogue } from '../definition/catalogue.ts'
import { nameOf, parseDefinition } from '../definition/check.ts'
import type { BackendDescriptor } from '../definition/definition.ts'
import { resolve, type ResolvedMachine } from '../resolving/resolve.ts'
import { planRestore } from './fork.ts'
import { tapeOf, type TapeOptions } from './instantiate.ts'
import { LiveMachine } from './live-machine.ts'
import type { Machine } from './machine.ts'
import type { StoredMachine } from './snapshot.ts'

/** What {@link instantiateStored} may be given besides what it needs. */
export interface RestoreOptions extends TapeOptions {
  /** Name of the machine; as it was, unless given. */
  readonly name?: string
  /**
   * What its parts are connected to, by part and port (`'uart0.console'`). What is not given is made by the host again where the definition describes it
   * as plain data. Of live backends, a stream is `'null'` then, and others must be given.
   */
  readonly backends?: Readonly<Record<string, Backend<unknown> | BackendDescriptor>>
  /**
   * True: it takes the place of the one that was saved, and with counted time goes on exactly as that did. Otherwise its devices are told that it is
   * another one, so that two of one file do not give the same random numbers.
   */
  readonly exact?: boolean
  /** Gets fine detail from parts. */
  readonly trace?: TraceListener
}

/**
 * Makes a machine that goes on from where one was saved. It is paused. Its pages come when they are touched.
 *
 * @param catalogue - the specs that its definition may name
 * @throws typed errors: `'state'` when the state is not one of such a machine, or is damaged; `'restore-backend'` for a backend that must be given,
 * `'backend-name'` for one of no part; `'restore-disk'` for a disk of another size, or one that is read-only where the guest writes, or the other way round; and as `instantiate` for its definition, memory and backends
 */
export function instantiateStored(stored: StoredMachine, catalogue: Catalogue, host: MachineHost, options: RestoreOptions = {}): Machine {
  const before = resolve(parseDefinition(stored.definition), catalogue)
  const plan = planRestore(before, options.name === undefined ? before.definition.name : nameOf(options.name, 'machine.name'), options.backends)
  const memory = placed(stored, plan.resolved, host)
  try {
    return new LiveMachine({ ...plan, host, trace: options.trace, ...tapeOf(options, plan.resolved), image: (file) => stored.image(file) }, { memory, state: stored.state, another: options.exact === true ? null : { number: 0, meets: () => false } })
  } catch (error) {
    if (isMachinistError(error)) throw error
    // A part believed what it was given.
    const why = error instanceof Error ? error.message : String(error)
    throw machinistError({ code: 'state', part: plan.resolved.definition.name, value: why, remedy: 'Save the machine again.' }, 'a part cannot take back its saved state')
  }
}

/** @throws a typed error `'state'` unless these are the regions that a machine has */
export function checkMemory(stored: readonly { readonly name: string; readonly base: number; readonly size: number }[], { memory: ram, devices }: ResolvedMachine): void {
  const wanted = [...ram, ...devices.flatMap((device) => device.memory)]
  const bad = (part: string): Error => machinistError({ code: 'state', part, remedy: 'Restore it with the definition that it was saved with.' }, 'the saved memory is not that of the machine')
  for (const { name, base, size } of wanted) {
    if (stored.filter((each) => each.name === name && each.base === base && each.size === size).length !== 1) throw bad(name)
  }
  if (stored.length !== wanted.length) throw bad(stored.find((each) => !wanted.some(({ base }) => base === each.base))?.name ?? 'memory')
}

/** Memory whose pages are where they were stored. */
function placed({ memory: stored, source }: StoredMachine, resolved: ResolvedMachine, host: MachineHost): GuestMemory {
  checkMemory(stored, resolved)
  const memory = memoryFor(host, stored)
  try {
    memory.source = source
    for (const { name, base, size, pages } of stored) memory.place(memory.addRam(name, base, size), pages)
    return memory
  } catch (error) {
    memory.dispose()
    memory.arena.disposeUnused()
    throw error
  }
}
