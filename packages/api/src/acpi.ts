/** What a device takes part in, as ACPI has it (ACPI 6.5, 6.4): addresses, interrupts. */
export type AcpiResource =
  /** Registers in memory, below 4 GiB. */
  | { readonly memory: number; readonly size: number }
  /** Ports. */
  | { readonly ports: number; readonly size: number }
  /** An interrupt, by its number among all of the system. */
  | { readonly interrupt: number; readonly level: boolean; readonly low?: boolean; readonly shared?: boolean }
  /** What a bridge hands on: buses, ports, or memory anywhere. */
  | { readonly portWindow: number; readonly size: number }
  | { readonly buses: readonly [first: number, last: number] }
  | { readonly window: number; readonly size: number }

/** What the name of an object stands for: text, a number below 2^64, a list. */
export type AcpiValue = number | bigint | string | readonly AcpiValue[] | { readonly id: string } | { readonly resources: readonly AcpiResource[] }

/** A device in the namespace. */
export interface AcpiDevice {
  /** Names an object of it: `'_UID'`, `'_CRS'`. Identifiers such as `'PNP0501'` are `{ id }`. */
  set(name: string, value: AcpiValue): AcpiDevice
}

/** The registers of ACPI's fixed hardware (ACPI 6.5, 4.8), by their ports, and how a machine is reset. */
export interface AcpiFixedHardware {
  readonly interrupt: number
  readonly events: number
  readonly control: number
  readonly timer: number
  /** What SLP_TYP is for "off". */
  readonly off: number
  readonly reset: { readonly port: number; readonly value: number }
}

/** What a system learns of its processors, and of where interrupts go: it is in ACPI's tables and in those of the MultiProcessor Specification. */
export interface InterruptTables {
  /** What all processors are, as CPUID's leaf 1 has it in EAX and EDX. */
  processors(signature: number, features: number): void
  /** A processor, by its number and the ID of its local APIC. */
  processor(number: number, apicId: number): void
  /** An I/O APIC, the number of its first input among all interrupts, and what its version register says. */
  ioApic(id: number, address: number, first: number, version: number): void
  /** An interrupt of ISA that is not the one of its number, or no edge. */
  override(isa: number, interrupt: number, level: boolean): void
  /** There are two 8259A as well. */
  legacyControllers(): void
  /** An interrupt pin, 0 … 3, of a device on bus 0 of PCI, and where it goes. */
  pciPin(device: number, pin: number, interrupt: number): void
}

/** ACPI tables in the making; a device adds what it is. */
export interface AcpiTables extends InterruptTables {
  /**
   * A device below `\_SB`.
   *
   * @param prefix - three capital letters, to which a digit or letter is added that makes the name unique
   * @param id - its `_HID`: `'PNP0501'`
   */
  device(prefix: string, id: string): AcpiDevice
  /** Configuration space of PCI, by ECAM. */
  ecam(base: number, buses: number): void
  fixedHardware(hardware: AcpiFixedHardware): void
}
