import { MessageChannel, type MessagePort, type ResourceLimits, Worker } from 'node:worker_threads'
import type { FromProcessor, ProcessorChannel, ToProcessor } from '@machinist/hypervisor'
import { type FromNetworks, processNetworks, type SharedNetworks, type ToNetworks } from '../network/shared-networks.ts'
import { PortChannel } from './port-channel.ts'

/** How many looks a processor may say nothing. */
const LOOKS = 10

/** Options of {@link workerProcessor}. */
export interface WorkerProcessorOptions {
  /** Milliseconds after which a processor that says nothing is ended: a part of a machine does not give its thread back. 30 000 unless given; 0 for never. */
  readonly patience?: number
  /** What the module finds as `workerData`. */
  readonly data?: unknown
  /** Limits of its JavaScript heap, not of guests' memory. */
  readonly resourceLimits?: ResourceLimits
  /** Networks with names, in which its machines are with those of other processors; those of this process unless given. */
  readonly networks?: SharedNetworks
}

/** What a processor hears before anything else: its line to the networks. */
export interface NetworksMessage {
  readonly type: 'networks'
  readonly port: MessagePort
}

/**
 * Opens a processor in a worker thread: for `createHypervisor({ open })`.
 *
 * When the thread ends, whatever the reason, or says nothing for too long, the processor has gone: its machines are lost, and others do not notice.
 *
 * @param module - what the thread runs: a module that calls {@link serveProcessor}
 */
export function workerProcessor(module: URL | string, { patience = 30_000, data, resourceLimits, networks = processNetworks }: WorkerProcessorOptions = {}): ProcessorChannel {
  const worker = new Worker(module, { workerData: data, ...(resourceLimits !== undefined && { resourceLimits }) })
  const { port1, port2 } = new MessageChannel()
  const takeOut = networks.serve(new PortChannel<FromNetworks, ToNetworks>(port1, () => { port1.close() }))
  port1.unref()
  worker.postMessage({ type: 'networks', port: port2 } satisfies NetworksMessage, [port2])
  let reason: string | null = null
  let silent = 0
  const channel = new PortChannel<ToProcessor, FromProcessor>(worker, () => {
    clearInterval(watch)
    takeOut()
    void worker.terminate()
  })
  let watch: NodeJS.Timeout | undefined
  worker.on('message', () => {
    silent = 0
    if (patience === 0) return
    // Not before it has begun. A process that was stopped sees one look, and then what has been said meanwhile.
    watch ??= setInterval(() => {
      if (++silent < LOOKS) return
      reason ??= `it said nothing for ${String(patience / 1000)} s`
      void worker.terminate()
    }, Math.max(1, patience / LOOKS)).unref()
  })
  worker.on('error', (error: unknown) => { reason ??= error instanceof Error ? error.message : String(error) })
  worker.on('exit', (code) => {
    clearInterval(watch)
    takeOut()
    channel.lose(reason ?? `its thread ended with status ${String(code)}`)
  })
  return channel
}
