import type { DmaSpace } from '@machinist/api'
import { machinistError } from '@machinist/api'
import { type Segment, segments } from './registers.ts'

/** From here on, up to 1 MiB, firmware's last part is seen where RAM is not read; it ends at 4 GiB. */
const ROM_WINDOW = 0xe_0000
const LOW_TOP = 2 ** 20
const TOP = 2 ** 32
/** What is read where nobody answers. */
const NOBODY = 0xff

/**
 * RAM below 1 MiB that firmware may copy itself to, and see or not. Guest memory has what is seen: when that changes for a segment, what was seen is kept here and the other takes its place, so that neither costs anything
 * while it is used. Writes go to what is seen.
 */
export class ShadowRam {
  readonly #dma: DmaSpace
  /** RAM that is not seen, by segment; null where it is all zeros. */
  readonly #hidden: (Uint8Array | null)[] = segments.map(() => null)
  /** Whether RAM is seen. */
  readonly #seen: boolean[] = segments.map(() => false)

  constructor(dma: DmaSpace) {
    this.#dma = dma
  }

  /** RAM is empty, and nowhere seen. Guest memory is as a machine begins with it. */
  reset(): void {
    this.#hidden.fill(null)
    this.#seen.fill(false)
  }

  /** At the beginning, guest memory has zeros where nothing was put: nobody answers there. */
  begin(): void {
    for (const segment of segments) if (segment.base < ROM_WINDOW) this.#dma.write(segment.base, rom(this.#dma, segment))
  }

  /** Has RAM of a segment seen, or not. */
  show(index: number, ram: boolean): void {
    const segment = segments[index]
    if (segment === undefined || this.#seen[index] === ram) return
    const { base, size } = segment
    this.#seen[index] = ram
    if (ram) this.#dma.write(base, this.#hidden[index] ?? new Uint8Array(size))
    else {
      const bytes = new Uint8Array(size)
      this.#hidden[index] = this.#dma.read(base, bytes) && bytes.some((byte) => byte !== 0) ? bytes : null
      this.#dma.write(base, rom(this.#dma, segment))
      return
    }
    this.#hidden[index] = null
  }

  save(): (Uint8Array | null)[] {
    return this.#hidden.map((bytes) => bytes?.slice() ?? null)
  }

  /** What {@link save} gave, or a typed error. */
  check(part: string, state: unknown): (Uint8Array | null)[] {
    const list: readonly unknown[] = Array.isArray(state) ? state : []
    return segments.map(({ size }, index) => {
      const bytes = list[index]
      if (bytes === null) return null
      if (bytes instanceof Uint8Array && bytes.length === size && list.length === segments.length) return bytes.slice()
      throw machinistError({ code: 'state', part: `${part}.shadow`, remedy: 'Restore a state saved by this version of this device.' }, 'not the content of a segment')
    })
  }

  /** Takes back a state: what is seen is in guest memory already. */
  restore(hidden: readonly (Uint8Array | null)[], seen: (index: number) => boolean): void {
    for (const index of segments.keys()) {
      this.#seen[index] = seen(index)
      this.#hidden[index] = seen(index) ? null : hidden[index] ?? null
    }
  }
}

/** What is read of a segment where RAM is not. */
function rom(dma: DmaSpace, { base, size }: Segment): Uint8Array {
  const bytes = new Uint8Array(size)
  if (base < ROM_WINDOW || !dma.read(TOP - LOW_TOP + base, bytes)) bytes.fill(NOBODY)
  return bytes
}
