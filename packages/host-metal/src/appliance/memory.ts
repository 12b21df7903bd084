import { memoryController, type MemoryController } from '@machinist/hypervisor'
import type { MetalHost } from '../host.ts'
import type { Native } from '../native.ts'

/** The part of the memory for machines that is shared out. The rest is for what they take until pages of others have been taken, and for page maps. */
const SHARED = 15 / 16
/** The part of the engine's heap that compressed pages may take. */
const COMPRESSED = 1 / 4

/** Memory of machines on bare metal, as it is shared out. */
export interface SharedMemory {
  /** Bytes. */
  readonly capacity: number
  readonly controller: MemoryController
}

/** Shares out the hardware's memory: pages are merged and compressed by the kernel's own code. There is no swap file, so what cannot be compressed stays. */
export function sharedMemory(native: Native, { memory }: MetalHost): SharedMemory {
  const capacity = Math.floor((memory * SHARED) / 4096) * 4096
  const controller = memoryController({
    budget: capacity,
    codec: { compress: (page, into) => native.compress(page, into), decompress: (packed, into) => { native.decompress(packed, into) } },
    compressed: Math.min(1, (native.heap().size * COMPRESSED) / Math.max(1, capacity)),
  })
  return { capacity, controller }
}
