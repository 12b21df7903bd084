/** Registers of the MMIO transport, version 2 (virtio 1.2, 4.2.2). */
export const REGISTER = {
  magicValue: 0x000, version: 0x004, deviceId: 0x008, deviceFeatures: 0x010, deviceFeaturesSel: 0x014, driverFeatures: 0x020, driverFeaturesSel: 0x024, queueSel: 0x030, queueNumMax: 0x034, queueNum: 0x038,
  queueReady: 0x044, queueNotify: 0x050, interruptStatus: 0x060, interruptAck: 0x064, status: 0x070, queueDesc: 0x080, queueDriver: 0x090, queueDevice: 0x0a0, configGeneration: 0x0fc, config: 0x100,
} as const

/** "virt". */
export const MAGIC = 0x7472_6976
export const MODERN = 2

/** 2.1 */
export const STATUS = { acknowledge: 1, driver: 2, driverOk: 4, featuresOk: 8, needsReset: 64, failed: 128 } as const

/** 4.2.2: bits of InterruptStatus. */
export const INTERRUPT = { used: 1, configuration: 2 } as const

/** 6: feature bits of all devices. */
export const VERSION_1 = 32

/** 5: device IDs that there are drivers for. */
export const DEVICE_ID = { none: 0, net: 1, block: 2 } as const
