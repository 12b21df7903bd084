import { lstatSync, mkdirSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { machinistError } from '@machinist/api'
import { fileError } from '../system/errors.ts'

/** Bytes of the longest path that a socket may have (sockaddr_un of Linux and macOS, the shorter). */
const MOST_PATH = 103
const OWNER_ONLY = 0o700
/** Bits of a mode that let others write: who may write into a folder may put another socket there. */
const OTHERS_WRITE = 0o022

/** Where a hypervisor in the background has its files. */
export interface DaemonPaths {
  /** Its Unix socket. */
  readonly socket: string
  /** The folder of what it remembers: machines, pools, logs. */
  readonly state: string
}

/**
 * Where the hypervisor of this user has its files: the socket is `$MACHINIST_SOCKET`, else `machinist/hypervisor.sock` in `$XDG_RUNTIME_DIR`, else `~/.machinist/run/hypervisor.sock`; what it remembers is
 * in `$MACHINIST_STATE`, else `machinist` in `$XDG_STATE_HOME` or `~/.local/state`.
 *
 * @param env - the environment; that of the process unless given
 */
export function daemonPaths(env: Readonly<Record<string, string | undefined>> = process.env): DaemonPaths {
  const { MACHINIST_SOCKET: socket, MACHINIST_STATE: state, XDG_RUNTIME_DIR: runtime, XDG_STATE_HOME: states } = env
  return {
    socket: socket || (runtime ? join(runtime, 'machinist', 'hypervisor.sock') : join(homedir(), '.machinist', 'run', 'hypervisor.sock')),
    state: state || join(states || join(homedir(), '.local', 'state'), 'machinist'),
  }
}

/** @throws a typed error `'daemon-path'` */
export function checkSocketPath(path: string): string {
  if (path === '' || Buffer.byteLength(path) > MOST_PATH) {
    throw machinistError({ code: 'daemon-path', part: 'socket', value: path, remedy: `Use a path of 1 to ${MOST_PATH} bytes: set MACHINIST_SOCKET.` }, 'no path for a socket')
  }
  return path
}

/**
 * Makes a folder that this user alone may enter. One that is there already stays as it is, and must be this user's to write to and nobody else's, sticky or not.
 *
 * @throws typed errors: `'daemon-folder'` for one that belongs to another user, or that others may write to; `'file-…'`
 */
export function privateFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: OWNER_ONLY })
    const own = process.getuid?.()
    if (own === undefined) return
    const { uid, mode } = statSync(path)
    // Nor may another's link lead here.
    if (uid !== own || lstatSync(path).uid !== own) refuse(path, 'the folder belongs to another user', 'Use a folder of your own')
    if ((mode & OTHERS_WRITE) !== 0) refuse(path, 'others may write into the folder', 'Use one in which you alone may write (chmod go-w), or name one that is not there yet')
  } catch (error) {
    throw fileError(error, 'hypervisor', path)
  }
}

function refuse(path: string, problem: string, remedy: string): never {
  throw machinistError({ code: 'daemon-folder', part: 'hypervisor', value: path, remedy: `${remedy}: set MACHINIST_SOCKET and MACHINIST_STATE.` }, problem)
}
