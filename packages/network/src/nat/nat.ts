import { type Backend, type NetPort, machinistError } from '@machinist/api'
import { macText } from '@machinist/packets'
import { Engine, type NatStats } from './engine.ts'
import { type NatOptions, natSettings } from './options.ts'
import type { JoinOutside } from './outside.ts'
import { natState, type NatState, natStateOf } from './saved.ts'
import type { HostSockets } from './sockets.ts'

/** A NAT as a backend of a network device or of a switch. */
export interface Nat extends Backend<NetPort> {
  readonly kind: 'net'
  /** The gateway's Ethernet address. */
  readonly address: string
  readonly stats: NatStats
  close(): void
}

/**
 * A network in user mode: guests get addresses, a router and a resolver, and reach the world through sockets of the host,
 * with no privilege. See docs/design/network.md for what is let through.
 *
 * A snapshot of the machine has the leases and where guests are. Connections are gone in a machine that goes on from it, and its guest is told
 * so by resets; ports of the host are opened anew. The NAT of a copy, where the sockets can be had again (`HostSockets.fork`), is the same without the forwards
 * of ports that have a number: these stay with the machine.
 *
 * @param sockets - what the host gives; closed with the NAT
 * @throws a typed error `'nat-option'`
 */
export function nat(sockets: HostSockets, options: NatOptions = {}): Nat {
  return natOf(sockets, options, null)
}

/** The same, with what carries packets on in the place of most of the sockets. */
export function natOf(sockets: HostSockets, options: NatOptions, joinOutside: JoinOutside | null): Nat {
  const settings = natSettings(options)
  let engine: Engine | null = null
  let restored: NatState | null = null
  const save = (): NatState | null => engine?.save() ?? restored
  const { fork } = sockets
  return {
    kind: 'net',
    address: macText(settings.mac),
    get stats() { return engine?.stats ?? { connections: 0, conversations: 0, dropped: 0 } },
    connect(deliver, clock) {
      if (engine !== null) {
        throw machinistError({ code: 'nat-connected', part: 'nat', remedy: 'Give each device a NAT of its own, or put a switch between.' }, 'it has a device already')
      }
      engine = new Engine(sockets, settings, deliver, clock, restored, joinOutside)
      return engine
    },
    save() {
      const state = save()
      return state === null ? [] : [natState(state)]
    },
    restore(saved, part) {
      const state = natStateOf(saved, part)
      restored = state ?? restored
      return state !== null
    },
    ...(fork && {
      fork() {
        const copy = natOf(fork.call(sockets), { ...options, forward: settings.forwards.filter(({ from: { port } }) => port === 0).map(({ text }) => text) }, joinOutside)
        const state = save()
        if (state !== null) copy.restore?.(natState(state), 'nat')
        return copy
      },
    }),
    park: () => engine?.park() ?? (() => {}),
    close() {
      engine?.close()
      sockets.close()
    },
  }
}
