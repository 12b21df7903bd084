import type { Width } from '@machinist/api'
import type { AddressSpace } from '@machinist/bus'
import { Answer, VcpuAccess } from '../vcpu-record.ts'
import type { VcpuRegisters } from './registers.ts'

/** Makes a guest's access to a device, as the software core does: one of 8 bytes is two of 4 at one instant, and what is misaligned, not a plain load or store, or answered by nobody is an access fault. */
export function answerAccess(registers: VcpuRegisters, address: number, bus: AddressSpace): void {
  registers.setLow('answer', done(registers, address, bus) ? Answer.done : Answer.fault)
}

function done(registers: VcpuRegisters, address: number, bus: AddressSpace): boolean {
  const bytes = registers.low('width')
  if ((bytes !== 1 && bytes !== 2 && bytes !== 4 && bytes !== 8) || address % bytes !== 0) return false
  const width: Width = bytes === 8 ? 4 : bytes
  if (registers.low('access') === VcpuAccess.write) {
    const low = registers.low('value')
    const value = width === 4 ? low : low & (2 ** (8 * width) - 1)
    return bus.write(address, width, value) && (bytes !== 8 || bus.write(address + 4, 4, registers.high('value'), true))
  }
  if (registers.low('access') !== VcpuAccess.read) return false
  const low = bus.read(address, width)
  if (low < 0) return false
  const high = bytes === 8 ? bus.read(address + 4, 4, true) : 0
  if (high < 0) return false
  registers.setLow('value', low)
  registers.setHigh('value', high)
  return true
}
