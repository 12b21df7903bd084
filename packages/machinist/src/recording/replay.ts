import { isMachinistError } from '@machinist/api'
import { boardCatalogue } from '@machinist/boards'
import { nodeHost, openRecordingFile } from '@machinist/host-node'
import { type Catalogue, type Machine, type ReplayStatus, type Saying, Seeker } from '@machinist/machine'
import { type OpenRecording, replayMachine } from '@machinist/snapshot'
import { virtioMmio, virtioPci } from '@machinist/virtio'
import { optimiseTranslationsLater } from '../engine-flags.ts'
import { type GdbAddress, listenForGdb } from '../gdb/listen.ts'
import { gdbTarget } from '../gdb/option.ts'
import { execOutput } from '../guest/index.ts'
import { EXEC_ERROR, EXEC_OUTPUT, execConsole } from '../exec-ports.ts'
import type { ReplayChoice } from './arguments.ts'

/** The parts of machines that machinist makes. */
const CATALOGUE: Catalogue = [...boardCatalogue, virtioMmio(execConsole), virtioPci(execConsole)]

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

/** Where harts are. */
function placeText(machine: Machine): string {
  const harts = machine.vcpus.map((vcpu, index) => {
    const { mode, stack: [pc = 0n] } = vcpu.sample?.(1) ?? { mode: 'unknown', stack: [] }
    return `hart ${index}: pc 0x${pc.toString(16)}, ${mode} mode\n`
  })
  return `Stopped after ${machine.stats.retired} instructions.\n${harts.join('')}`
}

/** Resolves when a machine is off, or paused because all has been replayed or it is to stop there. */
async function ended(machine: Machine): Promise<Error | null> {
  const paused = new Promise<null>((resolve) => { machine.on('state', ({ to }) => { if (to === 'paused') resolve(null) }) })
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
export async function replay(choice: ReplayChoice): Promise<number> {
  const { file, quiet, until, gdb } = choice
  const recording = openRecordingFile(file)
  try {
    if (gdb !== undefined) return await debug(recording, gdb, choice)
    const machine = replayMachine(recording, CATALOGUE, nodeHost(), quiet ? {} : { onSay: show(tokenOf(recording)) })
    optimiseTranslationsLater()
    try {
      const over = ended(machine)
      if (until !== undefined && until > 0) machine.stopAt({ retired: until })
      machine.start()
      if (until === 0) machine.pause()
      const error = await over
      const { replay: status } = machine
      // Whatever the guest wrote last, the line is one of its own.
      const begin = quiet || tokenOf(recording) !== null ? '' : '\r\n'
      if (until !== undefined && machine.stats.retired === until && error === null) {
        process.stderr.write(`${begin}${placeText(machine)}`)
        return 0
      }
      if (status?.ended === true) {
        process.stderr.write(`${begin}${endText(status, machine)}`)
        return until === undefined ? 0 : 1
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

/** Lets debuggers go about in a recording; without one, it is replayed to its end. */
async function debug(recording: OpenRecording, address: GdbAddress, { quiet, until, gdbWait = false }: ReplayChoice): Promise<number> {
  const host = nodeHost()
  const seeker = new Seeker({
    make: (onSay) => replayMachine(recording, CATALOGUE, host, { onSay }), loop: host.loop, ...(!quiet && { onSay: show(tokenOf(recording)) }),
  })
  optimiseTranslationsLater()
  const over = { resolve: (): void => {}, reject: (_error: unknown): void => {} }
  const end = new Promise<void>((resolve, reject) => { Object.assign(over, { resolve, reject }) })
  let debugged = false
  const goOn = (): void => {
    seeker.run().then(({ kind }) => { if (kind === 'end' && !debugged) over.resolve() }, over.reject)
  }
  const door = await listenForGdb(seeker, address, {
    onSession(open) {
      debugged = open
      if (open) return
      if (seeker.machine.state === 'disposed') over.resolve()
      else goOn()
    },
  })
  try {
    if (!quiet) process.stderr.write(`Debuggers connect with: target remote ${gdbTarget(door.address)}\n`)
    if (until !== undefined) await seeker.seek({ retired: until })
    else if (!gdbWait) goOn()
    await end
    const { machine } = seeker
    if (!quiet && machine.replay?.ended === true) process.stderr.write(endText(machine.replay, machine))
    return 0
  } catch (error) {
    process.stderr.write(`machinist: ${isMachinistError(error) ? error.message : String(error)}\n`)
    return 1
  } finally {
    door.close()
    seeker.dispose()
  }
}
