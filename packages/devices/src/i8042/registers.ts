/** Ports of the 8042 keyboard controller of a PC (IBM PC/AT technical reference, order 6183310; PS/2 technical reference, "Keyboard and Auxiliary Device Controller"): data, and status or command. */
export const i8042Registers = {
  DATA: { offset: 0, width: 1, access: 'rw', widths: 'any' },
  STATUS: { offset: 4, width: 1, access: 'ro', widths: 'any' },
  COMMAND: { offset: 4, width: 1, access: 'wo', widths: 'any' },
} as const

/** Status: the output buffer is full, with a byte of the auxiliary device; self-test passed; a command came last; the lock is open. */
export const Status = { output: 0x01, system: 0x04, command: 0x08, unlocked: 0x10, auxiliary: 0x20 } as const
/** The command byte, the first of the controller's RAM. */
export const Mode = { keyboardInterrupt: 0x01, mouseInterrupt: 0x02, system: 0x04, keyboardOff: 0x10, mouseOff: 0x20, translate: 0x40 } as const
/** The output port. Its first bit is low for a reset. */
export const OutputPort = { run: 0x01, a20: 0x02, initial: 0xcf } as const
/** Commands of the controller. */
export const Command = {
  readRam: 0x20, writeRam: 0x60, mouseOff: 0xa7, mouseOn: 0xa8, testMouse: 0xa9, selfTest: 0xaa, testKeyboard: 0xab, keyboardOff: 0xad, keyboardOn: 0xae, readInput: 0xc0, readOutput: 0xd0, writeOutput: 0xd1, writeKeyboardBuffer: 0xd2, writeMouseBuffer: 0xd3, writeMouse: 0xd4,
  a20Off: 0xdd, a20On: 0xdf, readTest: 0xe0, pulse: 0xf0,
} as const
export const RAM = 32
/** What devices answer. */
export const Reply = { acknowledge: 0xfa, resend: 0xfe, passed: 0xaa, controllerPassed: 0x55, keyboardId: [0xab, 0x83], echo: 0xee } as const
