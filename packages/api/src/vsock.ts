/** Streams between ports of a guest and its host. */

/** The host's end of a stream. Both directions have back-pressure. */
export interface VsockStream {
  /** Sends bytes to the host; returns how many were taken. After a short count, wait for `writable`. */
  write(bytes: Uint8Array): number
  /** Takes at most `into.length` bytes that the host sent; returns how many. */
  read(into: Uint8Array): number
  /** Whether {@link read} would give something. */
  readonly readable: boolean
  /** The host sends nothing more than what {@link read} still gives. */
  readonly ended: boolean
  /** The guest sends nothing more. What was taken still arrives. */
  end(): void
  /** Ends both directions. What was taken still arrives. */
  close(): void
  /** Ends both directions at once. What was taken may be lost. */
  destroy(): void
  /** Registers the device's interest; all are called through the gate. `readable` also tells of the end; `failed`: the stream is gone. */
  listen(listener: { readable(): void, writable(): void, failed(): void }): void
}

/** A host's side of a socket device. Ports are 0 to 2^32 - 1. */
export interface VsockPort {
  /** The guest connects to a port of the host. `done` is told, through the gate, the stream, or null: it is refused. */
  connect(port: number, done: (stream: VsockStream | null) => void): void
  /**
   * Registers who takes connections of the host to a port of the guest. Called through the gate; `answered` is called
   * once, with the host's port of the connection, or null: the guest refuses.
   */
  listen(accept: (port: number, stream: VsockStream, answered: (hostPort: number | null) => void) => void): void
}
