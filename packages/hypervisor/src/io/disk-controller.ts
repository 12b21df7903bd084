import type { Backend, BlockPort } from '@machinist/api'
import { type DiskFlow, limited } from '@machinist/storage'
import type { ResourceController } from '../contract/controller.ts'
import { type IoControllerOptions, RateController } from './rate-controller.ts'

/** A request counts as at least so many bytes. */
const LEAST = 4096

/**
 * Shares out disk I/O among the machines of a processor: limiters stand before all their disks, by the host's time. Reservations and limits are kept, what one does not take goes to those that want it, by their
 * shares, and a disk that was idle may do 20 ms of its rate at once.
 */
export function diskController(options: IoControllerOptions = {}): ResourceController {
  return new RateController<DiskFlow>({
    kind: 'disk',
    backend: 'block',
    limiter(found, clock, onHeld) {
      // Its kind was looked at.
      const disk = limited(found as Backend<BlockPort>, {}, { clock, leastBytes: LEAST, onHeld })
      return {
        backend: disk,
        limiter: {
          get flow() { return disk.flow },
          limit(rate, burst) { disk.setLimits(rate === Infinity ? {} : { bytesPerSecond: rate, burstBytes: burst }) },
        },
      }
    },
    waiting: ({ waitingBytes }) => waitingBytes,
    report: (flows) => ({
      disk: flows.reduce((sum, flow) => ({
        readBytes: sum.readBytes + flow.readBytes, writtenBytes: sum.writtenBytes + flow.writtenBytes, requests: sum.requests + flow.requests,
      }), { readBytes: 0, writtenBytes: 0, requests: 0 }),
    }),
  }, options)
}
