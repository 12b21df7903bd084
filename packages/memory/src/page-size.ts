/** Bytes in a page of guest memory, and in the frame that backs it. */
export const PAGE_SIZE = 4096

/** Pages of a block: those that one entry of the hardware's tables can map. */
export const BLOCK_FRAMES = 512

/** Bytes of a block, and its alignment. */
export const BLOCK_SIZE: number = BLOCK_FRAMES * PAGE_SIZE
