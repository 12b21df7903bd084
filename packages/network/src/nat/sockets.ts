import type { Address } from './address.ts'

/** An address with a port. */
export interface Endpoint {
  readonly address: Address
  /** 1 to 65535; 0 asks for any where one listens. */
  readonly port: number
}

/** Why a socket ended, or never began. `'reset'` is the peer's doing; `'failed'` is everything else. */
export type SocketError = 'refused' | 'reset' | 'unreachable' | 'timeout' | 'denied' | 'in-use' | 'failed'

/** What happens at a TCP connection of the host. */
export interface StreamEvents {
  /** It is established; not for one that a listener accepted. */
  open(): void
  /** Bytes from the peer, which belong to the receiver: no more than it {@link HostStream.grant}ed, and one read. */
  data(bytes: Uint8Array): void
  /** The peer sends no more. */
  end(): void
  /** That many bytes that were written have left for the system. */
  sent(count: number): void
  /** Nothing follows. Null when both directions had ended. */
  closed(error: SocketError | null): void
}

/** A TCP connection of the host. Nothing here throws, at any time. */
export interface HostStream {
  /** Sends bytes and gives them away. How much waits is up to the caller, who is told what was sent. */
  write(bytes: Uint8Array): void
  /** Lets so many more bytes come by `data`. None come before. */
  grant(count: number): void
  /** Sends no more; what was written still goes, and a NAT calls it when all of it has. */
  end(): void
  /** Ends it at once, with a reset. No event follows. */
  abort(): void
}

/** A TCP socket that waits for connections. */
export interface HostListener {
  /** The port that was bound, once it was. */
  readonly port: number
  close(): void
}

/** A UDP socket of the host. Datagrams that do not fit anywhere are dropped. */
export interface HostDatagrams {
  /** `to` is needed where the socket was bound, and ignored where it is connected. Beyond some bytes that wait, datagrams are dropped. */
  send(bytes: Uint8Array, to?: Endpoint): void
  close(): void
}

/** What happens at a UDP socket. */
export interface DatagramEvents {
  message(bytes: Uint8Array, from: Endpoint): void
  /** The peer's system said that nobody listens, or the socket could not be made. */
  error(error: SocketError): void
}

/**
 * What a host gives to {@link nat}: sockets, a resolver and a clock. Callbacks come whenever the host pleases; the NAT
 * takes each through the machine's gate before anything changes. Only what is here leaves the machine.
 */
export interface HostSockets {
  /** Connects by TCP. */
  connect(to: Endpoint, events: StreamEvents): HostStream
  /**
   * Waits for TCP connections.
   *
   * @param accept - is given the peer and its stream, and returns who is told of it; null resets it
   * @param failed - the address cannot be bound
   */
  listen(at: Endpoint, accept: (from: Endpoint, stream: HostStream) => StreamEvents | null, failed: (error: SocketError) => void): HostListener
  /** A UDP socket that is connected to `to`: it hears only from there. */
  datagrams(to: Endpoint, events: DatagramEvents): HostDatagrams
  /**
   * A UDP socket that is bound to `at`.
   *
   * @param failed - the address cannot be bound; what goes wrong later is told by `events.error`
   */
  bind(at: Endpoint, events: DatagramEvents, failed: (error: SocketError) => void): HostDatagrams
  /**
   * Asks the host's resolvers.
   *
   * @param query - a DNS message (RFC 1035, 4)
   * @param done - is given the answer, or null when there was none in time; called once
   */
  resolve(query: Uint8Array, done: (answer: Uint8Array | null) => void): void
  /** Sends an echo request; `done` is told whether an answer came. False: the system does not let this program do that, and `done` is not called. */
  ping?(to: Address, payload: Uint8Array, done: (answered: boolean) => void): boolean
  /** The host's own addresses, those of all its interfaces, now. */
  addresses(): readonly Address[]
  /** Calls back after about `ms` milliseconds; the function that it returns cancels. Asked only where no machine gives its time. */
  after(ms: number, callback: () => void): () => void
  /** 32 random bits, for sequence numbers that nobody guesses. */
  random(): number
  /** Others like these, for the NAT of a copy of the machine. Absent when there are none. */
  fork?(): HostSockets
  /** Closes whatever is open. */
  close(): void
}
