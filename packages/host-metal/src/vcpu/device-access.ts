import type { Width } from '@machinist/api'
import type { AddressSpace } from '@machinist/bus'
import { VcpuAccess } from '../vcpu-record.ts'
import { wordOf } from './registers.ts'

const { access: ACCESS, width: WIDTH, value: VALUE } = wordOf
const { read: READ, write: WRITE } = VcpuAccess

/**
 * Makes a guest's access to a device, as the software core does: one of 8 bytes is two of 4 at one instant. False for what is misaligned, not a plain load or store, or answered by nobody.
 *
 * @param words - the record of the hart
 */
export function answerAccess(words: Uint32Array, address: number, bus: AddressSpace): boolean {
  const bytes = words[WIDTH] ?? 0
  if ((bytes !== 4 && bytes !== 1 && bytes !== 2 && bytes !== 8) || address % bytes !== 0) return false
  const width: Width = bytes === 8 ? 4 : bytes
  const access = words[ACCESS]
  if (access === WRITE) {
    const low = words[VALUE] ?? 0
    if (bytes === 4) return bus.write(address, 4, low)
    return bus.write(address, width, width === 4 ? low : low & (2 ** (8 * width) - 1)) && (bytes !== 8 || bus.write(address + 4, 4, words[VALUE + 1] ?? 0, true))
  }
  if (access !== READ) return false
  const low = bus.read(address, width)
  if (low < 0) return false
  const high = bytes === 8 ? bus.read(address + 4, 4, true) : 0
  if (high < 0) return false
  words[VALUE] = low
  words[VALUE + 1] = high
  return true
}
