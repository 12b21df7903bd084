import { machinistError, type MachinistError } from '@machinist/api'
import type { Native } from '../native.ts'

/** What drivers need of the hardware: registers, memory that devices reach, and the time. */
export type Hardware = Pick<Native, 'read' | 'write' | 'fence' | 'window' | 'now'>

/** What says which devices of the hardware interrupt. The microkernel does it (`Native`), or a driver of the controller. */
export type InterruptController = Pick<Native, 'claim' | 'complete' | 'enable'>

/** Width of a register. */
export type RegisterWidth = 1 | 2 | 4

/** Registers of one device. */
export interface Registers {
  read(offset: number, width?: RegisterWidth): number
  write(offset: number, value: number, width?: RegisterWidth): void
}

/** Where something is in physical memory. */
export interface AddressRange {
  readonly address: number
  /** Bytes. */
  readonly length: number
}

/** Registers at an address; 4 bytes wide unless said otherwise. What lies outside of them is a mistake of the driver, and throws a `RangeError`. */
export function registersAt(hardware: Hardware, { address, length }: AddressRange): Registers {
  const at = (offset: number, width: number): number => {
    if (!(offset >= 0 && offset + width <= length)) throw new RangeError(`register ${offset} of ${length} bytes`)
    return address + offset
  }
  return {
    read: (offset, width = 4) => hardware.read(at(offset, width), width),
    write(offset, value, width = 4) { hardware.write(at(offset, width), width, value) },
  }
}

/**
 * Waits for a device, which may never answer.
 *
 * @param within - nanoseconds
 * @returns false when it did not become so in time
 */
export function waitFor(hardware: Hardware, within: number, ready: () => boolean): boolean {
  const end = hardware.now() + within
  while (!ready()) if (hardware.now() >= end) return ready()
  return true
}

/**
 * That a device of the hardware is not there, is not one that a driver knows, or does not do what it has to.
 *
 * @param code - `'hardware-unsupported'` for what no driver knows, `'hardware-broken'` for what lies or does not answer
 */
export function hardwareError(code: 'hardware-unsupported' | 'hardware-broken', part: string, problem: string, value?: string | number): MachinistError {
  const remedy = code === 'hardware-broken' ? 'It is not used any more. Look at the device, and start the machine anew.' : 'Use hardware, or a setting of it, that is known.'
  return machinistError({ code, part, value, remedy }, problem)
}
