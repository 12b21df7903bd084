import { isMainThread, parentPort } from 'node:worker_threads'
import { machinistError } from '@machinist/api'
import { type FromProcessor, type ProcessorOptions, runProcessor, type ToProcessor } from '@machinist/hypervisor'
import { nodeHost } from '../node-host.ts'
import { nodeControllers } from './controllers.ts'
import { threadCpuTime } from './cpu-clock.ts'
import { machineLoader } from './machine-loader.ts'
import { PortChannel } from './port-channel.ts'

/** Options of {@link serveProcessor}: what is not given is this process, its files, the CPU clock of the thread, and {@link nodeControllers}. */
export type ServeProcessorOptions = Partial<ProcessorOptions> & Pick<ProcessorOptions, 'catalogue'>

/**
 * Makes this worker thread a processor: for the module that {@link workerProcessor} is given.
 *
 * @throws a typed error `'no-worker'` outside of a worker thread
 */
export function serveProcessor({ catalogue, host = nodeHost(), loader = machineLoader(), cpuTime = threadCpuTime() ?? host.loop.now.bind(host.loop), controllers = nodeControllers(), ...options }: ServeProcessorOptions): void {
  const port = parentPort
  if (isMainThread || port === null) throw machinistError({ code: 'no-worker', part: 'processor', remedy: 'Start it with workerProcessor.' }, 'this is no worker thread')
  runProcessor(new PortChannel<FromProcessor, ToProcessor>(port, () => { port.close() }), { ...options, catalogue, host, loader, cpuTime, controllers })
}
