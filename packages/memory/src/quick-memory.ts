import type { DmaSpace } from '@machinist/api'

/**
 * What a host can do to a machine's RAM more quickly than the engine of this program: by a call, which goes by the page map itself. It does what {@link GuestMemory} does, or says that it cannot (−1, `false`, no descriptors), having done nothing: for what is not RAM,
 * crosses a page, or needs a page to be given its frame first.
 */
export type QuickMemory = Pick<DmaSpace, 'read' | 'write' | 'read16' | 'read32' | 'readWords' | 'write16' | 'write32'> & Required<Pick<DmaSpace, 'readDescriptors'>>
