/**
 * PC16550D Universal Asynchronous Receiver/Transmitter with FIFOs (data sheet, section 8, table II). Offsets are
 * register numbers; the configuration's `regShift` spaces them out.
 */
export const uartRegisters = {
  RBR: { offset: 0, width: 1, access: 'ro', widths: 'any', section: '8.0 Receiver Buffer Register' },
  THR: { offset: 0, width: 1, access: 'wo', widths: 'any', section: '8.0 Transmitter Holding Register' },
  IER: {
    offset: 1, width: 1, access: 'rw', widths: 'any', writable: 0x0f, section: '8.7 Interrupt Enable Register',
    fields: { ERBFI: 0, ETBEI: 1, ELSI: 2, EDSSI: 3 },
  },
  IIR: { offset: 2, width: 1, access: 'ro', widths: 'any', reset: 0x01, section: '8.6 Interrupt Identification Register' },
  FCR: { offset: 2, width: 1, access: 'wo', widths: 'any', section: '8.5 FIFO Control Register' },
  LCR: {
    offset: 3, width: 1, access: 'rw', widths: 'any', section: '8.1 Line Control Register',
    fields: { WLS: [1, 0], STB: 2, PEN: 3, EPS: 4, STICK: 5, BREAK: 6, DLAB: 7 },
  },
  MCR: {
    offset: 4, width: 1, access: 'rw', widths: 'any', writable: 0x1f, section: '8.8 Modem Control Register',
    fields: { DTR: 0, RTS: 1, OUT1: 2, OUT2: 3, LOOP: 4 },
  },
  LSR: {
    offset: 5, width: 1, access: 'ro', widths: 'any', section: '8.4 Line Status Register',
    fields: { DR: 0, OE: 1, PE: 2, FE: 3, BI: 4, THRE: 5, TEMT: 6, FIFO_ERROR: 7 },
  },
  MSR: {
    offset: 6, width: 1, access: 'ro', widths: 'any', section: '8.9 Modem Status Register',
    fields: { DCTS: 0, DDSR: 1, TERI: 2, DDCD: 3, CTS: 4, DSR: 5, RI: 6, DCD: 7 },
  },
  SCR: { offset: 7, width: 1, access: 'rw', widths: 'any', section: '8.10 Scratchpad Register' },
  DLL: { offset: 0, width: 1, access: 'rw', widths: 'any', bank: 'dlab', reset: 1, section: '8.3 Programmable Baud Generator' },
  DLM: { offset: 1, width: 1, access: 'rw', widths: 'any', bank: 'dlab', section: '8.3 Programmable Baud Generator' },
} as const

/** Bits of FCR, which is write only and so has no stored value (section 8.5). */
export const fcr = {
  enable: 0x01,
  resetReceiver: 0x02,
  resetTransmitter: 0x04,
  trigger: [7, 6],
  /** What is kept: enable, DMA mode and trigger. */
  kept: 0xc9,
} as const

/** Bytes in the receiver FIFO that raise the interrupt, by the trigger bits of FCR (section 8.5). */
export const triggerLevels: readonly number[] = [1, 4, 8, 14]

/** What IIR says, in order of priority (section 8.6, table IV). */
export const iir = { lineStatus: 0x06, dataAvailable: 0x04, timeout: 0x0c, holdingEmpty: 0x02, modemStatus: 0x00, none: 0x01, fifos: 0xc0 } as const

/** Bytes of each FIFO. */
export const fifoSize = 16
