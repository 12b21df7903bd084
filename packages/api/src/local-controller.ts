/**
 * Interrupt controllers of which each hart has one (x86: local APICs). A hart reaches its own alone: by addresses that only it knows as such, and by
 * instructions. Registers of 64 bits are two words.
 */
export interface LocalController {
  /** A hart reads 4 bytes of its page of registers, at a multiple of 4; −1 when the page is not there at present. */
  read(hart: number, offset: number): number
  /** False when the page is not there. */
  write(hart: number, offset: number, value: number): boolean
  /** A hart reads a model-specific register of its controller: `into` gets the low and the high word. False: a general-protection exception. */
  readMsr(hart: number, msr: number, into: Uint32Array): boolean
  /** False, and nothing has changed: a general-protection exception. */
  writeMsr(hart: number, msr: number, low: number, high: number): boolean
  /** Task priority class, 0 … 15 (CR8). */
  readPriority(hart: number): number
  writePriority(hart: number, value: number): void
}
