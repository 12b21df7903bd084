import { isMainThread, parentPort } from 'node:worker_threads'
import { machinistError } from '@machinist/api'
import { type FromProcessor, type MachineSpec, type ProcessorOptions, runProcessor, type ToProcessor } from '@machinist/hypervisor'
import type { MachineHost } from '@machinist/machine'
import { networkMembers, type NetworkMembers } from '../network/network-members.ts'
import type { FromNetworks, ToNetworks } from '../network/shared-networks.ts'
import { nodeHost, nodeLoop } from '../node-host.ts'
import { nodeControllers } from './controllers.ts'
import { threadCpuTime } from './cpu-clock.ts'
import { machineLoader } from './machine-loader.ts'
import { PortChannel } from './port-channel.ts'
import type { NetworksMessage } from './worker-processor.ts'

/** Options of {@link serveProcessor}: what is not given is this process, its files, the CPU clock of the thread, and {@link nodeControllers}. */
export type ServeProcessorOptions = Partial<ProcessorOptions> & Pick<ProcessorOptions, 'catalogue'>

/**
 * Makes this worker thread a processor: for the module that {@link workerProcessor} is given.
 *
 * @throws a typed error `'no-worker'` outside of a worker thread
 */
export function serveProcessor({ catalogue, host, loader = machineLoader(), cpuTime = threadCpuTime() ?? (() => (host?.loop ?? nodeLoop).now()), controllers = nodeControllers(), ...options }: ServeProcessorOptions): void {
  const port = parentPort
  if (isMainThread || port === null) throw machinistError({ code: 'no-worker', part: 'processor', remedy: 'Start it with workerProcessor.' }, 'this is no worker thread')
  let networks: NetworkMembers | undefined
  // The first of all messages, of which the processor makes nothing: no machine is made before it.
  port.once('message', ({ port: line }: NetworksMessage) => {
    networks = networkMembers(new PortChannel<ToNetworks, FromNetworks>(line, () => { line.close() }))
    line.unref()
  })
  const hostOf = ({ name }: MachineSpec): MachineHost => host ?? nodeHost({ machine: name, ...(networks !== undefined && { networks }) })
  runProcessor(new PortChannel<FromProcessor, ToProcessor>(port, () => { port.close() }), { hostOf, ...options, catalogue, host: host ?? nodeHost(), loader, cpuTime, controllers })
}
