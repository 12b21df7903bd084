import type { Backend, NetPort } from '@machinist/api'
import type { HostLoop } from '@machinist/machine'
import { virtualSwitch } from '@machinist/network'
import { openPeer, type Peer } from './peer.ts'

/** Other stations of one network; beyond that the one that was not heard for longest is forgotten. */
const MOST_PEERS = 64

/** What {@link broadcastNetwork} may be told. */
export interface BroadcastOptions {
  /** Names the port in errors. */
  readonly part: string
  readonly loop: HostLoop
  /** The station's address; a random one unless given. */
  readonly address?: string
}

function randomHex(bytes: number): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** A locally administered address that nobody else has. */
function randomAddress(): string {
  return ['02', ...randomHex(5).match(/../g) ?? []].join(':')
}

const isStation = (value: unknown): value is string => typeof value === 'string' && /^[0-9a-f]{32}$/.test(value)

/**
 * A network of all machines of this origin that name it, in one tab or several. Each has a switch of its own, with a line to every other, and sends a frame where its address was heard, or to all. What waits
 * for a station is bounded: 1 MiB on its way, and 256 frames in a queue. Frames are lost beyond that, as networks lose frames.
 */
export function broadcastNetwork(network: string, { part, loop, address = randomAddress() }: BroadcastOptions): Backend<NetPort> {
  const own = virtualSwitch({ name: network })
  const device = own.port({ name: part, address })
  const id = randomHex(16)
  const peers = new Map<string, Peer>()
  const title = `machinist:switch:${network}`
  /** Where stations find one another: one that is new calls, and those that are there answer. */
  const hall = new BroadcastChannel(title)

  const forget = (other: string, why?: 'left' | 'lost'): void => {
    peers.get(other)?.close(why)
    peers.delete(other)
  }
  const meet = (other: string): void => {
    if (peers.size >= MOST_PEERS) {
      const [[oldest] = ['']] = [...peers].sort(([, one], [, another]) => one.heard - another.heard)
      forget(oldest)
    }
    peers.set(other, openPeer(own, `${title}:${[id, other].sort().join(':')}`, loop, (why) => {
      forget(other, why === 'stuck' ? 'lost' : 'left')
      // It was this one that took nothing, as a tab does that the browser froze.
      if (why !== 'lost') return
      meet(other)
      hall.postMessage({ from: id, to: other })
    }))
  }
  hall.onmessage = (event: unknown) => {
    const { data } = event as { readonly data: unknown }
    if (typeof data !== 'object' || data === null) return
    const { from, to } = data as { readonly from?: unknown; readonly to?: unknown }
    if (!isStation(from) || from === id || (to !== undefined && to !== id)) return
    if (!peers.has(from)) meet(from)
    if (to === undefined) hall.postMessage({ from: id, to: from })
  }
  hall.postMessage({ from: id })

  return {
    kind: 'net',
    connect: (deliver, clock) => device.connect(deliver, clock),
    save: () => device.save?.() ?? [],
    restore: (saved, where) => device.restore?.(saved, where) ?? false,
    close() {
      hall.close()
      for (const other of [...peers.keys()]) forget(other)
      device.close()
    },
  }
}
