/**
 * Registers of the MMIO transport, version 2 (virtio 1.2, 4.2.2). All are 32 bits and accessed as such (4.2.2.2); the
 * device's configuration space follows from 0x100 on, accessed in any width. Those called "of the queue" belong to the
 * queue chosen by QueueSel.
 */
export const mmioRegisters = {
  /** "virt". */
  MagicValue: { offset: 0x000, access: 'ro', reset: 0x7472_6976, section: '4.2.2' },
  Version: { offset: 0x004, access: 'ro', reset: 2, section: '4.2.2' },
  DeviceID: { offset: 0x008, access: 'ro', section: '4.2.2' },
  VendorID: { offset: 0x00c, access: 'ro', section: '4.2.2' },
  DeviceFeatures: { offset: 0x010, access: 'ro', section: '4.2.2' },
  DeviceFeaturesSel: { offset: 0x014, access: 'wo', section: '4.2.2' },
  DriverFeatures: { offset: 0x020, access: 'wo', section: '4.2.2' },
  DriverFeaturesSel: { offset: 0x024, access: 'wo', section: '4.2.2' },
  QueueSel: { offset: 0x030, access: 'wo', section: '4.2.2' },
  /** Of the queue: its largest size; 0 for a queue that does not exist. */
  QueueNumMax: { offset: 0x034, access: 'ro', section: '4.2.2' },
  QueueNum: { offset: 0x038, access: 'wo', section: '4.2.2' },
  QueueReady: { offset: 0x044, access: 'rw', section: '4.2.2' },
  QueueNotify: { offset: 0x050, access: 'wo', section: '4.2.2' },
  InterruptStatus: { offset: 0x060, access: 'ro', section: '4.2.2' },
  InterruptACK: { offset: 0x064, access: 'wo', section: '4.2.2' },
  Status: { offset: 0x070, access: 'rw', section: '4.2.2' },
  QueueDescLow: { offset: 0x080, access: 'wo', section: '4.2.2' },
  QueueDescHigh: { offset: 0x084, access: 'wo', section: '4.2.2' },
  QueueDriverLow: { offset: 0x090, access: 'wo', section: '4.2.2' },
  QueueDriverHigh: { offset: 0x094, access: 'wo', section: '4.2.2' },
  QueueDeviceLow: { offset: 0x0a0, access: 'wo', section: '4.2.2' },
  QueueDeviceHigh: { offset: 0x0a4, access: 'wo', section: '4.2.2' },
  SHMSel: { offset: 0x0ac, access: 'wo', section: '4.2.2' },
  /** Length -1: there is no such shared memory region. */
  SHMLenLow: { offset: 0x0b0, access: 'ro', reset: 0xffff_ffff, section: '4.2.2' },
  SHMLenHigh: { offset: 0x0b4, access: 'ro', reset: 0xffff_ffff, section: '4.2.2' },
  SHMBaseLow: { offset: 0x0b8, access: 'ro', reset: 0xffff_ffff, section: '4.2.2' },
  SHMBaseHigh: { offset: 0x0bc, access: 'ro', reset: 0xffff_ffff, section: '4.2.2' },
  QueueReset: { offset: 0x0c0, access: 'rw', section: '4.2.2' },
  ConfigGeneration: { offset: 0x0fc, access: 'ro', section: '4.2.2' },
} as const

/** Registers of the legacy interface, version 1 (4.2.4); the configuration space is where it is in version 2. */
export const legacyRegisters = {
  MagicValue: { offset: 0x000, access: 'ro', reset: 0x7472_6976, section: '4.2.4' },
  Version: { offset: 0x004, access: 'ro', reset: 1, section: '4.2.4' },
  DeviceID: { offset: 0x008, access: 'ro', section: '4.2.4' },
  VendorID: { offset: 0x00c, access: 'ro', section: '4.2.4' },
  HostFeatures: { offset: 0x010, access: 'ro', section: '4.2.4' },
  HostFeaturesSel: { offset: 0x014, access: 'wo', section: '4.2.4' },
  GuestFeatures: { offset: 0x020, access: 'wo', section: '4.2.4' },
  GuestFeaturesSel: { offset: 0x024, access: 'wo', section: '4.2.4' },
  /** Bytes of what QueuePFN counts. */
  GuestPageSize: { offset: 0x028, access: 'wo', section: '4.2.4' },
  QueueSel: { offset: 0x030, access: 'wo', section: '4.2.4' },
  QueueNumMax: { offset: 0x034, access: 'ro', section: '4.2.4' },
  QueueNum: { offset: 0x038, access: 'wo', section: '4.2.4' },
  QueueAlign: { offset: 0x03c, access: 'wo', section: '4.2.4' },
  /** Of the queue: the page that it begins in. Zero stops it. */
  QueuePFN: { offset: 0x040, access: 'rw', section: '4.2.4' },
  QueueNotify: { offset: 0x050, access: 'wo', section: '4.2.4' },
  InterruptStatus: { offset: 0x060, access: 'ro', section: '4.2.4' },
  InterruptACK: { offset: 0x064, access: 'wo', section: '4.2.4' },
  Status: { offset: 0x070, access: 'rw', section: '4.2.4' },
} as const

/** Where the device's configuration space begins. */
export const configOffset: number = 0x100

/** Bytes of the region: one page, so that a guest can map it by itself. */
export const regionSize: number = 0x1000
