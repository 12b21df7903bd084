/**
 * The header of a function, type 0 (PCI Local Bus 3.0, 6.1 and 6.2), the first 64 bytes of its configuration space.
 * Accesses of any width reach the bytes they cover; writes to what cannot change are dropped without a word, as sizing
 * and probing write everywhere.
 */
export const headerRegisters = {
  VendorID: { offset: 0x00, width: 2, access: 'rw', writable: 0, widths: 'any', section: '6.2.1' },
  DeviceID: { offset: 0x02, width: 2, access: 'rw', writable: 0, widths: 'any', section: '6.2.1' },
  Command: {
    offset: 0x04, width: 2, access: 'rw', writable: 0x0547, widths: 'any', section: '6.2.2',
    fields: { io: 0, memory: 1, busMaster: 2, parityErrorResponse: 6, serr: 8, interruptDisable: 10 },
  },
  Status: { offset: 0x06, width: 2, access: 'rw', writable: 0, widths: 'any', section: '6.2.3', fields: { interrupt: 3, capabilitiesList: 4 } },
  RevisionID: { offset: 0x08, width: 1, access: 'rw', writable: 0, widths: 'any', section: '6.2.1' },
  /** Base class, sub-class and interface. */
  ClassCode: { offset: 0x09, width: 1, access: 'rw', writable: 0, widths: 'any', count: 3, section: '6.2.1' },
  CacheLineSize: { offset: 0x0c, width: 1, access: 'rw', widths: 'any', section: '6.2.4' },
  LatencyTimer: { offset: 0x0d, width: 1, access: 'rw', widths: 'any', section: '6.2.4' },
  HeaderType: { offset: 0x0e, width: 1, access: 'rw', writable: 0, widths: 'any', section: '6.2.1' },
  BIST: { offset: 0x0f, width: 1, access: 'rw', writable: 0, widths: 'any', section: '6.2.4' },
  BAR: { offset: 0x10, access: 'rw', count: 6, widths: 'any', section: '6.2.5.1' },
  CardbusCIS: { offset: 0x28, access: 'rw', writable: 0, widths: 'any', section: '6.2.4' },
  SubsystemVendorID: { offset: 0x2c, width: 2, access: 'rw', writable: 0, widths: 'any', section: '6.2.4' },
  SubsystemID: { offset: 0x2e, width: 2, access: 'rw', writable: 0, widths: 'any', section: '6.2.4' },
  /** There is no expansion ROM. */
  ExpansionROM: { offset: 0x30, access: 'rw', writable: 0, widths: 'any', section: '6.2.5.2' },
  /** First capability, then reserved bytes. */
  CapabilitiesPointer: { offset: 0x34, access: 'rw', writable: 0, widths: 'any', section: '6.7' },
  Reserved: { offset: 0x38, access: 'rw', writable: 0, widths: 'any', section: '6.1' },
  InterruptLine: { offset: 0x3c, width: 1, access: 'rw', widths: 'any', section: '6.2.4' },
  InterruptPin: { offset: 0x3d, width: 1, access: 'rw', writable: 0, widths: 'any', section: '6.2.4' },
  MinGnt: { offset: 0x3e, width: 1, access: 'rw', writable: 0, widths: 'any', section: '6.2.4' },
  MaxLat: { offset: 0x3f, width: 1, access: 'rw', writable: 0, widths: 'any', section: '6.2.4' },
} as const

/** Where the header ends and capabilities begin. */
export const HEADER_SIZE = 0x40
/** Bytes of a conventional function's configuration space. Beyond them, a function has no extended capabilities and reads as zero. */
export const CONFIG_SIZE = 0x100
/** Header Type of function 0 of a device with several functions (6.2.1). */
export const MULTI_FUNCTION = 0x80
