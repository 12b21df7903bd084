import { type BlockPort, type CharPort, type CpuSpec, machinistError, type NetPort } from '@machinist/api'
import type { AddressSpace } from '@machinist/bus'
import type { X86Config } from '@machinist/cpu-x86'
import type { DevicePart, MachineDefinition } from '@machinist/machine'
import type { GuestMemory } from '@machinist/memory'
import type { Given, VirtNet } from '../virt/virt.ts'

const MIB = 2 ** 20
/** Most harts. */
const MAX_HARTS = 8
export const DEFAULT_MEMORY: number = 256 * MIB
const MIN_MEMORY = 16 * MIB
/** A wasm memory holds 4 GiB, and a machine's own structures need some of it. */
const MAX_MEMORY = 3584 * MIB
/** Buses that configuration space is for. */
export const PCI_BUSES = 256
/** What the time-stamp counter counts in a second. */
export const TSC_FREQUENCY = 1_000_000_000

/** A CPU that can be that of `microvm` and `pc`. */
export type MicrovmCpu = CpuSpec<Pick<X86Config, 'harts' | 'model' | 'translate' | 'hot'>, GuestMemory, AddressSpace, { readonly power: 'power'; readonly entropy: 'entropy' }>

/** What both machines with x86 may be told. */
export interface X86BoardOptions {
  /** Its CPU; the software core, `x86`, unless given. */
  readonly cpu?: MicrovmCpu
  /** What that is like: `x86-64-v2` unless given. Other CPUs have it for nothing. */
  readonly model?: X86Config['model']
  /** Bytes of RAM, a multiple of 4096, 16 MiB to 3.5 GiB; 256 MiB unless given. */
  readonly memory?: number
  /** 1 to 8; 1 unless given. */
  readonly harts?: number
  /** The other end of the serial line, COM1; nothing unless given. */
  readonly console?: Given<CharPort>
  /** Disks of virtio, `/dev/vda` first; firmware, where there is some, boots from them in this order. */
  readonly disks?: readonly Given<BlockPort>[]
  /** Networks, `eth0` first. */
  readonly nets?: readonly (Given<NetPort> | VirtNet)[]
  /** A virtio entropy device; true unless given. */
  readonly rng?: boolean
  /** Further devices, by name. PCI devices take the next slots, unless they have some. */
  readonly devices?: Readonly<Record<string, DevicePart>>
  readonly time?: MachineDefinition['time']
  /** Ticks per second of the machine's counter, which is the time-stamp counter; 1 GHz unless given. */
  readonly timeFrequency?: number
  readonly randomness?: MachineDefinition['randomness']
  readonly wallClock?: MachineDefinition['wallClock']
}

/** @throws a typed error, of `code`, for a number that is out of range */
export function within(code: string, value: number, from: number, to: number, what: string, remedy: string): void {
  if (Number.isInteger(value) && value >= from && value <= to) return
  throw machinistError({ code, part: what, value, remedy }, 'out of range')
}

/** @throws a typed error, of `code`, for harts and memory that cannot be */
export function checkSize(code: string, harts: number, memory: number): void {
  within(code, harts, 1, MAX_HARTS, 'harts', `Use 1 to ${MAX_HARTS}.`)
  within(code, memory, MIN_MEMORY, MAX_MEMORY, 'memory', `Use ${MIN_MEMORY / MIB} MiB to ${MAX_MEMORY / MIB} MiB.`)
}
