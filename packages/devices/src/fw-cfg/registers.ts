/**
 * QEMU's firmware configuration device (its docs/specs/fw_cfg.rst). In ports, the data register lies within the selector; in memory, data may be read 8 bytes at a time, and both the selector and the address of
 * the DMA interface have the high byte first, as that has in ports, too. So what an access is depends on its width as well, and registers are decoded by hand.
 */
export const ports = { selector: 0, data: 1, dmaHigh: 4, dmaLow: 8, size: 12 } as const
export const memory = { data: 0, selector: 8, dmaHigh: 16, dmaLow: 20, size: 24 } as const

/** What the DMA address register reads as: "QEMU CFG". */
export const DMA_SIGNATURE = [0x5145_4d55, 0x2043_4647] as const

/** Keys of items. */
export const Key = { signature: 0x0000, id: 0x0001, ramSize: 0x0003, harts: 0x0005, mostHarts: 0x000f, directory: 0x0019, files: 0x0020, mask: 0xbfff, none: 0xffff } as const
/** Of the item `id`: what there is. */
export const Feature = { traditional: 1, dma: 2 } as const
/** The control word of a DMA request; above bit 16 is a key. */
export const Control = { error: 1, read: 2, skip: 4, select: 8, write: 16, keyShift: 16 } as const
/** Bytes of a DMA request: control, length, address. */
export const REQUEST = { size: 16, length: 4, addressHigh: 8, addressLow: 12 } as const
/** Bytes of an entry of the directory, and where its fields are. */
export const ENTRY = { size: 64, length: 0, key: 4, name: 8, nameSize: 56 } as const

/** Types of the map of memory that firmware takes from the file `etc/e820`. */
export const E820 = { name: 'etc/e820', entry: 20, ram: 1, reserved: 2 } as const
