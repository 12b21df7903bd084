import type { DriverQueue, VirtioDriver } from './driver.ts'
import type { FuzzRandom } from './random.ts'

/** Flags of descriptors, split and packed alike (2.7.5, 2.8.5). */
const next = 1
const write = 2
const indirect = 4

/** RAM as a driver sees it. */
export interface Ram {
  readonly memory: Uint8Array
  readonly memoryBase: number
}

/** Where registers of devices are in our machines: not RAM. */
const registers = [0x1000_1000, 0x0c00_0000, 0x0200_0000] as const
/** Where arithmetic of addresses goes wrong. */
const edges = [0, 2 ** 32 - 16, 2 ** 32, 2 ** 53 - 16, 2 ** 53, 2 ** 63, 2 ** 64 - 2 ** 12] as const
const lengths = [0, 1, 7, 8, 12, 15, 16, 17, 64, 512, 513, 4096, 65536, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff] as const

/** An address that a driver should not give, or may. */
export function hostileAddress(random: FuzzRandom, { memory, memoryBase }: Ram, queue?: DriverQueue): number {
  switch (random.below(12)) {
    case 0: return random.pick(registers) + random.below(0x200)
    case 1: return random.pick(edges)
    case 2: return memoryBase + memory.length - random.below(32)
    case 3: return memoryBase - random.below(32)
    // Rings are memory like any other: a request may overwrite them.
    case 4: return queue === undefined ? memoryBase : random.pick([queue.desc, queue.avail, queue.used]) + random.below(16)
    default: return memoryBase + random.below(memory.length)
  }
}

/** A length that a driver should not give, or may. */
export function hostileLength(random: FuzzRandom): number {
  return random.chance(0.6) ? random.below(3000) : random.chance(0.8) ? random.pick(lengths) : random.u32()
}

/** Puts nonsense, and what looks like sense, into a ring and makes it available. */
export function attackRing(driver: VirtioDriver, queue: DriverQueue, random: FuzzRandom, ram: Ram): void {
  for (let slot = 0; slot < queue.size; slot++) {
    const flags = random.chance(0.8) ? random.pick([0, next, next, write, next | write]) : random.below(8)
    const follow = random.chance(0.6) ? slot + 1 : random.below(queue.size + 1)
    let address = hostileAddress(random, ram, queue)
    let length = hostileLength(random)
    if ((flags & indirect) !== 0 && random.chance(0.8)) {
      // A table that can be read, of entries like these.
      const entries = 1 + random.below(2 * queue.size)
      address = ram.memoryBase + 16 * random.below(ram.memory.length / 16 - entries)
      length = 16 * entries
      for (let entry = 0; entry < entries; entry++) {
        const last = entry === entries - 1
        driver.setDescriptor(address, entry, hostileAddress(random, ram, queue), hostileLength(random),
          (last ? 0 : next) | (2 * entry > entries ? write : 0) | (random.chance(0.02) ? indirect : 0), random.chance(0.95) ? entry + 1 : random.below(entries + 1))
      }
    }
    driver.setDescriptor(queue.desc, slot, address, length, flags, follow)
  }
  for (let count = 1 + random.below(3); count > 0; count--) driver.makeAvailable(queue, random.below(queue.size + (random.chance(0.03) ? 1 : 0)))
  // An index that jumps.
  if (random.chance(0.03)) driver.set16(queue.avail + 2, random.below(0x10000))
}
