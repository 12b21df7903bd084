import type { Backend, BackendKind, EntropyPort, WallClockPort } from '@machinist/api'
import type { Arena, ArenaOptions, LinearMemory } from '@machinist/memory'
import type { BackendDescriptor } from '../definition/definition.ts'

/** The host's event loop, as far as a machine needs it. */
export interface HostLoop {
  /** Monotonic time in nanoseconds. */
  now(): number
  /** Calls back in a new turn of the loop, after pending I/O has had its turn. */
  soon(callback: () => void): void
  /** Calls back after at least `ns` nanoseconds, or a little earlier; the function it returns cancels. */
  after(ns: number, callback: () => void): () => void
  /** When the first of what is to be called back is due, on a host that ends the run of a machine's hart as soon as anything else comes in; absent elsewhere. Runs may be longer then. */
  readonly due?: number
}

/** What a machine needs of the place where it runs. */
export interface MachineHost {
  readonly loop: HostLoop
  /** A new linear memory that can grow to `maximum` bytes and begins small. */
  linearMemory(maximum: number): LinearMemory
  /** Bytes that a machine may take in all: RAM, and a few per cent for its own structures. 4 GiB unless given. */
  readonly maximumMemory?: number
  /**
   * The arena of a machine that is about to be made or restored, which may have others in it: they trust one another, as memory that is equal is told from memory that is not by how long a write takes. Machines of one arena have the same
   * linear memory, share translated code, and may share frames. A new arena for each machine unless given. It goes with its last machine, unless it was made to be kept.
   *
   * @param options - of an arena that is made now
   */
  arena?(options?: ArenaOptions): Arena
  /** True: what is more than one arena has room for may lie in several of those that `arena` gives one after the other, as `WideMemory`. For a host whose CPUs know of its pieces; false unless given. */
  readonly spreads?: boolean
  readonly entropy?: EntropyPort
  readonly wallClock?: WallClockPort
  /** Makes the backend that a definition names, or null when the host has none of that name. */
  backend?(descriptor: BackendDescriptor, kind: BackendKind, part: string): Backend<unknown> | null
  /**
   * Stands between a part and its backend, whoever made that: returns what the part is connected to in its place, or the backend itself. Asked each time that a machine with this host is made, and so for copies too.
   *
   * @param part - part and port: `'disk0.disk'`
   */
  attach?(backend: Backend<unknown>, kind: BackendKind, part: string): Backend<unknown>
  /** Decompresses gzip, for kernels that are, sooner than ECMAScript does. At most `limit` bytes come out. Hosts whose decompressors are streams unpack kernels as they load them. */
  inflate?(bytes: Uint8Array, limit: number): Uint8Array
}
