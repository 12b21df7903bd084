import type { Backend, BackendClock, NetPort } from '@machinist/api'
import { backendStateFields, machinistError } from '@machinist/api'
import { levelOf, type Level } from './token-bucket.ts'
import { Turnstile } from './turnstile.ts'

/** How much may pass between a device and a network. */
export interface NetworkLimits {
  /** Bytes a second, sent and received together, as on an Ethernet wire: each frame has 24 bytes more than its own. From 1; without a limit unless given. */
  readonly bytesPerSecond?: number
  /** Bytes that may pass at once after a pause, from 1. Default: a tenth of a second's worth, at least 1600. */
  readonly burstBytes?: number
}

/** Options of {@link limitedNetwork}. */
export interface LimitedNetworkOptions {
  /** The time by which the limits hold: that of a host, for what several machines share. That of the machine unless given. */
  readonly clock?: BackendClock
  /** Told when a frame has to wait because of the limits, and none did before. It may set them. */
  readonly onHeld?: () => void
}

/** What passed since it was made, and what waits. */
export interface NetworkFlow {
  readonly sentBytes: number
  readonly receivedBytes: number
  readonly frames: number
  /** Bytes as on the wire. */
  readonly countedBytes: number
  /** Frames that wait as far as is known: those that were refused to the machine, at most one for each direction. */
  readonly waitingFrames: number
  /** Nanoseconds for which something waited because of the limits. */
  readonly heldTime: number
}

/** A network behind limits that may be changed while the machine runs. */
export interface LimitedNetwork extends Backend<NetPort> {
  readonly kind: 'net'
  /** Limits from now on; what waits goes by them. @throws a typed error, `'network-limit'`; nothing has changed then */
  setLimits(limits: NetworkLimits): void
  readonly flow: NetworkFlow
}

function check(limits: NetworkLimits): NetworkLimits {
  for (const [name, value] of Object.entries(limits) as readonly [string, unknown][]) {
    if (value === undefined || (typeof value === 'number' && value >= 1 && Number.isFinite(value))) continue
    throw machinistError({ code: 'network-limit', part: 'network', value: `${name}: ${String(value)}`, remedy: 'Use a number from 1.' }, 'is not a limit')
  }
  return limits
}

/**
 * A network through which no more passes than so many bytes a second, in both directions together. A machine that sends more waits, and what is to be received stays in the network, with
 * the bounds that are there. A frame passes while anything is left, and what it took too much is owed by the next one. When frames wait in both directions they take turns. How much is left or owed is in
 * snapshots of the machine, when limits go by its time.
 *
 * @throws a typed error, `'network-limit'`, for a limit that is none; when connected without a clock, `'port-clock'`
 */
export function limitedNetwork(network: Backend<NetPort>, limits: NetworkLimits = {}, options: LimitedNetworkOptions = {}): LimitedNetwork {
  return behind(network, check(limits), options, null)
}

function behind(network: Backend<NetPort>, given: NetworkLimits, options: LimitedNetworkOptions, restored: Level | null): LimitedNetwork {
  let limits = given
  let before = restored
  let gate: Turnstile | null = null
  const level = (): Level | null => gate === null ? before : gate.level
  const { fork } = network
  return {
    kind: 'net',
    connect(deliver, machineClock) {
      const clock = options.clock ?? machineClock
      if (clock === undefined) throw machinistError({ code: 'port-clock', part: 'network', remedy: 'Connect it to a machine, or give connect a clock.' }, 'a limit needs a clock')
      gate = new Turnstile(network.connect(deliver, machineClock), limits, clock, before, deliver, options.onHeld)
      return gate.port
    },
    setLimits(next) {
      limits = check(next)
      gate?.set(limits)
    },
    get flow() {
      return gate?.flow ?? { sentBytes: 0, receivedBytes: 0, frames: 0, countedBytes: 0, waitingFrames: 0, heldTime: 0 }
    },
    save() {
      const left = options.clock === undefined ? level() : null
      return [...left === null ? [] : [{ kind: 'network-limits', version: 1, state: left }], ...network.save?.() ?? []]
    },
    restore(saved, part) {
      if (saved.kind !== 'network-limits' || options.clock !== undefined) return network.restore?.(saved, part) ?? false
      before = levelOf(backendStateFields(saved, 1, part), part)
      return true
    },
    ...(fork && { fork: () => behind(fork.call(network), limits, options, options.clock === undefined ? level() : null) }),
    quiesce() { network.quiesce?.() },
    close() {
      gate?.close()
      network.close?.()
    },
  }
}
