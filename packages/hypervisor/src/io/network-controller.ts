import type { Backend, NetPort } from '@machinist/api'
import { limitedNetwork, type NetworkFlow } from '@machinist/network'
import type { ResourceController } from '../contract/controller.ts'
import { type IoControllerOptions, RateController } from './rate-controller.ts'

/** What a frame that waits is taken to have: its length is not known before it passes. */
const FRAME = 1538

/**
 * Shares out the network among the machines of a processor: limiters stand before all their networks, by the host's time. As {@link diskController}; what waits, waits in the guest or in the network, and is not
 * lost.
 */
export function networkController(options: IoControllerOptions = {}): ResourceController {
  return new RateController<NetworkFlow>({
    kind: 'network',
    backend: 'net',
    limiter(found, clock, onHeld) {
      // Its kind was looked at.
      const network = limitedNetwork(found as Backend<NetPort>, {}, { clock, onHeld })
      return {
        backend: network,
        limiter: {
          get flow() { return network.flow },
          limit(rate, burst) { network.setLimits(rate === Infinity ? {} : { bytesPerSecond: rate, burstBytes: burst }) },
        },
      }
    },
    waiting: ({ waitingFrames }) => waitingFrames * FRAME,
    report: (flows) => ({
      network: flows.reduce((sum, flow) => ({
        sentBytes: sum.sentBytes + flow.sentBytes, receivedBytes: sum.receivedBytes + flow.receivedBytes, frames: sum.frames + flow.frames,
      }), { sentBytes: 0, receivedBytes: 0, frames: 0 }),
    }),
  }, options)
}
