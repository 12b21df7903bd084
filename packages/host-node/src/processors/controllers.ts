import { diskController, memoryController, networkController, type ResourceController, spaceController } from '@machinist/hypervisor'
import type { SwapFile } from '@machinist/memory'
import { swapFile } from '../swap/swap-file.ts'

/** What {@link nodeControllers} may be told. */
export interface NodeControllersOptions {
  /** The folder for what memory has no room for; the one for temporary files unless given. */
  readonly swapFolder?: string
  /** Bytes that may go there, 4 GiB unless given; 0 for none. */
  readonly swapSize?: number
}

/** Who shares out memory, disks, networks and room on datastores among the machines of a processor in this process: what {@link serveProcessor} has unless it is given others. Memory goes to a swap file, where one can be made. */
export function nodeControllers({ swapFolder, swapSize }: NodeControllersOptions = {}): readonly ResourceController[] {
  const swap = swapSize === 0 ? null : swapOf({ ...(swapFolder !== undefined && { folder: swapFolder }), ...(swapSize !== undefined && { size: swapSize }) })
  return [memoryController(swap === null ? {} : { swap }), diskController(), networkController(), spaceController()]
}

function swapOf(options: NonNullable<Parameters<typeof swapFile>[0]>): SwapFile | null {
  try {
    return swapFile(options)
  } catch (error) {
    // A folder that somebody chose is one that must be there.
    if (options.folder !== undefined || options.size !== undefined) throw error
    return null
  }
}
