/** Registers of the PCI transport (virtio 1.2, 4.1.4), and where they are behind the device's BAR. */

/** Vendor of every virtio device (4.1.2), and what is added to a device type to get its PCI device ID. */
export const pciVendor = 0x1af4
export const pciDeviceBase = 0x1040

/** cfg_type of the capabilities (4.1.4). */
export const cfgType = { common: 1, notify: 2, isr: 3, device: 4, access: 5 } as const

/** Each structure has a page of the BAR, so that a guest can map it by itself. */
export const structure = { common: 0x0000, isr: 0x1000, device: 0x2000, notify: 0x3000, size: 0x1000 } as const

/** Bytes behind the BAR. */
export const barSize = 0x4000

/** notify_off_multiplier (4.1.4.4): each queue has a word of its own to notify. */
export const notifyMultiplier = 4

/** VIRTIO_MSI_NO_VECTOR (4.1.5.1.2). */
export const noVector = 0xffff

/**
 * The common configuration structure (4.1.4.3). Fields are accessed in their own width, 64-bit ones as two halves
 * (4.1.3.1). Those called queue_… belong to the queue chosen by queue_select.
 */
export const commonRegisters = {
  device_feature_select: { offset: 0, access: 'rw', section: '4.1.4.3' },
  device_feature: { offset: 4, access: 'ro', section: '4.1.4.3' },
  driver_feature_select: { offset: 8, access: 'rw', section: '4.1.4.3' },
  driver_feature: { offset: 12, access: 'rw', section: '4.1.4.3' },
  config_msix_vector: { offset: 16, width: 2, access: 'rw', reset: 0xffff, section: '4.1.5.1.2' },
  num_queues: { offset: 18, width: 2, access: 'ro', section: '4.1.4.3' },
  device_status: { offset: 20, width: 1, access: 'rw', section: '4.1.4.3' },
  config_generation: { offset: 21, width: 1, access: 'ro', section: '4.1.4.3.1' },
  queue_select: { offset: 22, width: 2, access: 'rw', section: '4.1.4.3' },
  /** The largest size, until the driver chooses a smaller one; 0 for a queue that does not exist. */
  queue_size: { offset: 24, width: 2, access: 'rw', section: '4.1.4.3' },
  queue_msix_vector: { offset: 26, width: 2, access: 'rw', section: '4.1.5.1.2' },
  queue_enable: { offset: 28, width: 2, access: 'rw', section: '4.1.4.3' },
  queue_notify_off: { offset: 30, width: 2, access: 'ro', section: '4.1.4.4' },
  queue_desc: { offset: 32, width: 8, access: 'rw', section: '4.1.4.3' },
  queue_driver: { offset: 40, width: 8, access: 'rw', section: '4.1.4.3' },
  queue_device: { offset: 48, width: 8, access: 'rw', section: '4.1.4.3' },
  /** Of use with VIRTIO_F_NOTIF_CONFIG_DATA only, which is not offered. */
  queue_notify_data: { offset: 56, width: 2, access: 'ro', section: '4.1.4.3' },
  queue_reset: { offset: 58, width: 2, access: 'rw', section: '4.1.4.3' },
} as const

/**
 * The PCI configuration access capability (4.1.4.9), from its identifier on: a window through which a guest that has no
 * mapping of the BAR, such as firmware, reaches it.
 */
export const accessRegisters = {
  /** cap_vndr and cap_next are the list's. */
  header: { offset: 0, width: 2, access: 'rw', writable: 0, widths: 'any', section: '4.1.4' },
  cap_len: { offset: 2, width: 1, access: 'rw', writable: 0, widths: 'any', reset: 20, section: '4.1.4' },
  cfg_type: { offset: 3, width: 1, access: 'rw', writable: 0, widths: 'any', reset: 5, section: '4.1.4' },
  bar: { offset: 4, width: 1, access: 'rw', widths: 'any', section: '4.1.4.9' },
  /** id and padding. */
  reserved: { offset: 5, width: 1, access: 'rw', writable: 0, widths: 'any', count: 3, section: '4.1.4' },
  offset: { offset: 8, access: 'rw', widths: 'any', section: '4.1.4.9' },
  length: { offset: 12, access: 'rw', widths: 'any', section: '4.1.4.9' },
  pci_cfg_data: { offset: 16, access: 'rw', widths: 'any', section: '4.1.4.9' },
} as const

/** Bytes of it. */
export const accessSize = 20

/** PCI class codes of device types (PCI Code and ID Assignment 1.11); devices of other types have no class. */
export const classCodes: ReadonlyMap<number, number> = new Map([
  [1, 0x02_0000], // network: Ethernet
  [2, 0x01_0000], // block: SCSI, as drivers are used to
  [3, 0x07_8000], // console: other communication controller
  [8, 0x01_0000], // SCSI host
  [16, 0x03_8000], // GPU: other display controller
  [18, 0x09_8000], // input: other input controller
  [19, 0x02_8000], // socket: other network controller
  [20, 0x10_8000], // crypto: other encryption controller
  [25, 0x04_0100], // sound: audio
  [26, 0x01_8000], // file system: other mass storage
])

/** Class code of other types: unclassified. */
export const otherClass = 0x00_ff00
