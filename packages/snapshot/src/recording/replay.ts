import { type Catalogue, CPU_PART, instantiate, instantiateStored, type Machine, type MachineHost, parseDefinition, type ReplayOptions, type RestoreOptions, type TraceListener } from '@machinist/machine'
import type { OpenRecording } from './reader.ts'

/** What {@link replayMachine} may be given besides what it needs. */
export interface ReplayMachineOptions extends Omit<ReplayOptions, 'source'> {
  /** Gets fine detail from parts. */
  readonly trace?: TraceListener
}

/**
 * Makes a machine that does what was recorded, bit for bit, without what it was connected to. It does not run yet: `start` it. When all is replayed it is as the one that was recorded
 * was: off, or paused where the recording ended (`Machine.replay`). The first difference ends it with a typed error.
 *
 * @param catalogue - the specs that its definition may name
 * @throws typed errors: `'replay-difference'` and `'replay-log'`; and as `instantiate`, or `instantiateStored` for one that was restored
 */
export function replayMachine(recording: OpenRecording, catalogue: Catalogue, host: MachineHost, { trace, ...options }: ReplayMachineOptions = {}): Machine {
  const { base, source, restored, exact } = recording
  const more = { replay: { ...options, source }, ...(trace !== undefined && { trace }) }
  const definition = parseDefinition(base.definition)
  if (!restored) return instantiate(definition, catalogue, host, { ...more, image: (file) => base.image(file) })
  // What each part was connected to has its place in the log, whatever it was.
  const backends: Record<string, NonNullable<RestoreOptions['backends']>[string]> = {}
  for (const [name, part] of [[CPU_PART, definition.cpu] as const, ...Object.entries(definition.devices)]) {
    for (const [port, descriptor] of Object.entries(part.backends ?? {})) backends[`${name}.${port}`] = descriptor
  }
  return instantiateStored(base, catalogue, host, { ...more, exact, backends })
}
