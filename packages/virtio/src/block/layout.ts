/** Numbers of the block device (virtio 1.2, 5.2). */

/** Feature bits (5.2.3). */
export const blockFeature = {
  sizeMax: 1, segMax: 2, readOnly: 5, blockSize: 6, flush: 9, topology: 10, configWce: 11, multiQueue: 12, discard: 13, writeZeroes: 14,
} as const

/** Byte offsets in the configuration space (5.2.4). */
export const blockConfig = {
  capacity: 0, sizeMax: 8, segMax: 12, blockSize: 20, physicalBlockExp: 24, alignmentOffset: 25, minIoSize: 26, optIoSize: 28,
  writeback: 32, numQueues: 34, maxDiscardSectors: 36, maxDiscardSegments: 40, discardSectorAlignment: 44,
  maxWriteZeroesSectors: 48, maxWriteZeroesSegments: 52, writeZeroesMayUnmap: 56, size: 60,
} as const

/** Request types (5.2.6). */
export const requestType = { in: 0, out: 1, flush: 4, getId: 8, discard: 11, writeZeroes: 13 } as const

/** Status bytes (5.2.6). */
export const requestStatus = { ok: 0, ioError: 1, unsupported: 2 } as const

/** Type, reserved and sector, before the data (5.2.6). */
export const headerSize = 16
/** `struct virtio_blk_discard_write_zeroes` (5.2.6). */
export const rangeSize = 16
/** Its flag `unmap`. */
export const rangeUnmap = 1
/** Bytes of the device ID string (5.2.6). */
export const idSize = 20
/** Capacity and positions are in sectors, whatever the block size (5.2.4). */
export const sectorSize = 512

/** Limits that the configuration space tells the driver. */
export const blockLimits = {
  /** Bytes that one segment should have at most, and that we move at once. */
  transfer: 0x10_0000,
  discardSectors: 0x40_0000,
  discardSegments: 32,
  /** Small, since a host that cannot punch holes has to write them. */
  writeZeroesSectors: 0x1_0000,
  writeZeroesSegments: 1,
} as const
