import type { Device, Shortcut, ShortcutSpec, Width } from '@machinist/api'

interface Place extends ShortcutSpec {
  value: number
}

/**
 * A device whose shortcuts are made use of, as eagerly as a host may: shadows are read without it, and stores wait as long as nothing else wants the device.
 *
 * What else happens to the device comes after them. What the other end of a port does is not seen here: call {@link ServedDevice.drain} before it.
 */
export class ServedDevice<S> {
  /** The device's ends. */
  readonly shortcuts: readonly Shortcut[]
  /** Accesses that the device did not have when they were made. */
  served = 0
  readonly #places: readonly Place[]
  #waiting: { readonly place: Place; readonly value: number }[] = []

  constructor(specs: readonly ShortcutSpec[]) {
    this.#places = specs.map((spec) => ({ ...spec, value: spec.kind === 'shadow' ? -1 : 0 }))
    this.shortcuts = this.#places.map((place) => ({ set(value) { place.value = value } }))
  }

  /** A doorbell has been rung that the device has not heard. */
  get rung(): boolean {
    return this.#waiting.some(({ place }) => place.kind === 'doorbell')
  }

  /** The device as its guest finds it. */
  front(device: Device<S>): Device<S> {
    const first = <T>(then: () => T): T => {
      this.#drain(device)
      return then()
    }
    this.drain = () => { this.#drain(device) }
    return {
      ...device.pci && { pci: device.pci },
      read: (region, offset, width) => this.#shadow(region, offset, width) ?? first(() => device.read(region, offset, width)),
      write: (region, offset, width, value) => { if (!this.#gather(region, offset, width, value)) first(() => { device.write(region, offset, width, value) }) },
      event: (port, payload) => { first(() => device.event?.(port, payload)) },
      input: (line, level) => { first(() => device.input?.(line, level)) },
      message: (region, offset, data) => { first(() => device.message?.(region, offset, data)) },
      reset: (kind) => { first(() => { device.reset(kind) }) },
      save: () => first(() => device.save()),
      restore: (state) => { first(() => { device.restore(state) }) },
      outside: () => first(() => device.outside?.()),
      takeUp: (held, standsFor) => { first(() => device.takeUp?.(held, standsFor)) },
      forked: (copy) => { first(() => device.forked?.(copy)) },
      dispose: () => { first(() => device.dispose?.()) },
    }
  }

  /** Makes the stores that wait. */
  drain = (): void => {}

  #drain(device: Device<S>): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      this.#waiting.shift()
      device.write(next.place.region ?? 0, next.place.offset, next.place.width, next.value)
    }
  }

  #find(region: number, offset: number, width: Width, shadow: boolean): Place | undefined {
    return this.#places.find((place) => (place.region ?? 0) === region && place.offset === offset && place.width === width && (place.kind === 'shadow') === shadow)
  }

  #shadow(region: number, offset: number, width: Width): number | undefined {
    const place = this.#find(region, offset, width, true)
    if (place === undefined || place.value < 0 || this.rung) return undefined
    this.served++
    return place.value
  }

  #gather(region: number, offset: number, width: Width, value: number): boolean {
    const place = this.#find(region, offset, width, false)
    if (place === undefined || this.#waiting.length >= place.value || (place.kind === 'gathered' && this.rung)) return false
    this.served++
    this.#waiting.push({ place, value })
    return true
  }
}
