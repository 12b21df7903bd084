import { type DeviceSpec, machinistError, type Width } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { defaultVendorId } from '../device/options.ts'
import { mmioRegisters, regionSize } from './mmio-registers.ts'

/** What {@link virtioPlaceholders} are told. */
export interface PlaceholderConfig {
  /** How many there are, 1 to 64; 1 unless given. */
  readonly count: number
  /** What Version reads as; 2 unless given. */
  readonly version: 1 | 2
  /** What VendorID reads as, 32 bits; `defaultVendorId` unless given. */
  readonly vendorId: number
}

const most = 64

/**
 * Places for virtio MMIO devices in which there are none: a region each, which says so by a DeviceID of 0 (virtio 1.2, 4.2.2). For memory maps
 * with places at known addresses, where software looks without a device tree; it is in no device tree.
 */
export const virtioPlaceholders: DeviceSpec<PlaceholderConfig, object, never, Readonly<Record<never, never>>> = {
  kind: 'virtio-placeholders',
  stateVersion: 1,
  backends: {},
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const count = data.integer('count', 1, most, 1)
    const version = data.integer('version', 1, 2, 2)
    const vendorId = data.integer('vendorId', 0, 0xffff_ffff, defaultVendorId)
    data.done()
    return { count, version: version === 1 ? 1 : 2, vendorId }
  },
  regions: ({ count }) => Array.from({ length: count }, (_, index) => ({ name: String(index), size: regionSize, space: 'mmio' })),
  irqs: () => [],
  create({ version, vendorId }, { name }) {
    const values = new Map<number, number>([
      [mmioRegisters.MagicValue.offset, mmioRegisters.MagicValue.reset], [mmioRegisters.Version.offset, version], [mmioRegisters.VendorID.offset, vendorId],
    ])
    return {
      read: (_region: number, offset: number, width: Width) => width === 4 ? values.get(offset) ?? 0 : 0,
      write() {},
      reset() {},
      save: () => ({}),
      restore(state) {
        if (typeof state === 'object' && state !== null && Object.keys(state).length === 0) return
        throw machinistError({ code: 'state', part: name, remedy: 'Restore a state that this version saved.' }, 'the saved state is not valid')
      },
    }
  },
}
