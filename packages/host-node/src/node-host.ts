import { randomFillSync } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { type Backend, type BackendKind, type MachinistError, machinistError } from '@machinist/api'
import { type BackendDescriptor, type HostLoop, type MachineHost, parseNumber } from '@machinist/machine'
import { balloonControl, memoryControl } from '@machinist/virtio'
import { withLimits } from '@machinist/storage'
import { createMemory } from '@machinist/wasm'
import { stream } from './console/char-stream.ts'
import { unnamedDisk } from './disks/unnamed.ts'
import { fileDisk } from './files/file.ts'
import { diskOptions } from './disks/machine-disks.ts'
import { sharedFolder } from './share/folder-share.ts'
import { membersHere, type NetworkMembers } from './network/network-members.ts'
import { natFrom } from './network/networks.ts'
import { tap } from './network/tap.ts'
import { discardable } from './system/discard.ts'
import { terminal } from './console/terminal.ts'
import { unixSockets } from './vsock/unix-sockets.ts'

const WASM_PAGE = 65536
/** What an arena needs before anything is allocated in it. */
const INITIAL_PAGES = 16
const NS_PER_MS = 1e6
/** Node's timers are no finer than a millisecond: for less than this, turns of the event loop are closer to the mark. */
const TURN_INSTEAD = 250_000

/** Node's event loop. Time is the monotonic clock's, in nanoseconds since the process began. */
export const nodeLoop: HostLoop = {
  now: () => Math.floor(performance.now() * NS_PER_MS),
  soon(callback) { setImmediate(callback) },
  after(ns, callback) {
    if (ns < TURN_INSTEAD) {
      const handle = setImmediate(callback)
      return () => { clearImmediate(handle) }
    }
    // A timer's delay is a 32-bit number of milliseconds; waking early does no harm.
    const handle = setTimeout(callback, Math.min(2 ** 31 - 1, Math.max(1, Math.floor(ns / NS_PER_MS))))
    return () => { clearTimeout(handle) }
  },
}

/** Options of {@link nodeHost}. */
export interface NodeHostOptions {
  /** Backends by the names that definitions may use. */
  readonly backends?: Readonly<Record<string, Backend<unknown>>>
  /** Most bytes for one machine, 4 GiB unless given. */
  readonly maximumMemory?: number
  /** Networks with names, in which machines are together; those of this process unless given. */
  readonly networks?: NetworkMembers
  /** The machine that this host is for, where it is for one: in networks with names its devices are called after it, and so have the same addresses wherever it runs. */
  readonly machine?: string
}

const here = membersHere(nodeLoop)

/**
 * This process as a host: Node's event loop, shared WebAssembly memory, the kernel's random numbers and clock. For
 * definitions from files it knows the backends `'terminal'`, `'stdout'`, `{ type: 'disk', path, mode, limits }` for raw images
 * (`openDisks` opens those of other formats beforehand), `{ type: 'folder', path, readOnly, owners }`, `{ type: 'unix', path }`, `'nat'`
 * (or `{ type: 'nat', … }`; with `switch`, one network for all that name it), `{ type: 'switch', name }`, `{ type: 'tap', name }`, and controls `{ type: 'balloon', target }` and `{ type: 'memory', target }` (`target` in bytes, or text such as `'64M'`; 0 unless given).
 */
export function nodeHost(options: NodeHostOptions = {}): MachineHost {
  return {
    loop: nodeLoop,
    ...(options.maximumMemory === undefined ? {} : { maximumMemory: options.maximumMemory }),
    linearMemory(maximum) {
      try {
        return discardable(createMemory({ initial: INITIAL_PAGES, maximum: Math.max(INITIAL_PAGES, Math.floor(maximum / WASM_PAGE)), shared: true }))
      } catch {
        throw machinistError(
          { code: 'host-memory', part: 'memory', value: `${maximum} bytes`, remedy: 'Raise the limit on virtual memory (ulimit -v), or run fewer machines.' },
          'the host has no address space for a machine')
      }
    },
    entropy: { fill(into) { randomFillSync(into) } },
    wallClock: { now: wallClock },
    inflate: (bytes, limit) => {
      try {
        return new Uint8Array(gunzipSync(bytes, { maxOutputLength: limit }))
      } catch {
        throw machinistError({ code: 'image-compressed', part: 'kernel', remedy: 'Check the file with gzip -t.' }, 'its gzip data is damaged or too large')
      }
    },
    backend: (descriptor, kind, part) => byName(descriptor, kind, part, options),
  }
}

/** Follows the system's clock, with the fine resolution of the monotonic one. */
function wallClock(): bigint {
  return BigInt(Date.now()) * 1_000_000n + BigInt(Math.floor((performance.now() % 1) * NS_PER_MS))
}

function byName(descriptor: BackendDescriptor, kind: BackendKind, part: string, { backends: known = {}, networks = here, machine }: NodeHostOptions): Backend<unknown> | null {
  const name = typeof descriptor === 'string' ? descriptor : descriptor.type
  const given = Object.hasOwn(known, name) ? known[name] : undefined
  if (given !== undefined) return given
  if (kind === 'char' && name === 'terminal') return terminal()
  if (kind === 'char' && name === 'stdout') return stream({ output: process.stdout })
  if (kind === 'block' && name === 'disk' && typeof descriptor === 'object') {
    if (descriptor['datastore'] !== undefined) throw machinistError({ code: 'backend-option', part, value: String(descriptor['datastore']), remedy: 'Open the disks of the machine with openDisks first.' }, 'a disk of a datastore does not open at once')
    const { path, mode, options: { format, lock } } = diskOptions(descriptor, part)
    if (format !== undefined && format !== 'raw') throw machinistError({ code: 'backend-option', part, value: format, remedy: 'Open the disks of the machine with openDisks first.' }, 'only a raw image opens at once')
    const open = format === undefined ? unnamedDisk : fileDisk
    return withLimits(open(path, { name: part, mode, ...(lock !== undefined && { lock }) }), descriptor['limits'], part)
  }
  if (kind === 'vsock' && name === 'unix' && typeof descriptor === 'object') {
    const { path } = descriptor
    if (typeof path !== 'string') throw machinistError({ code: 'backend-option', part, value: String(path), remedy: 'Give the path of a socket.' }, 'sockets without a path')
    return unixSockets(path, { name: part })
  }
  if (kind === 'balloon' && name === 'balloon') return balloonControl({ target: targetOf(descriptor, part) })
  if (kind === 'hotplug' && name === 'memory') return memoryControl({ target: targetOf(descriptor, part) })
  if (kind === 'files' && name === 'folder' && typeof descriptor === 'object') return folderOf(descriptor, part)
  const shared = kind === 'net' ? networks.backend(descriptor, part, machine === undefined ? undefined : `${machine}/${part}`) : null
  if (shared !== null) return shared
  if (kind === 'net' && name === 'nat') return natFrom(descriptor, part, (message) => { process.emitWarning(message, { code: 'MACHINIST_NAT' }) })
  if (kind === 'net' && name === 'tap') {
    const device = typeof descriptor === 'object' ? descriptor['name'] : undefined
    if (typeof device !== 'string') throw machinistError({ code: 'backend-option', part, value: String(device), remedy: "Give its name, such as 'tap0'." }, 'a TAP device without a name')
    return tap(device, { part })
  }
  return null
}

/** Bytes that a balloon or pluggable memory is asked for at first. */
function targetOf(descriptor: BackendDescriptor, part: string): number {
  return typeof descriptor === 'string' ? 0 : parseNumber(descriptor['target'] ?? 0, part)
}

function folderOf(descriptor: Readonly<Record<string, unknown>>, part: string): Backend<unknown> {
  const { path, readOnly = false, owners = 'squash' } = descriptor
  const refuse = (value: unknown, remedy: string, problem: string): MachinistError =>
    machinistError({ code: 'backend-option', part, value: String(value), remedy }, problem)
  if (typeof path !== 'string') throw refuse(path, 'Give the path of a folder.', 'a folder without a path')
  if (typeof readOnly !== 'boolean') throw refuse(readOnly, 'Use true or false.', 'readOnly is not a boolean')
  if (owners !== 'squash' && owners !== 'host') throw refuse(owners, "Use 'squash' or 'host'.", 'no such rule for owners')
  return sharedFolder(path, { name: part, readOnly, owners })
}
