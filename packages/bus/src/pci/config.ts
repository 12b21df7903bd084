import type { RegionSpec } from '@machinist/api'
import { machinistError } from '@machinist/api'
import { plainData } from '@machinist/registers'

/** A range of bus addresses that the processors can reach. */
export interface PciWindow {
  /** Address on the bus. Where processors see it is the region's address. */
  readonly base: number
  readonly size: number
}

/** Configuration of a PCI host bridge. */
export interface PciHostConfig {
  /** Buses that there is configuration space for, 1 … 256, of 1 MiB each; 1 when absent. Functions are on bus 0. */
  readonly buses: number
  /** I/O addresses of the bus, from 0, in bytes: 65536 when absent, 0 for none. */
  readonly io: number
  /** Memory for 32-bit and 64-bit BARs, below 4 GiB; 64 MiB at 0x4000_0000 when absent. */
  readonly memory: PciWindow
  /** More memory, for 64-bit BARs; none when absent. */
  readonly memory64: PciWindow | null
  /** Whether configuration space is reached by ports 0CF8H and 0CFCH too (PCI 3.0, 3.2.2.3.2), as in PCs; false when absent. */
  readonly ports: boolean
  /** Whether a reset leaves the functions as firmware does, for systems that are started without any: their BARs are in the windows, and decoded; false when absent, as after a reset of the hardware. */
  readonly assigned: boolean
  /** I/O addresses that processors reach by the ports of the same numbers; none when absent. */
  readonly ioPorts: PciWindow | null
  /** Name of the part that takes message-signalled interrupts, which the device tree names; null when absent: guests use the pins. */
  readonly messages: string | null
}

/** The four interrupt outputs of the bus. */
export type PciIrq = 'inta' | 'intb' | 'intc' | 'intd'
export const pciIrqs: readonly PciIrq[] = ['inta', 'intb', 'intc', 'intd']

const BUS_BYTES = 2 ** 20
const PAGE = 4096
const IO_BYTES = 65536
const MOST = 2 ** 44

export function ecamSize({ buses }: PciHostConfig): number {
  return buses * BUS_BYTES
}

/** A region of a host bridge, and what it shows: configuration space, whole or by an address and a window, or a range of the bus. */
export interface HostRegion extends RegionSpec {
  readonly window: 'ecam' | 'address' | 'data' | { readonly space: 'memory' | 'io'; readonly base: number }
}

/** ECAM, then the windows that there are: I/O, memory, memory beyond 4 GiB; then the ports of configuration space. */
export function hostRegions(config: PciHostConfig): readonly HostRegion[] {
  const { io, memory, memory64, ports, ioPorts } = config
  return [
    { name: 'ecam', size: ecamSize(config), space: 'mmio', window: 'ecam' },
    ...(io === 0 ? [] : [{ name: 'io', size: io, space: 'mmio', window: { space: 'io', base: 0 } } as const]),
    { name: 'memory', size: memory.size, space: 'mmio', window: { space: 'memory', base: memory.base } },
    ...(memory64 === null ? [] : [{ name: 'memory64', size: memory64.size, space: 'mmio', window: { space: 'memory', base: memory64.base } } as const]),
    // Narrower accesses to the address are somebody else's: a reset register is among its bytes.
    ...(ports ? [{ name: 'address', size: 4, space: 'pio', at: 0xcf8, width: 4, window: 'address' }, { name: 'data', size: 4, space: 'pio', at: 0xcfc, window: 'data' }] as const : []),
    ...(ioPorts === null ? [] : [{ name: 'ports', size: ioPorts.size, space: 'pio', at: ioPorts.base, window: { space: 'io', base: ioPorts.base } } as const]),
  ]
}

function windowOf(part: string, input: unknown, limit: number): PciWindow {
  const data = plainData(part, input, 'configuration')
  const window = { base: data.integer('base', 0, limit), size: data.integer('size', PAGE, limit) }
  data.done()
  for (const value of [window.base, window.size]) {
    if (value % PAGE !== 0) throw machinistError({ code: 'config', part, value, remedy: 'Use multiples of 4096.' }, 'does not consist of pages')
  }
  if (window.base + window.size > limit) {
    throw machinistError({ code: 'config', part, value: window.base + window.size, remedy: `End it at ${limit} or below.` }, 'ends too high')
  }
  return window
}

function portsOf(part: string, input: unknown): PciWindow {
  const data = plainData(part, input, 'configuration')
  const base = data.integer('base', 0, IO_BYTES - 1)
  const size = data.integer('size', 1, IO_BYTES - base)
  data.done()
  return { base, size }
}

export function configureHost(input: unknown, name: string): PciHostConfig {
  const data = plainData(name, input, 'configuration')
  const memory = data.unknown('memory')
  const memory64 = data.unknown('memory64')
  const ioPorts = data.unknown('ioPorts')
  const messages = data.unknown('messages')
  const config: PciHostConfig = {
    buses: data.integer('buses', 1, 256, 1),
    io: data.integer('io', 0, IO_BYTES, IO_BYTES),
    memory: memory === undefined ? { base: 0x4000_0000, size: 0x400_0000 } : windowOf(`${name}.memory`, memory, 2 ** 32),
    memory64: memory64 === undefined || memory64 === null ? null : windowOf(`${name}.memory64`, memory64, MOST),
    ports: data.boolean('ports', false),
    assigned: data.boolean('assigned', false),
    ioPorts: ioPorts === undefined || ioPorts === null ? null : portsOf(`${name}.ioPorts`, ioPorts),
    messages: messages === undefined || messages === null ? null : data.string('messages'),
  }
  data.done()
  if (config.io % PAGE !== 0) throw machinistError({ code: 'config', part: `${name}.io`, value: config.io, remedy: 'Use a multiple of 4096.' }, 'does not consist of pages')
  return config
}
