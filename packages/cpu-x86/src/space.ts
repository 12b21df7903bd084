import type { GuestMemory } from '@machinist/memory'
import { peekX86, type X86Space } from '@machinist/mmu'
import { PHYSICAL_BITS } from './engine.ts'
import type { X86Record } from './record.ts'

const PAGE_OFFSET = 4095n

/** The address space that a processor is in. */
function spaceOf(record: X86Record): X86Space {
  return { view: record.get('view'), cr3: record.get64('cr3'), pdptes: [0, 1, 2, 3].map((n) => record.get64('pdptes', n)), physicalBits: PHYSICAL_BITS, gigabytePages: true }
}

/** The guest-physical address of a linear one, as a processor stands; −1 when there is none. */
export function physicalOf(record: X86Record, memory: Pick<GuestMemory, 'read'>, linear: bigint): number {
  return peekX86(memory, linear, spaceOf(record))
}

/** A processor's linear memory as it is now, looked at from outside: RAM alone. */
export class LinearView {
  readonly #record: X86Record
  readonly #memory: Pick<GuestMemory, 'read'>
  /** Physical addresses of the pages that were looked at, −1 for those that are not there. */
  readonly #pages = new Map<bigint, number>()

  constructor(record: X86Record, memory: Pick<GuestMemory, 'read'>) {
    this.#record = record
    this.#memory = memory
  }

  /** Bytes from an address on, which is cut to 64 bits; null when they are not all there. */
  read(linear: bigint, into: Uint8Array): Uint8Array | null {
    for (let done = 0; done < into.length;) {
      const at = BigInt.asUintN(64, linear + BigInt(done))
      const offset = Number(at & PAGE_OFFSET)
      const count = Math.min(into.length - done, 4096 - offset)
      let page = this.#pages.get(at & ~PAGE_OFFSET)
      if (page === undefined) this.#pages.set(at & ~PAGE_OFFSET, page = physicalOf(this.#record, this.#memory, at & ~PAGE_OFFSET))
      if (page < 0 || !this.#memory.read(page + offset, into.subarray(done, done + count))) return null
      done += count
    }
    return into
  }
}
