import { descriptorFlag } from '../queue/ring.ts'
import type { Ram } from './ram.ts'
import type { FuzzRandom } from './random.ts'
import { PackedDriverRing } from './rings.ts'
import type { DriverRing, SplitDriverRing } from './rings.ts'

const { next, write, indirect } = descriptorFlag

/** Where registers of devices are in our machines: not RAM. */
const registers = [0x1000_1000, 0x0c00_0000, 0x0200_0000] as const
/** Where arithmetic of addresses goes wrong. */
const edges = [0, 2 ** 32 - 16, 2 ** 32, 2 ** 53 - 16, 2 ** 53, 2 ** 63, 2 ** 64 - 2 ** 12] as const
const lengths = [0, 1, 7, 8, 12, 15, 16, 17, 64, 512, 513, 4096, 65536, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff] as const

/** An address that a driver should not give, or may. */
export function hostileAddress(random: FuzzRandom, { memory, memoryBase }: Pick<Ram, 'memory' | 'memoryBase'>, ring?: DriverRing): number {
  switch (random.below(12)) {
    case 0: return random.pick(registers) + random.below(0x200)
    case 1: return random.pick(edges)
    case 2: return memoryBase + memory.length - random.below(32)
    case 3: return memoryBase - random.below(32)
    // Rings are memory like any other: a request may overwrite them.
    case 4: return ring === undefined ? memoryBase : random.pick([ring.desc, ring.avail, ring.used]) + random.below(16)
    default: return memoryBase + random.below(memory.length)
  }
}

/** A length that a driver should not give, or may. */
export function hostileLength(random: FuzzRandom): number {
  return random.chance(0.6) ? random.below(3000) : random.chance(0.8) ? random.pick(lengths) : random.u32()
}

/** Puts nonsense, and what looks like sense, into a ring and makes it available. */
export function attackRing(ring: SplitDriverRing | PackedDriverRing, random: FuzzRandom, ram: Ram): void {
  if (ring instanceof PackedDriverRing) attackPacked(ring, random, ram)
  else attackSplit(ring, random, ram)
}

function attackSplit(ring: SplitDriverRing, random: FuzzRandom, ram: Ram): void {
  for (let slot = 0; slot < ring.size; slot++) {
    const { address, length, flags } = hostileDescriptor(ring, random, ram)
    ram.setDescriptor(ring.desc, slot, address, length, flags, random.chance(0.6) ? slot + 1 : random.below(ring.size + 1))
  }
  for (let count = 1 + random.below(3); count > 0; count--) ring.makeAvailable(ram, random.below(ring.size + (random.chance(0.03) ? 1 : 0)))
  // An index that jumps.
  if (random.chance(0.03)) ram.set16(ring.avail + 2, random.below(0x10000))
  ram.set16(ring.avail, random.below(2))
}

function attackPacked(ring: PackedDriverRing, random: FuzzRandom, ram: Ram): void {
  // More than there is room for, now and then: all around, over what the device holds.
  for (let count = 1 + random.below(random.chance(0.1) ? 2 * ring.size : 4); count > 0; count--) {
    const { address, length, flags } = hostileDescriptor(ring, random, ram)
    ring.put(ram, address, length, random.chance(0.9) ? random.below(2 * ring.size) : random.u32() & 0xffff, flags)
  }
  // Wrap counters of another lap, descriptors that are used and available, or neither.
  if (random.chance(0.05)) ram.set16(ring.desc + 16 * random.below(ring.size) + 14, random.u32() & 0xffff)
  if (random.chance(0.05)) ring.place = random.below(2 * ring.size)
  // Where to notify: nowhere, everywhere, at places that do not exist.
  ram.set16(ring.avail, random.u32() & 0xffff)
  ram.set16(ring.avail + 2, random.chance(0.9) ? random.below(4) : random.u32() & 0xffff)
}

function hostileDescriptor(ring: DriverRing, random: FuzzRandom, ram: Ram): { readonly address: number, readonly length: number, readonly flags: number } {
  const flags = random.chance(0.8) ? random.pick([0, next, next, write, next | write]) : random.below(8)
  if ((flags & indirect) === 0 || random.chance(0.2)) return { address: hostileAddress(random, ram, ring), length: hostileLength(random), flags }
  // A table that can be read, of entries like these. Packed ones have no index of the next: it is an id there.
  const entries = 1 + random.below(2 * ring.size)
  const table = ram.memoryBase + 16 * random.below(ram.memory.length / 16 - entries)
  for (let entry = 0; entry < entries; entry++) {
    const last = entry === entries - 1
    const its = (last ? 0 : next) | (2 * entry > entries ? write : 0) | (random.chance(0.02) ? indirect : 0)
    const follow = random.chance(0.95) ? entry + 1 : random.below(entries + 1)
    const [third, fourth] = ring instanceof PackedDriverRing ? [follow, its] : [its, follow]
    ram.setDescriptor(table, entry, hostileAddress(random, ram, ring), hostileLength(random), third, fourth)
  }
  return { address: table, length: 16 * entries, flags: random.chance(0.8) ? indirect : flags }
}
