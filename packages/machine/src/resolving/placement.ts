import { machinistError, type RegionSpec } from '@machinist/api'
import { DEFAULT_WINDOW, type MachineDefinition, type MemoryRange } from '../definition/definition.ts'
import type { ConfiguredDevice } from './resolve.ts'
import { isFunction } from './slots.ts'

interface Range {
  readonly owner: string
  /** Of ports that answer accesses of one width alone. */
  readonly width?: RegionSpec['width']
  readonly base: number
  readonly size: number
}

/** Registers begin at pages, so that an operating system can map each device apart. */
const PAGE = 4096
/** Guest-physical addresses have at most 56 bits, and TypeScript's numbers 53. */
const LIMIT = 2 ** 53
/** Ports for what has none by custom: behind those of the main board and its slots. */
const PORT_WINDOW = { base: 0x1000, size: 0xf000 } as const

const hex = (value: number): string => `0x${value.toString(16)}`

function overlapOf(taken: readonly Range[], base: number, size: number, width?: RegionSpec['width']): Range | undefined {
  return taken.find((other) => width === other.width && base < other.base + other.size && other.base < base + size)
}

/** A region, and its number among those of its device. */
type Region = RegionSpec & { readonly index: number }

/** The regions that the machine places: of a PCI function, those that have a place by custom. */
function regionsOf(device: ConfiguredDevice, portSpace: boolean): readonly Region[] {
  const regions = device.spec.regions(device.config).map((region, index): Region => ({ ...region, index })).filter(({ at }) => !isFunction(device) || at !== undefined)
  for (const region of regions) {
    if (region.space === 'pio' && !portSpace) {
      throw machinistError(
        { code: 'no-port-space', part: device.name, value: region.name, remedy: 'Use a memory-mapped variant of the device.' },
        "this machine's CPU has no ports")
    }
    if (region.space === 'config') {
      throw machinistError(
        { code: 'bad-region', part: device.name, value: region.name, remedy: 'Correct the spec: only PCI devices have such regions.' },
        'it has no configuration space')
    }
    if (!Number.isSafeInteger(region.size) || region.size <= 0 || (region.space !== 'pio' && region.size % 4 !== 0)) {
      throw machinistError(
        { code: 'bad-region', part: device.name, value: region.size, remedy: 'Correct the spec: sizes are positive multiples of 4, of ports positive.' },
        `its region ${region.name} has an impossible size`)
    }
  }
  return regions
}

/** Where a region is: its addresses, or ports. */
export interface PlacedRegion {
  readonly name: string
  /** Its number among the regions of its device. */
  readonly index: number
  readonly base: number
  readonly size: number
  readonly space: 'mmio' | 'pio'
  /** Of ports that answer accesses of one width alone. */
  readonly width?: RegionSpec['width']
}

/**
 * Gives every region of every device its base: first those with an address or port, then, in the order of the definition,
 * the others, each at the lowest free place of the window, or of the ports that nothing has by custom, that is aligned to its size.
 *
 * @param portSpace - whether the CPU has one
 * @throws typed errors `'overlap'` (naming both), `'bad-address'`, `'no-room'`, `'no-port-space'`
 */
export function placeDevices(devices: readonly ConfiguredDevice[], definition: MachineDefinition, portSpace: boolean): ReadonlyMap<string, readonly PlacedRegion[]> {
  const taken: Record<PlacedRegion['space'], Range[]> = { mmio: [], pio: [] }
  const claim = (owner: string, space: PlacedRegion['space'], base: number, size: number, width?: RegionSpec['width']): void => {
    const other = overlapOf(taken[space], base, size, width)
    if (other !== undefined) {
      throw machinistError(
        { code: 'overlap', part: owner, value: `${hex(base)} … ${hex(base + size - 1)}`, remedy: `Move ${owner} or ${other.owner}.` },
        `it overlaps ${other.owner} at ${hex(other.base)} … ${hex(other.base + other.size - 1)}`)
    }
    taken[space].push({ owner, base, size, width })
  }
  for (const { name, base, size } of definition.memory) claim(name, 'mmio', base, size)
  const bases = new Map<string, (number | undefined)[]>()
  for (const device of devices) {
    const regions = regionsOf(device, portSpace)
    const { at } = device.definition
    const given = at === undefined ? [] : typeof at === 'number' ? [at] : at
    if (given.length > regions.length) {
      throw machinistError(
        { code: 'bad-address', part: device.name, value: `${given.length} addresses`, remedy: `Give at most ${regions.length}.` },
        'more addresses than it has regions')
    }
    bases.set(device.name, regions.map((region, index) => {
      const space = spaceOf(region)
      const base = given[index] ?? region.at
      if (base === undefined) return undefined
      if (space === 'pio' ? !isPort(base, region.size) : !Number.isSafeInteger(base) || base < 0 || base % 4 !== 0 || base + region.size > LIMIT) {
        const remedy = space === 'pio' ? 'Use a port, so that the last one is below 65536.' : 'Use a multiple of 4 below 2^53.'
        throw machinistError({ code: 'bad-address', part: device.name, value: base, remedy }, 'not an address for registers')
      }
      claim(device.name, space, base, region.size, region.width)
      return base
    }))
  }
  const window = definition.window ?? DEFAULT_WINDOW
  return new Map(devices.map((device) => [device.name, regionsOf(device, portSpace).map((region, place): PlacedRegion => {
    const { name, size, index } = region
    const space = spaceOf(region)
    const given = bases.get(device.name)?.[place]
    if (given !== undefined) return { name, index, base: given, size, space, ...(region.width !== undefined && { width: region.width }) }
    const base = space === 'pio' ? findRoom(taken.pio, PORT_WINDOW, size, alignOf(size, 1)) : findRoom(taken.mmio, window, size, alignOf(size, PAGE))
    if (base === null) {
      throw machinistError(
        { code: 'no-room', part: device.name, value: `${size} bytes`, remedy: 'Give it an address, or the machine a larger window.' },
        `no room for its region ${name} in the window at ${hex((space === 'pio' ? PORT_WINDOW : window).base)}`)
    }
    claim(device.name, space, base, size)
    return { name, index, base, size, space }
  })]))
}

function spaceOf({ space }: RegionSpec): PlacedRegion['space'] {
  return space === 'pio' ? 'pio' : 'mmio'
}

function isPort(base: number, size: number): boolean {
  return Number.isInteger(base) && base >= 0 && base + size <= PORT_WINDOW.base + PORT_WINDOW.size
}

/**
 * Gives memory that devices bring along its place: behind all RAM, in the order of the definition, between whatever
 * else is there.
 *
 * @param regions - what {@link placeDevices} returned
 * @throws typed errors `'bad-memory'`, `'no-room'`
 */
export function placeMemory(
  devices: readonly ConfiguredDevice[], definition: MachineDefinition, regions: ReturnType<typeof placeDevices>,
): ReadonlyMap<string, readonly MemoryRange[]> {
  const taken: Range[] = [...regions].flatMap(([owner, list]) => list.filter(({ space }) => space === 'mmio').map(({ base, size }) => ({ owner, base, size })))
  let end = Math.max(...definition.memory.map(({ base, size }) => base + size))
  return new Map(devices.map((device) => [device.name, (device.spec.memory?.(device.config) ?? []).map(({ name, size, align = PAGE }) => {
    if (!Number.isSafeInteger(size) || size <= 0 || size % PAGE !== 0) {
      throw machinistError({ code: 'bad-memory', part: device.name, value: size, remedy: 'Use a positive multiple of 4096.' }, `its memory ${name} has an impossible size`)
    }
    const base = findRoom(taken, { base: end, size: LIMIT - end }, size, align)
    if (base === null) throw machinistError({ code: 'no-room', part: device.name, value: `${size} bytes`, remedy: 'Give it less memory.' }, `no room for its memory ${name}`)
    end = base + size
    return { name: `${device.name}.${name}`, base, size }
  })]))
}

/** Registers are aligned to their size. */
function alignOf(size: number, least: number): number {
  let align = least
  while (align < size) align *= 2
  return align
}

function findRoom(taken: readonly Range[], window: { readonly base: number; readonly size: number }, size: number, align: number): number | null {
  let base = Math.ceil(window.base / align) * align
  for (;;) {
    if (base + size > window.base + window.size) return null
    const other = overlapOf(taken, base, size)
    if (other === undefined) return base
    base = Math.ceil((other.base + other.size) / align) * align
  }
}
