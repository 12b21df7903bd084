import { virtCatalogue } from '@machinist/boards'
import { nodeHost, nodeLoop } from '@machinist/host-node'
import { createHypervisor, type FromProcessor, localChannel, type OwnHypervisor, runProcessor, type ToProcessor } from '@machinist/hypervisor'
import { machineLoader } from './loader.ts'

/** CPU time of this process, in nanoseconds. */
function cpuTime(): number {
  const { user, system } = process.cpuUsage()
  return 1000 * (user + system)
}

/** A hypervisor of this process. */
export function ownHypervisor(): OwnHypervisor {
  return createHypervisor({
    loop: nodeLoop,
    wallClock: () => BigInt(Date.now()) * 1_000_000n,
    open() {
      const [control, processor] = localChannel<ToProcessor, FromProcessor>(nodeLoop)
      runProcessor(processor, { host: nodeHost(), catalogue: virtCatalogue, loader: machineLoader, cpuTime })
      return control
    },
  })
}
