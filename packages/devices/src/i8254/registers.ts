/** The ports of an 8254 (Intel 8254 data sheet, order 231164, "Programming the 8254"): three counters and the control word register. */
export const i8254Registers = {
  COUNTER: { offset: 0, width: 1, access: 'rw', count: 3, widths: 'any', section: 'Write Operations, Read Operations' },
  CONTROL: { offset: 3, width: 1, access: 'wo', widths: 'any', section: 'Control Word Format' },
} as const

/**
 * System control port B of the IBM PC/AT (technical reference, order 6183310): gate of counter 2, the speaker, two enables of NMIs that nothing here causes;
 * and what is read of refresh and counter 2.
 */
export const portBRegisters = {
  PORT_B: { offset: 0, width: 1, access: 'rw', writable: 0x0f, widths: 'any', fields: { GATE2: 0, SPEAKER: 1, PARITY: 2, CHANNEL: 3, REFRESH: 4, OUT2: 5 } },
} as const

/** Fields of a control word. */
export const Control = { counterShift: 6, accessShift: 4, modeShift: 1, bcd: 1, readBack: 3, noCount: 0x20, noStatus: 0x10 } as const

/** How a counter is accessed (RW1, RW0); 0 is the latch command. */
export const Access = { latch: 0, low: 1, high: 2, both: 3 } as const

/** Pulses per second in a PC: a twelfth of 14.31818 MHz. */
export const FREQUENCY = 1_193_182

/** Pulses for which the refresh bit of port B keeps its value: some 15 µs. */
export const REFRESH = 18
