import { type Backend, type NetPort, machinistError } from '@machinist/api'
import { Engine, type NatStats } from './engine.ts'
import { type NatOptions, natSettings } from './options.ts'
import type { HostSockets } from './sockets.ts'

/** A NAT as a backend of a network device or of a switch. */
export interface Nat extends Backend<NetPort> {
  readonly kind: 'net'
  readonly stats: NatStats
  close(): void
}

/**
 * A network in user mode: guests get addresses, a router and a resolver, and reach the world through sockets of the host,
 * with no privilege. See docs/design/network.md for what is let through.
 *
 * @param sockets - what the host gives; closed with the NAT
 * @throws a typed error `'nat-option'`
 */
export function nat(sockets: HostSockets, options: NatOptions = {}): Nat {
  const settings = natSettings(options)
  let engine: Engine | null = null
  return {
    kind: 'net',
    get stats() { return engine?.stats ?? { connections: 0, conversations: 0, dropped: 0 } },
    connect(deliver, clock) {
      if (engine !== null) {
        throw machinistError({ code: 'nat-connected', part: 'nat', remedy: 'Give each device a NAT of its own, or put a switch between.' }, 'it has a device already')
      }
      engine = new Engine(sockets, settings, deliver, clock)
      return engine
    },
    close() {
      engine?.close()
      sockets.close()
    },
  }
}
