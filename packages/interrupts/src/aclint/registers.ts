/**
 * RISC-V Advanced Core Local Interruptor Specification 1.0-rc4. The offsets are those of the SiFive CLINT (section
 * 1.1 has the same ones), with the SSWI device in the space after it; a device that has only some of the registers
 * is a window on this table.
 */
export const aclintRegisters = {
  MSIP: { offset: 0x0000, access: 'rw', writable: 1, count: 4095, section: '3.2 MSIP registers' },
  MTIMECMP: { offset: 0x4000, width: 8, access: 'rw', reset: 0xffff_ffff_ffff_ffffn, count: 4095, section: '2.3 MTIMECMP registers' },
  MTIME: { offset: 0xbff8, width: 8, access: 'rw', section: '2.2 MTIME register' },
  SETSSIP: { offset: 0xc000, access: 'wo', count: 4095, section: '4.2 SETSSIP registers' },
} as const

/** A region of one device: where in the table it begins, and its bytes. */
export interface Window {
  readonly name: string
  readonly start: number
  readonly size: number
}

/** MTIMER has two regions because a platform may put them apart (chapter 2), and the binding names them in this order. */
export const mtimerWindows: readonly Window[] = [
  { name: 'mtime', start: 0xbff8, size: 0x8 },
  { name: 'mtimecmp', start: 0x4000, size: 0x7ff8 },
]
export const mswiWindows: readonly Window[] = [{ name: 'registers', start: 0x0000, size: 0x4000 }]
export const sswiWindows: readonly Window[] = [{ name: 'registers', start: 0xc000, size: 0x4000 }]
export const clintWindows: readonly Window[] = [{ name: 'registers', start: 0x0000, size: 0x1_0000 }]
