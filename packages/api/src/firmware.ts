/** A file by which firmware learns of its machine: an ACPI table, an option ROM. */
export interface FirmwareFile {
  /** As firmware asks for it: `'vgaroms/vgabios.bin'`. At most 55 characters of ASCII. */
  readonly name: string
  readonly bytes: Uint8Array
}

/** What a machine tells the firmware that it starts with, by a device that firmware asks: see {@link Device.firmware}. */
export interface FirmwareInfo {
  /** RAM that firmware may use and tell of: without what holds firmware itself. */
  readonly memory: readonly { readonly base: number; readonly size: number }[]
  /** Ranges that operating systems are to leave alone. */
  readonly reserved: readonly { readonly base: number; readonly size: number }[]
  /** Processors. */
  readonly harts: number
  readonly files: readonly FirmwareFile[]
}
