/** Bits of `domaincfg` (AIA 1.0, 4.5.1). */
export const Domaincfg = { fixed: 0x8000_0000, interruptEnable: 0x100, msiMode: 4 } as const

/** Fields of `sourcecfg` (4.5.2). */
export const Sourcecfg = { delegate: 0x400, mode: 7 } as const

/** Source modes (4.5.2, table 4.2). */
export const SourceMode = { inactive: 0, detached: 1, risingEdge: 4, fallingEdge: 5, high: 6, low: 7 } as const

/** Hart index and identity, in `target` and `genmsi` (4.5.14 and 4.5.15). Guest indices and `Busy` are always 0. */
export const Target = { writable: 0xfffc_07ff, hartShift: 18, identity: 0x7ff } as const

/** Words of an array with a bit for each source. */
export const words = 32

/**
 * The control region of a domain (AIA 1.0, table 4.1). Arrays have the specification's lengths; the configuration gives the real ones.
 * Registers with one meaning for reads and another for writes stand twice.
 */
export const aplicRegisters = {
  domaincfg: { offset: 0x0000, access: 'rw', writable: 0x100, reset: 0x8000_0004, section: '4.5.1' },
  /** Of source 1 and following. */
  sourcecfg: { offset: 0x0004, access: 'rw', count: 1023, writable: 0x407, section: '4.5.2' },
  pending: { offset: 0x1c00, access: 'ro', count: 32, section: '4.5.5' },
  setip: { offset: 0x1c00, access: 'wo', count: 32, section: '4.5.5' },
  setipnum: { offset: 0x1cdc, access: 'wo', section: '4.5.6' },
  input: { offset: 0x1d00, access: 'ro', count: 32, section: '4.5.7' },
  clrip: { offset: 0x1d00, access: 'wo', count: 32, section: '4.5.7' },
  clripnum: { offset: 0x1ddc, access: 'wo', section: '4.5.8' },
  enabled: { offset: 0x1e00, access: 'ro', count: 32, section: '4.5.9' },
  setie: { offset: 0x1e00, access: 'wo', count: 32, section: '4.5.9' },
  setienum: { offset: 0x1edc, access: 'wo', section: '4.5.10' },
  clrie: { offset: 0x1f00, access: 'wo', count: 32, section: '4.5.11' },
  clrienum: { offset: 0x1fdc, access: 'wo', section: '4.5.12' },
  setipnum_le: { offset: 0x2000, access: 'wo', section: '4.5.13' },
  genmsi: { offset: 0x3000, access: 'rw', writable: 0xfffc_07ff, section: '4.5.15' },
  target: { offset: 0x3004, access: 'rw', count: 1023, writable: 0xfffc_07ff, section: '4.5.16' },
} as const

/** Bytes of the control region of a domain without interrupt delivery control structures. */
export const aplicSize = 0x4000
