import { type RecordingFile, recordIntoFile } from '@machinist/host-node'
import type { MachineBlueprint } from '@machinist/machine'

/** Instructions in a second of a recorded machine's time: about those of a real one, so that its timers are neither early nor late. */
const RATE = 1_000_000_000

/** What a recording says of where it is from. */
export interface RecordingNote {
  readonly program: 'machinist'
  /** The command lines that made the machine. */
  readonly lines: readonly (readonly string[])[]
  /** Of `--exec`: what the end of its output begins with. */
  readonly token?: string
}

/** The machine with counted time, but with the host's date and random numbers. */
export function counted(blueprint: MachineBlueprint): MachineBlueprint {
  const { definition } = blueprint
  if (definition.time !== 'real') return blueprint
  const { randomness = 'host', wallClock = 'host' } = definition
  return { ...blueprint, definition: { ...definition, randomness, wallClock, time: { instructionsPerSecond: RATE } } }
}

/** Makes the file of a recording. @throws typed errors `'file-…'` */
export function openRecord(path: string): RecordingFile {
  return recordIntoFile(path)
}

/** What is said at the end. */
export function recordedText(retired: number, path: string, bytes: number): string {
  return `Recorded ${retired} instructions into ${path} (${(bytes / 1e6).toFixed(1)} MB). Again with: machinist replay ${path}\n`
}
