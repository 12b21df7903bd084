import type { BalloonPort } from './balloon.ts'
import type { HotplugPort } from './hotplug.ts'
import type { FilesPort } from './files.ts'
import type { BackendClock } from './clock.ts'
import type { AudioPort } from './audio.ts'
import type { DisplayPort } from './display.ts'
import type { InputPort } from './input.ts'
import type { NetPort } from './net.ts'
import type { VsockPort } from './vsock.ts'
import type { BackendState } from './backend-state.ts'

/**
 * What a host offers to devices. A backend never calls into a device directly: it hands its callbacks to
 * `deliver`, and the machine runs them between slices, in order, through the one gate by which anything from
 * outside enters.
 */
export interface Backend<Port> {
  readonly kind: string
  /**
   * Called once, when the machine is built.
   *
   * @param clock - the machine's time; every machine gives it, other callers need not
   */
  connect(deliver: Deliver, clock?: BackendClock): Port
  /**
   * A backend for a copy of the machine: what it has of its own is as it is now, and changes on either side are not seen on the other. Absent when
   * that cannot be.
   */
  fork?(): Backend<Port>
  /**
   * What it has of its own, to be kept in a snapshot of the machine: what the guest relies on and neither the backend's options nor the outside
   * world has. Called between slices, when it is connected and no request is under way; the machine goes on. Absent when there is nothing.
   */
  save?(): readonly BackendState[]
  /**
   * Takes back one of what `save` of a backend gave, perhaps elsewhere, in the order in which that gave them. Called before it is connected, and it may
   * be refused then. It is data from anywhere.
   *
   * @param part - names the backend in errors
   * @returns false, and nothing happens, for a kind of state that it has no use for
   * @throws a typed error `'state'`; the backend is of no use then
   */
  restore?(saved: BackendState, part: string): boolean
  /**
   * Requests that it holds back, for a limit say, go at once: the machine stands still and waits for all that is under way, to be saved or copied.
   */
  quiesce?(): void
  /**
   * How many requests are under way that no patience brings back, as they wait for somebody to make room on a disk. None of them reads or writes a buffer before it is tried again, and a machine is not kept from being saved or copied by those
   * of a device that does them again (`DeviceSpec.redoesRequests`). 0 when absent.
   */
  heldBack?(): number
  /**
   * The machine stands still, was saved, and goes on in another thread, if all goes well: what only one can have at a time, such as a lock or a port of the host, is given up, and what is not on the disk yet is written,
   * so that another backend can take this one's place. Then either the machine is disposed of, and `close` changes nothing that the other may have by now; or it goes on here after all, and what this returns or resolves to is
   * called, which takes it back. Absent when there is no such thing.
   */
  park?(): (() => void | Promise<void>) | Promise<() => void | Promise<void>>
  /** Releases host resources; called when the machine is disposed of. */
  close?(): void
}

/** Queues `callback` to run in the machine's thread between slices, in the order of the calls. */
export type Deliver = (callback: () => void) => void

/** What became of a block request. */
export type BlockStatus = 'ok' | 'io-error' | 'read-only' | 'out-of-range' | 'no-space' | 'unsupported'

/** A disk. Requests complete later, in any order, by `done`, which runs through the gate. */
export interface BlockPort {
  /** Capacity in bytes, a multiple of 512. */
  readonly size: number
  readonly readOnly: boolean
  /** Preferred transfer unit in bytes, a power of two from 512. */
  readonly blockSize: number
  /** Fills `into`, one after another, from byte `offset`. The buffers belong to the backend until `done`. */
  read(offset: number, into: readonly Uint8Array[], done: (status: BlockStatus) => void): void
  /**
   * Reads as `read` does into buffers that are only lent until it returns, such as views of guest memory: the bytes are there then, and `done`
   * is called with `'ok'` as ever. False when that cannot be, without waiting or at all: `done` will not be called, the buffers hold anything, and
   * `read` is the way. Absent when it never can.
   */
  readAtOnce?(offset: number, into: readonly Uint8Array[], done: (status: BlockStatus) => void): boolean
  write(offset: number, from: readonly Uint8Array[], done: (status: BlockStatus) => void): void
  /** Completes when everything that had completed before is on stable storage. */
  flush(done: (status: BlockStatus) => void): void
  /** Deallocates a range; its content becomes undefined. Absent when the backend cannot. */
  discard?(offset: number, length: number, done: (status: BlockStatus) => void): void
  writeZeroes?(offset: number, length: number, done: (status: BlockStatus) => void): void
}

/** A byte stream, both ways, with back-pressure: the device pulls input when it has room. */
export interface CharPort {
  /** Sends bytes to the host; returns how many were taken. After a short count, wait for `writable`. */
  write(bytes: Uint8Array): number
  /** Takes at most `into.length` bytes of input; returns how many. */
  read(into: Uint8Array): number
  /** No more input will come than what can be read already. `readable` is called when it becomes so. Absent: not yet. */
  readonly ended?: boolean
  /** Bytes that `write` will take, whenever it is called: room shrinks by what is written alone. Absent: unknown. */
  readonly room?: number
  /** Registers the device's interest. Both are called through the gate. */
  listen(listener: { readable(): void; writable(): void }): void
  /** Size of the terminal, when the stream is one. */
  readonly size?: { readonly columns: number; readonly rows: number } | undefined
  onResize?(listener: () => void): void
}

/** A {@link CharPort} as the machine gives it to a part. */
export interface CharLine extends CharPort {
  /**
   * Sends all bytes. What the host does not take at once is kept, and no hart runs until it has been taken: for output
   * whose guest cannot be told to wait. One call for what one access of a guest says, some kilobytes at most.
   */
  send(bytes: Uint8Array): void
  /** Says whether there is more output than was written, though all of that was taken: a guest that switches the machine off waits for it, too. */
  more(is: boolean): void
  /** Calls back, at once, when somebody else has written to the same line: there may be less room. */
  onShare?(listener: () => void): void
}

/** Random bytes from the host, at once. */
export interface EntropyPort {
  fill(into: Uint8Array): void
}

/** Wall-clock time. */
export interface WallClockPort {
  /** Nanoseconds since 1970-01-01T00:00:00Z, as an unsigned BigInt. */
  now(): bigint
}

/** Ends or restarts the machine, at the end of the guest's current instruction. */
export interface PowerPort {
  /** @param status - exit status that the guest asked for; 0 is success */
  off(status: number): void
  reset(): void
}

/** The kinds that the machine and hosts know, each with its port. Others may be added by any package. */
export interface BackendPorts {
  block: BlockPort
  char: CharPort
  net: NetPort
  audio: AudioPort
  display: DisplayPort
  files: FilesPort
  input: InputPort
  vsock: VsockPort
  balloon: BalloonPort
  hotplug: HotplugPort
  entropy: EntropyPort
  wallClock: WallClockPort
  power: PowerPort
}

export type BackendKind = keyof BackendPorts

/** What a part gets for each kind: the backend's port, of which the machine makes more for some. */
export interface PartPorts extends Omit<BackendPorts, 'char'> {
  char: CharLine
}

/** The ports for a device that declared `{ disk: 'block', … }`. */
export type PortsOf<Wants extends BackendWants> = { readonly [Name in keyof Wants]: PartPorts[Wants[Name]] }

/** Names a device gives to the capabilities it needs, each with its kind. */
export type BackendWants = Readonly<Record<string, BackendKind>>
