import { availableParallelism } from 'node:os'
import { nodeLoop, workerProcessor } from '@machinist/host-node'
import { createHypervisor, type OwnHypervisor } from '@machinist/hypervisor'
import { processorScript } from '../own-program.ts'
import { localProcessor } from './processor.ts'

/** Threads that are made without being asked for: each takes some 70 MiB of the host. */
const MOST_THREADS = 8

/** What a hypervisor of this process may use of the host. */
export interface OwnChoice {
  /** Threads in which machines live; as many as there are CPUs, but 8 at most, unless given. */
  readonly processors?: number
  /** Bytes of the host's memory that machines share; no end unless given. */
  readonly memory?: number
}

/** A hypervisor of this process. From sources, where there is no script for threads, its machines live in this thread. */
export function ownHypervisor({ processors = Math.min(availableParallelism(), MOST_THREADS), memory }: OwnChoice = {}): OwnHypervisor {
  const script = processorScript()
  return createHypervisor({
    loop: nodeLoop,
    wallClock: () => BigInt(Date.now()) * 1_000_000n,
    ...(memory !== undefined && { capacity: { memory } }),
    ...(script === null ? { open: localProcessor } : { processors, open: () => workerProcessor(script) }),
  })
}
