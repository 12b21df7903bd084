/** The register blocks of ACPI's fixed hardware (ACPI 6.5, 4.8.3): PM1 events, PM1 control, the timer. */
export const pmRegisters = {
  PM1_STS: { offset: 0, width: 2, access: 'rw', widths: 'any', section: '4.8.3.1.1' },
  PM1_EN: { offset: 2, width: 2, access: 'rw', writable: 0x0721, widths: 'any', section: '4.8.3.1.2' },
  PM1_CNT: { offset: 4, width: 2, access: 'rw', writable: 0x3c03, widths: 'any', section: '4.8.3.2.1' },
  PM_TMR: { offset: 8, width: 4, access: 'ro', widths: 'any', section: '4.8.3.3' },
} as const

/** Bytes of them. */
export const PM_SIZE = 12
/** Where each block is. */
export const PM_BLOCK = { events: 0, control: 4, timer: 8 } as const

/** The reset register (4.8.3.6), as chip sets of PCs have it: a processor is reset when bit 2 is set. */
export const resetRegisters = { RST_CNT: { offset: 0, width: 1, access: 'rw', writable: 0x0e, widths: 'any' } } as const
export const RESET = { cpu: 4, system: 6 } as const

/** Bits of PM1_STS and PM1_EN: what they have in common, and all that a guest clears by writing 1. */
export const Event = { timer: 0x0001, powerButton: 0x0100, enabled: 0x0721, sticky: 0x8f31 } as const
/** PM1_CNT. */
export const ControlBits = { sciEnabled: 1, sleepShift: 10, sleep: 7, sleepEnable: 0x2000, kept: 0x1c02 } as const
/** SLP_TYP of "off". */
export const SLEEP_OFF = 5

/** Pulses of the timer in a second (4.8.2.1). It has 32 bits, and tells when the upper one changes. */
export const PM_FREQUENCY = 3_579_545
export const PM_HALF = 0x8000_0000
