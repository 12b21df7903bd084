import type { Frame } from '@machinist/api'
import type { NatContext } from './context.ts'
import type { Packet } from './packet.ts'

/** The inside of a NAT, as who carries its packets on sees it. */
export interface Inside {
  readonly context: NatContext
  /** Has guests given what is in the list when they may be, and empties it then. */
  push(frames: Frame[]): void
}

/** What carries packets of guests on as they are. The gateway keeps what is for itself, and refuses what may not pass. */
export interface Outside {
  /** Takes a plain frame for the gateway, if what is in it goes on with something that is under way. */
  known(bytes: Uint8Array): boolean
  /**
   * Takes an IPv4 packet whose source is that of its sender.
   *
   * @param mine - it is for an address of the gateway
   * @returns false when the gateway is to answer it, or to refuse it
   */
  take(packet: Packet, mine: boolean): boolean
  readonly stats: { readonly connections: number; readonly conversations: number }
  close(): void
}

/** Joins a NAT to what carries its packets on. */
export type JoinOutside = (inside: Inside) => Outside
