import { isMainThread, parentPort } from 'node:worker_threads'
import { machinistError } from '@machinist/api'
import { type FromProcessor, type ProcessorOptions, runProcessor, type ToProcessor } from '@machinist/hypervisor'
import { nodeHost } from '../node-host.ts'
import { threadCpuTime } from './cpu-clock.ts'
import { machineLoader } from './machine-loader.ts'
import { PortChannel } from './port-channel.ts'

/** Options of {@link serveProcessor}: what is not given is this process, its files, and the CPU clock of the thread. */
export type ServeProcessorOptions = Partial<ProcessorOptions> & Pick<ProcessorOptions, 'catalogue'>

/**
 * Makes this worker thread a processor: for the module that {@link workerProcessor} is given.
 *
 * @throws a typed error `'no-worker'` outside of a worker thread
 */
export function serveProcessor({ catalogue, host = nodeHost(), loader = machineLoader(), cpuTime = threadCpuTime() ?? host.loop.now.bind(host.loop), ...options }: ServeProcessorOptions): void {
  const port = parentPort
  if (isMainThread || port === null) throw machinistError({ code: 'no-worker', part: 'processor', remedy: 'Start it with workerProcessor.' }, 'this is no worker thread')
  runProcessor(new PortChannel<FromProcessor, ToProcessor>(port, () => { port.close() }), { ...options, catalogue, host, loader, cpuTime })
}
