import { type Backend, isMachinistError, machinistError } from '@machinist/api'
import type { MachineHost } from '../assembly/host.ts'
import type { TraceListener } from '../assembly/trace.ts'
import type { Catalogue } from '../definition/catalogue.ts'
import { parseDefinition } from '../definition/check.ts'
import type { MachineBlueprint } from '../definition/define.ts'
import type { MachineDefinition } from '../definition/definition.ts'
import { resolve, type ResolvedMachine } from '../resolving/resolve.ts'
import { Recorder, type RecordOptions } from '../tape/recorder.ts'
import { Replayer, type ReplayOptions } from '../tape/replayer.ts'
import type { Tape } from '../tape/tape.ts'
import { LiveMachine } from './live-machine.ts'
import type { Machine } from './machine.ts'

/** Whether a machine is recorded, or replays what was recorded. */
export interface TapeOptions {
  /** Writes down all that comes into the machine from outside. It needs counted time. */
  readonly record?: RecordOptions
  /** Takes all that comes from outside from a recording of a machine like this. No backends are made, and none are needed. */
  readonly replay?: ReplayOptions
}

/** What {@link instantiate} may be given besides what it needs. */
export interface InstantiateOptions extends TapeOptions {
  /** Live backends by the names that the definition uses. */
  readonly backends?: ReadonlyMap<string, Backend<unknown>>
  /** Gets fine detail from parts. */
  readonly trace?: TraceListener
  /** Gives the images that the definition names as files, each time that the machine is switched on or reset. */
  readonly image?: (file: string) => Uint8Array
}

/** Makes the machine of a blueprint, here. See {@link instantiate}. */
export function createMachine(blueprint: MachineBlueprint, host: MachineHost, options: InstantiateOptions = {}): Machine {
  return instantiate(blueprint.definition, blueprint.catalogue, host, { ...options, backends: new Map([...blueprint.backends, ...(options.backends ?? [])]) })
}

/**
 * Makes a machine from its definition. It does not run yet, but everything that can be wrong with it is found now.
 *
 * @param input - a definition, from {@link defineMachine}, a message or a file: it is checked
 * @param catalogue - the specs that it may name
 * @throws typed errors: `'no-host'`; `'record-time'`, `'record-backend'`, `'replay-difference'`, `'replay-log'`; see `parseDefinition`, `resolve`; and for images, memory and backends
 */
export function instantiate(input: MachineDefinition, catalogue: Catalogue, host: MachineHost, options: InstantiateOptions = {}): Machine {
  const resolved = resolve(parseDefinition(input), catalogue)
  // Those who write no TypeScript are told.
  if ((host as MachineHost | undefined)?.loop === undefined) {
    throw machinistError({ code: 'no-host', part: 'machine', remedy: 'Give nodeHost() of @machinist/host-node, or one of your own.' }, 'it is given no host')
  }
  const make = (): Machine => new LiveMachine({ resolved, host, live: options.backends ?? new Map(), trace: options.trace, ...(options.image !== undefined && { image: options.image }), ...tapeOf(options, resolved) })
  return options.replay === undefined ? make() : believing(make)
}

/** Makes a machine whose parts believe what a log says. @throws typed errors */
function believing(make: () => Machine): Machine {
  try {
    return make()
  } catch (error) {
    if (isMachinistError(error)) throw error
    const why = error instanceof Error ? error.message : String(error)
    throw machinistError({ code: 'replay-log', part: 'recording', value: why, remedy: 'Use another copy of the file, or record again.' }, 'a part cannot be made with what the log says')
  }
}

/** The tape of a machine. @throws a typed error `'record-time'` */
export function tapeOf({ record, replay }: TapeOptions, { definition }: ResolvedMachine): { readonly tape?: Tape } {
  if ((record !== undefined || replay !== undefined) && definition.time === 'real') {
    throw machinistError({ code: 'record-time', part: definition.name, value: 'real', remedy: 'Give it counted time: time: { instructionsPerSecond: 1e9 }.' }, 'only a machine of counted time can be recorded')
  }
  if (replay !== undefined) return { tape: new Replayer(replay) }
  return record === undefined ? {} : { tape: new Recorder(record) }
}
