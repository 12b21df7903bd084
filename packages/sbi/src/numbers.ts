/** Error codes of a binary call (SBI specification 2.0, table 1). */
export const SbiError = {
  success: 0n,
  failed: -1n,
  notSupported: -2n,
  invalidParam: -3n,
  denied: -4n,
  invalidAddress: -5n,
  alreadyAvailable: -6n,
  alreadyStarted: -7n,
  alreadyStopped: -8n,
  noSharedMemory: -9n,
} as const

/** Extension ids. */
export const SbiExtension = {
  legacySetTimer: 0x00,
  legacyPutchar: 0x01,
  legacyGetchar: 0x02,
  legacyClearIpi: 0x03,
  legacySendIpi: 0x04,
  legacyRemoteFenceI: 0x05,
  legacyRemoteSfenceVma: 0x06,
  legacyRemoteSfenceVmaAsid: 0x07,
  legacyShutdown: 0x08,
  base: 0x10,
  time: 0x54494d45,
  ipi: 0x735049,
  rfence: 0x52464e43,
  hsm: 0x48534d,
  srst: 0x53525354,
  dbcn: 0x4442434e,
  susp: 0x53555350,
  pmu: 0x504d55,
} as const

/** Hart states (9.3). */
export const HsmState = { started: 0, stopped: 1, suspended: 4 } as const
