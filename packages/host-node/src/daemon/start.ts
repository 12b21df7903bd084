import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, renameSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isMachinistError, machinistError } from '@machinist/api'
import { fileError } from '../system/errors.ts'
import { connectDaemon, type DaemonClient } from './connect.ts'
import { type DaemonPaths, daemonPaths, privateFolder } from './paths.ts'

/** Milliseconds between two looks whether it answers. */
const LOOK = 100
/** Milliseconds after which one that does not answer is no hypervisor. */
const PATIENCE = 60_000
/** Bytes of the file with what its process said, over which it becomes the old one. */
const MOST_OUTPUT: number = 1 << 20
/** Characters of it that an error tells. */
const MOST_TOLD = 500

/** The file that what a daemon's process says goes into: what V8 says as it dies, above all. */
export const OUTPUT_FILE = 'daemon.out'
/** The status with which a daemon ends that finds another. */
export const OTHER_RUNS = 3

/** Options of {@link startDaemon}. */
export interface StartDaemonOptions {
  /** The program to be started, and its arguments: one that calls {@link runDaemon}. */
  readonly command: readonly [string, ...string[]]
  /** Where it has its files; {@link daemonPaths} unless given. The program is told by its environment. */
  readonly paths?: DaemonPaths
}

/** The last that was said, for an error or an event. */
export function lastWords(path: string): string {
  try {
    return readFileSync(path, 'utf8').trimEnd().slice(-MOST_TOLD)
  } catch {
    return ''
  }
}

/** A file that is written at its end, and is not too long. */
function openOutput(path: string): number {
  try {
    if (statSync(path).size > MOST_OUTPUT) renameSync(path, `${path}.old`)
  } catch {
    // There is none yet.
  }
  try {
    return openSync(path, 'a', 0o600)
  } catch (error) {
    throw fileError(error, 'hypervisor', path)
  }
}

/**
 * Connects with the hypervisor in the background, which is started when there is none. It goes on when this process ends. When several start it at once there is one in the end, with which all are connected.
 *
 * @throws typed errors: `'daemon-failed'` when it ends at once, or does not answer; as {@link connectDaemon}
 */
export async function startDaemon({ command: [program, ...args], paths = daemonPaths() }: StartDaemonOptions): Promise<DaemonClient> {
  const { socket, state } = paths
  const connected = (): Promise<DaemonClient | null> => connectDaemon({ socket }).catch((error: unknown) => {
    if (isMachinistError(error) && ['daemon-off', 'connection-closed'].includes(error.code)) return null
    throw error
  })
  const there = await connected()
  if (there !== null) return there
  privateFolder(state)
  privateFolder(dirname(socket))
  const path = join(state, OUTPUT_FILE)
  let begun = begin([program, ...args], paths, path)
  const end = Date.now() + PATIENCE
  for (;;) {
    const client = await connected()
    if (client !== null) return client
    const failed = begun.ended ?? (Date.now() > end ? 'it does not answer' : null)
    if (failed !== null) throw machinistError({ code: 'daemon-failed', part: 'hypervisor', value: path, remedy: 'Look what that file says.' }, failed)
    await new Promise((resolve) => { setTimeout(resolve, LOOK) })
    // Another was faster, and will answer, or is just about to end.
    if (begun.refused) begun = begin([program, ...args], paths, path)
  }
}

/** How a process that was started goes. */
interface Begun {
  /** Why it has ended. */
  ended: string | null
  /** It found another. */
  refused: boolean
}

function begin([program, ...args]: readonly [string, ...string[]], { socket, state }: DaemonPaths, path: string): Begun {
  const output = openOutput(path)
  const begun: Begun = { ended: null, refused: false }
  const child = spawn(program, args, {
    detached: true, stdio: ['ignore', output, output], cwd: '/', env: { ...process.env, MACHINIST_SOCKET: socket, MACHINIST_STATE: state },
  })
  closeSync(output)
  child.once('error', (error) => { begun.ended = error.message })
  child.once('exit', (status, signal) => {
    if (status === OTHER_RUNS) begun.refused = true
    else begun.ended = `it ended with ${signal ?? `status ${status ?? 0}`}: ${lastWords(path)}`
  })
  child.unref()
  return begun
}
