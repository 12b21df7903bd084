/** An output of a device, or an input of a controller or hart. A device never knows a number. */
export interface IrqLine {
  /** Drives the level: `true` asserts. Repeating a level is harmless. */
  set(level: boolean): void
  /** Asserts and deasserts: one edge. */
  pulse(): void
  /** Sends a message, a number below 2^32. Inputs that take messages (a hart's interrupt file, or `Device.receive`) have no level; others ignore them. */
  send(data: number): void
}

/** Sends message-signalled interrupts: vector `index` of the ones granted to this device. */
export interface MsiPort {
  readonly vectors: number
  /** Does nothing while the guest does not use them: a device drives its interrupt output as well, which is masked while the guest does. */
  send(index: number): void
}

/** Where an interrupt output goes: input `line` of the part called `to`. */
export interface IrqRoute {
  /** Name of the controller or CPU part. */
  readonly to: string
  /** Input of that part: a PLIC source number, or a named hart input such as `'hart0.meip'`. */
  readonly line: number | string
  /** Whether other outputs may go there as well; false when absent. */
  readonly shared?: boolean
}
