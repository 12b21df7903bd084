import { machinistError, type PortBus, type Width } from '@machinist/api'
import { AddressSpace, type BusTarget } from './address-space.ts'

const PORTS = 0x1_0000

/**
 * The port space of x86 (SDM volume 1, 18.3). A wide access goes to the region that has all of its ports, and otherwise in halves to whoever has those, as a bus with
 * narrow devices does it; ports of nobody read as ones. So do those beyond the last: an access that begins at 0xfffe and has 4 bytes does not come back to port 0, as it does with some chip sets.
 */
export class PortSpace implements PortBus {
  readonly #space: AddressSpace
  /** What answers accesses of one width alone. */
  readonly #single: ReadonlyMap<Width, AddressSpace>
  /** Called before each access: the instant that it sees begins. */
  onAccess: (() => void) | null = null

  constructor(name: string) {
    this.#space = new AddressSpace(name)
    this.#single = new Map(([1, 2, 4] as const).map((width) => [width, new AddressSpace(name)]))
  }

  /**
   * Routes `size` ports from `base` to region number `region` of `target`.
   *
   * @param width - only accesses of this width, in front of whoever has the ports besides
   * @throws a typed error `'overlap'` that names both owners, or `'bad-range'`
   */
  attach(owner: string, base: number, size: number, region: number, target: BusTarget, width?: Width): void {
    if (base + size > PORTS) {
      throw machinistError({ code: 'bad-range', part: owner, value: `${size} ports from ${base}`, remedy: 'Use ports below 65536.' }, 'not a range of ports')
    }
    this.#spaceFor(width).attach(owner, base, size, region, target)
  }

  /** Ends all routes to `owner`. */
  detach(owner: string): void {
    this.#space.detach(owner)
    for (const space of this.#single.values()) space.detach(owner)
  }

  read(port: number, width: Width): number {
    this.onAccess?.()
    return this.#read(port, width)
  }

  write(port: number, width: Width, value: number): void {
    this.onAccess?.()
    this.#write(port, width, value)
  }

  #spaceFor(width: Width | undefined): AddressSpace {
    return (width === undefined ? undefined : this.#single.get(width)) ?? this.#space
  }

  #read(port: number, width: Width): number {
    const single = this.#spaceFor(width).read(port, width, true)
    const value = single >= 0 ? single : this.#space.read(port, width, true)
    if (value >= 0) return value
    if (width === 1) return 0xff
    const half = width === 4 ? 2 : 1
    const low = this.#read(port, half)
    return (this.#read(port + half, half) << (8 * half) | low) >>> 0
  }

  #write(port: number, width: Width, value: number): void {
    if (this.#spaceFor(width).write(port, width, value, true) || this.#space.write(port, width, value, true) || width === 1) return
    const half = width === 4 ? 2 : 1
    this.#write(port, half, value & (2 ** (8 * half) - 1))
    this.#write(port + half, half, value >>> (8 * half))
  }

  /** What is attached, in order of ports. */
  get ranges(): AddressSpace['ranges'] {
    return [this.#space, ...this.#single.values()].flatMap(({ ranges }) => ranges).sort((one, other) => one.base - other.base)
  }

  /** Who answers at a port, for diagnostics. */
  ownerAt(port: number): string | null {
    return this.#space.ownerAt(port)
  }
}
