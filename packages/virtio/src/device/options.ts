import { machinistError } from '@machinist/api'
import { plainData } from '@machinist/registers'
import type { PlainData } from '@machinist/registers'
import type { VirtioSpec } from './spec.ts'

/** The format of a device's virtqueues: what it offers, for a driver may always choose split ones. */
export type RingFormat = 'split' | 'packed'

/** What any virtio device may be told, beside its own configuration. */
export interface VirtioOptions {
  /** `'packed'` offers VIRTIO_F_RING_PACKED. Default: `'split'`. */
  readonly ring: RingFormat
}

/** What a virtio device behind the MMIO transport may be told. */
export interface MmioOptions extends VirtioOptions {
  /** What VendorID reads as, 32 bits. Default: {@link defaultVendorId}. */
  readonly vendorId: number
  /**
   * The legacy interface, version 1 (virtio 1.2, 4.2.4), for drivers that know no other: features 0 to 31, and split rings in one piece
   * each. Only devices from before version 1.0 have it: network, block, console, entropy, balloon, 9P. Default: false.
   */
  readonly legacy: boolean
}

/** The VendorID of QEMU's devices, on which some drivers insist: "QEMU". */
export const defaultVendorId = 0x554d_4551

/** Devices with a legacy interface, by type: network, block, console, entropy, balloon, 9P (5.1 to 5.5, and the numbers of chapter 5). */
const legacyDevices: readonly number[] = [1, 2, 3, 4, 5, 9]

const virtioFields = ['ring'] as const satisfies readonly (keyof VirtioOptions)[]
const mmioFields = [...virtioFields, 'vendorId', 'legacy'] as const satisfies readonly (keyof MmioOptions)[]

/** Takes `fields` out of a configuration: what they say, and the rest. */
function split(input: unknown, fields: readonly string[], name: string): { readonly common: PlainData; readonly rest: unknown } {
  const given = typeof input === 'object' && input !== null && !Array.isArray(input) ? Object.entries(input) : null
  return {
    common: plainData(name, Object.fromEntries(given?.filter(([field]) => fields.includes(field)) ?? []), 'configuration'),
    rest: given === null ? input : Object.fromEntries(given.filter(([field]) => !fields.includes(field))),
  }
}

const ringIn = (common: PlainData): RingFormat => common.oneOf('ring', ['split', 'packed'], 'split')

/** Checks a configuration for a transport: takes what belongs to every virtio device, and gives the rest to `spec`. */
export function configureVirtio<Config>(spec: Pick<VirtioSpec<Config>, 'configure'>, input: unknown, name: string): Config & VirtioOptions {
  const { common, rest } = split(input, virtioFields, name)
  const ring = ringIn(common)
  return Object.assign({}, spec.configure(rest, name), { ring })
}

/** The same for the MMIO transport. */
export function configureMmio<Config>(spec: Pick<VirtioSpec<Config>, 'configure' | 'deviceId' | 'kind'>, input: unknown, name: string): Config & MmioOptions {
  const { common, rest } = split(input, mmioFields, name)
  const options: MmioOptions = {
    ring: ringIn(common), vendorId: common.integer('vendorId', 0, 0xffff_ffff, defaultVendorId), legacy: common.boolean('legacy', false),
  }
  if (options.legacy) {
    const remedy = 'Leave out `legacy`.'
    if (!legacyDevices.includes(spec.deviceId)) throw machinistError({ code: 'virtio-legacy', part: name, value: spec.kind, remedy }, 'the device has no legacy interface')
    if (options.ring === 'packed') throw machinistError({ code: 'virtio-legacy', part: name, value: 'packed', remedy }, 'the legacy interface has split rings alone')
  }
  return Object.assign({}, spec.configure(rest, name), options)
}

/** The ring format in a configuration made by {@link configureVirtio}; split in any other. */
export function ringOf(config: unknown): RingFormat {
  return typeof config === 'object' && config !== null && 'ring' in config && config.ring === 'packed' ? 'packed' : 'split'
}

/** Whether a configuration asks for the legacy interface. */
export function isLegacy(config: unknown): boolean {
  return typeof config === 'object' && config !== null && 'legacy' in config && config.legacy === true
}
