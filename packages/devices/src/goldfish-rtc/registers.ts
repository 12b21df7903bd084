/** The real-time clock of "Goldfish Virtual Hardware" (section RTC), with the registers that its revision for Linux added. */
export const goldfishRtcRegisters = {
  /** Nanoseconds since 1970. Reading it latches TIME_HIGH. */
  TIME_LOW: { offset: 0x00, access: 'rw' },
  TIME_HIGH: { offset: 0x04, access: 'rw' },
  /** Writing it arms the alarm. */
  ALARM_LOW: { offset: 0x08, access: 'rw' },
  ALARM_HIGH: { offset: 0x0c, access: 'rw' },
  IRQ_ENABLED: { offset: 0x10, access: 'rw', writable: 1 },
  CLEAR_ALARM: { offset: 0x14, access: 'wo' },
  /** 1 while the alarm is armed. */
  ALARM_STATUS: { offset: 0x18, access: 'ro' },
  CLEAR_INTERRUPT: { offset: 0x1c, access: 'wo' },
} as const
