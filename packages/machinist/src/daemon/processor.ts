import { boardCatalogue } from '@machinist/boards'
import { machineLoader, nodeHost, nodeLoop, serveProcessor, threadCpuTime } from '@machinist/host-node'
import { type FromProcessor, localChannel, type MachineLoader, type ProcessorChannel, runProcessor, type ToProcessor } from '@machinist/hypervisor'
import { readMachineFile } from '../machine-file.ts'

/** Makes machines of definitions, machine files and snapshots of this host. */
const loader: MachineLoader = machineLoader({ readMachine: readMachineFile })

/** Makes this worker thread a processor, whose machines may have the parts of the `virt` machine. */
export function beProcessor(): void {
  serveProcessor({ catalogue: boardCatalogue, loader })
}

/** A processor in the thread of its hypervisor. */
export function localProcessor(): ProcessorChannel {
  const [control, processor] = localChannel<ToProcessor, FromProcessor>(nodeLoop)
  runProcessor(processor, { host: nodeHost(), hostOf: ({ name }) => nodeHost({ machine: name }), catalogue: boardCatalogue, loader, cpuTime: threadCpuTime() ?? (() => nodeLoop.now()) })
  return control
}
