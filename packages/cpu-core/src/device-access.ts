import type { Width } from '@machinist/api'
import type { AddressSpace } from '@machinist/bus'
import type { Arena } from '@machinist/memory'

/**
 * A hart's read of a device's registers, of 1, 2, 4 or 8 bytes; 8 are two of 4 at one instant.
 *
 * @param mailbox - address in the arena at which generated code finds the value, 8 bytes
 * @returns 1 when nobody answers, else 0: as generated code wants it
 */
export function readDevice(bus: AddressSpace, arena: Arena, mailbox: number, address: number, bytes: number): number {
  const low = bus.read(address, Math.min(bytes, 4) as Width)
  if (low < 0) return 1
  let high = 0
  if (bytes === 8) {
    high = bus.read(address + 4, 4, true)
    if (high < 0) return 1
  }
  // The arena may have grown meanwhile.
  const { data } = arena
  data.setUint32(mailbox, low, true)
  data.setUint32(mailbox + 4, high, true)
  return 0
}

/** The same of a write: the value is in the mailbox. */
export function writeDevice(bus: AddressSpace, arena: Arena, mailbox: number, address: number, bytes: number): number {
  const { data } = arena
  const low = data.getUint32(mailbox, true)
  const high = data.getUint32(mailbox + 4, true)
  const width = Math.min(bytes, 4) as Width
  if (!bus.write(address, width, width === 4 ? low : low & (2 ** (8 * width) - 1))) return 1
  return bytes === 8 && !bus.write(address + 4, 4, high, true) ? 1 : 0
}
