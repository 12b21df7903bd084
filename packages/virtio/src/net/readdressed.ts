import type { Frame, NetPort, Offloads } from '@machinist/api'
import { broadcast, isGroup, exchangeStations, macOfName, macText, parseMac } from '@machinist/packets'
import { plainData } from '@machinist/registers'

/** What a copy's device is called, and what its driver goes on calling it, or null when that knows. */
export interface CopiedState {
  readonly address: number
  readonly driver: number | null
}

/**
 * A network port at which a station may go by another address than its driver knows: a copy of a machine, whose guest asked for its address before there were two. Frames are readdressed
 * both ways, as bridges over wireless links do. The two addresses are exchanged, and not one put in place of the other: the station that the former address belongs to, the machine
 * that was copied, has the new one for this guest, and so all addresses stay apart.
 */
export class Readdressed implements NetPort {
  readonly #port: NetPort
  readonly #original: number
  #station: number
  #driver: number | null = null

  /** @param original - the address of a device that is no copy */
  constructor(port: NetPort, original: number) {
    this.#port = port
    this.#original = this.#station = original
  }

  /** What the device is called, unless its driver wants another address. */
  get station(): number { return this.#station }

  /** What its driver calls it, and the network does not; null where it knows. */
  get driver(): number | null { return this.#driver }

  get mtu(): number { return this.#port.mtu }
  get link(): boolean { return this.#port.link }
  get offloads(): Offloads { return this.#port.offloads }

  send(frame: Frame): boolean {
    return this.#port.send(this.#readdress(frame))
  }

  receive(): Frame | null {
    const frame = this.#port.receive()
    return frame && this.#readdress(frame)
  }

  accept(offloads: Offloads): void {
    this.#port.accept(offloads)
  }

  listen(listener: Parameters<NetPort['listen']>[0]): void {
    this.#port.listen(listener)
  }

  /**
   * The device is that of a copy: it gets an address, which the network suggests or which is made of that of before.
   *
   * @param number - which copy
   * @param mac - what its driver, or whoever looks, calls it now
   * @param known - the driver has looked: nothing would have it look again
   */
  rename(number: number, mac: number, known: boolean): void {
    const before = this.#driver === null ? mac : this.#station
    const suggested = parseMac(this.#port.address ?? '')
    this.#station = suggested === null || suggested === before ? macOfName(`${macText(before)} ${String(number)}`) : suggested
    this.#driver = known ? mac : null
  }

  /** The network protects what the device is called now: not what its driver calls it, nor what its definition does where it is a copy. */
  claim(): void {
    const address = isGroup(this.#station) ? this.#port.address : macText(this.#station)
    if (address !== undefined) this.#port.claim?.(address)
  }

  /** The driver looks again, or wants another address. */
  forget(): void {
    this.#driver = null
  }

  /** Undefined for a device that is no copy. */
  save(): CopiedState | undefined {
    return this.#driver === null && this.#station === this.#original ? undefined : { address: this.#station, driver: this.#driver }
  }

  /** Reads a saved state; throws a typed error (`state`), or returns what takes it over. */
  load(part: string, copied: unknown): () => void {
    let [station, driver]: [number, number | null] = [this.#original, null]
    if (copied !== undefined) {
      const data = plainData(part, copied, 'state')
      station = data.integer('address', 1, broadcast)
      driver = data.unknown('driver') === null ? null : data.integer('driver', 0, broadcast)
      data.done()
    }
    return () => {
      this.#station = station
      this.#driver = driver
    }
  }

  #readdress(frame: Frame): Frame {
    return this.#driver === null ? frame : exchangeStations(frame, this.#station, this.#driver)
  }
}
