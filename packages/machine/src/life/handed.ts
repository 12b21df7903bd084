import { type Backend, isMachinistError, machinistError } from '@machinist/api'
import { GuestMemory, type MemoryImage } from '@machinist/memory'
import type { MachineHost } from '../assembly/host.ts'
import { arenaFor } from '../assembly/parts.ts'
import type { TraceListener } from '../assembly/trace.ts'
import type { Catalogue } from '../definition/catalogue.ts'
import { parseDefinition } from '../definition/check.ts'
import type { BackendDescriptor } from '../definition/definition.ts'
import { resolve, type ResolvedMachine } from '../resolving/resolve.ts'
import { planHanded } from './fork.ts'
import type { HandedMachine } from './hand-over.ts'
import { LiveMachine } from './live-machine.ts'
import type { Machine } from './machine.ts'
import { checkMemory } from './restore.ts'

/** What {@link instantiateHanded} may be given besides what it needs. */
export interface HandedOptions {
  /**
   * What its parts are connected to, by part and port (`'uart0.console'`). What is not given is made by the host anew where the definition describes it as plain data; what backends kept goes to those in their place.
   * Live backends do not cross to another thread: they must be given, but for streams of a copy, which are `'null'` then.
   */
  readonly backends?: Readonly<Record<string, Backend<unknown> | BackendDescriptor>>
  /** Gets fine detail from parts. */
  readonly trace?: TraceListener
}

/**
 * Makes a machine of what `Machine.handOver` of another thread gave. It is paused, and has memory of its own, into which the other's was copied: when this returns, the other may go.
 *
 * @param catalogue - the specs that its definition may name
 * @throws typed errors: `'hand-over-backend'` for a backend that must be given, `'backend-name'` for one of no part; `'memory-image'`, `'state'` when it is not what a machine can be; `'restore-disk'` for a disk that is not like
 * the one that the guest knows; and as `instantiate` for its definition, memory and backends. Nothing is left of it then
 */
export function instantiateHanded(handed: HandedMachine, catalogue: Catalogue, host: MachineHost, options: HandedOptions = {}): Machine {
  const plan = planHanded(resolve(parseDefinition(handed.definition), catalogue), handed, options.backends)
  const memory = memoryOf(handed.memory, plan.resolved, host)
  const given = options.backends ?? {}
  // What is made anew of plain data is this machine's alone.
  const another = handed.another === null ? null : { number: handed.another, meets: (id: string) => !handed.keepAddresses && Object.hasOwn(given, id) }
  const image = (file: string): Uint8Array => {
    const bytes = Object.hasOwn(handed.images, file) ? handed.images[file] : undefined
    if (bytes !== undefined) return bytes
    throw machinistError({ code: 'image-not-loaded', part: plan.resolved.definition.name, value: file, remedy: 'Give the machine the images that a reset needs.' }, 'an image is not known')
  }
  try {
    return new LiveMachine({ ...plan, host, trace: options.trace, image }, { memory, state: handed.state, another })
  } catch (error) {
    if (isMachinistError(error)) throw error
    // A part believed what it was given.
    const why = error instanceof Error ? error.message : String(error)
    throw machinistError({ code: 'state', part: plan.resolved.definition.name, value: why, remedy: 'Hand it over again.' }, 'a part cannot take over its state')
  }
}

function memoryOf(image: MemoryImage, resolved: ResolvedMachine, host: MachineHost): GuestMemory {
  checkMemory(image.regions, resolved)
  const arena = arenaFor(host)
  try {
    return GuestMemory.copyOf(image, arena)
  } catch (error) {
    arena.disposeUnused()
    throw error
  }
}
