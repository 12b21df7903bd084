import { isMachinistError } from '@machinist/api'
import { virtCatalogue } from '@machinist/boards'
import { nodeHost, openRecordingFile } from '@machinist/host-node'
import type { Catalogue, Machine, ReplayStatus, Saying } from '@machinist/machine'
import { type OpenRecording, replayMachine } from '@machinist/snapshot'
import { virtioMmio, virtioPci } from '@machinist/virtio'
import { optimiseTranslationsLater } from '../engine-flags.ts'
import { execOutput } from '../guest/index.ts'
import { EXEC_ERROR, EXEC_OUTPUT, execConsole } from '../exec-ports.ts'
import type { ReplayChoice } from './arguments.ts'

/** The parts of machines that machinist makes. */
const CATALOGUE: Catalogue = [...virtCatalogue, virtioMmio(execConsole), virtioPci(execConsole)]

/** Shows what a machine says that is replayed: its console, or the output of the command that it was made for. */
function show(token: string | null): (saying: Saying) => void {
  const ignore = (): void => {}
  const to = (stream: NodeJS.WriteStream): ((bytes: Uint8Array) => void) => {
    if (token === null) return ignore
    const output = execOutput(token, { stdout: ignore, stderr: ignore, exit: ignore, other: (bytes) => { stream.write(bytes) } })
    return (bytes) => { output.push(bytes) }
  }
  const console = (bytes: Uint8Array): void => { process.stdout.write(bytes) }
  const streams: Readonly<Record<string, (bytes: Uint8Array) => void>> = token === null
    ? { 'uart0.console': console, 'hvc.console': console }
    : { [`exec.${EXEC_OUTPUT}`]: to(process.stdout), [`exec.${EXEC_ERROR}`]: to(process.stderr) }
  return ({ part, member, args: [bytes], answer }) => {
    if (member !== 'write' || !(bytes instanceof Uint8Array) || typeof answer !== 'number') return
    // The bytes are the guest's.
    if (Object.hasOwn(streams, part)) streams[part]?.(bytes.slice(0, answer))
  }
}

function tokenOf({ about }: OpenRecording): string | null {
  return typeof about === 'object' && about !== null && 'token' in about && typeof about.token === 'string' ? about.token : null
}

/** Resolves when a machine is off, or paused because all has been replayed. */
async function ended(machine: Machine): Promise<Error | null> {
  const paused = new Promise<null>((resolve) => { machine.on('state', ({ to }) => { if (to === 'paused' && machine.replay?.ended === true) resolve(null) }) })
  return Promise.race([paused, machine.finished().then(({ error }) => error)])
}

function endText({ whole, off, checks }: ReplayStatus, machine: Machine): string {
  const how = off ? `the machine was switched off with status ${machine.status ?? 0}` : whole ? 'the recording was ended there' : 'the file ends there, cut off'
  return `Replayed ${machine.stats.retired} instructions; all ${checks} checks agreed; ${how}.\n`
}

/**
 * Replays a recording.
 *
 * @returns the exit status
 * @throws typed errors, before the machine begins
 */
export async function replay({ file, quiet }: ReplayChoice): Promise<number> {
  const recording = openRecordingFile(file)
  try {
    const machine = replayMachine(recording, CATALOGUE, nodeHost(), quiet ? {} : { onSay: show(tokenOf(recording)) })
    optimiseTranslationsLater()
    try {
      const over = ended(machine)
      machine.start()
      const error = await over
      const { replay: status } = machine
      // Whatever the guest wrote last, the line is one of its own.
      const begin = quiet || tokenOf(recording) !== null ? '' : '\r\n'
      if (status?.ended === true) {
        process.stderr.write(`${begin}${endText(status, machine)}`)
        return 0
      }
      process.stderr.write(`${begin}machinist: ${isMachinistError(error) ? error.message : String(error)}\n`)
      return 1
    } finally {
      machine.dispose()
    }
  } finally {
    recording.close()
  }
}
