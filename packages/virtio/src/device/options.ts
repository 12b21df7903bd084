import { plainData } from '@machinist/registers'
import type { VirtioSpec } from './spec.ts'

/** The format of a device's virtqueues: what it offers, for a driver may always choose split ones. */
export type RingFormat = 'split' | 'packed'

/** What any virtio device may be told, beside its own configuration. */
export interface VirtioOptions {
  /** `'packed'` offers VIRTIO_F_RING_PACKED. Default: `'split'`. */
  readonly ring: RingFormat
}

const fields: readonly string[] = ['ring'] satisfies readonly (keyof VirtioOptions)[]

/** Checks a configuration for a transport: takes what belongs to every virtio device, and gives the rest to `spec`. */
export function configureVirtio<Config>(spec: Pick<VirtioSpec<Config>, 'configure'>, input: unknown, name: string): Config & VirtioOptions {
  const given = typeof input === 'object' && input !== null && !Array.isArray(input) ? Object.entries(input) : null
  const common = plainData(name, Object.fromEntries(given?.filter(([field]) => fields.includes(field)) ?? []), 'configuration')
  const ring = common.oneOf('ring', ['split', 'packed'], 'split')
  const own = spec.configure(given === null ? input : Object.fromEntries(given.filter(([field]) => !fields.includes(field))), name)
  return Object.assign({}, own, { ring })
}

/** The ring format in a configuration made by {@link configureVirtio}; split in any other. */
export function ringOf(config: unknown): RingFormat {
  return typeof config === 'object' && config !== null && 'ring' in config && config.ring === 'packed' ? 'packed' : 'split'
}
