/** Bytes in a page of guest memory, and in the frame that backs it. */
export const PAGE_SIZE = 4096
