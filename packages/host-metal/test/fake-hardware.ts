/** A bus with device models behind it, as drivers see it: whatever is not there is a mistake of the driver. */
import type { Hardware, RegisterWidth } from '../src/drivers/hardware.ts'
import { DmaMemory } from '../src/drivers/dma-memory.ts'

/** What answers at an address. */
export interface FakePlace {
  readonly address: number
  readonly length: number
  read(offset: number, width: RegisterWidth): number
  write(offset: number, width: RegisterWidth, value: number): void
}

export interface FakeHardware extends Hardware {
  /** Nanoseconds. Each look at it is a microsecond. */
  time: number
  readonly fences: number
  /** Sees and may change what is read. */
  spy?: ((address: number, value: number) => number) | undefined
}

/** @param memory - its first byte is at `memoryBase` */
export function fakeHardware(places: readonly FakePlace[], memory: Uint8Array = new Uint8Array(0), memoryBase: number = 0x8000_0000): FakeHardware {
  const at = (address: number, width: number): FakePlace => {
    const found = places.find((place) => address >= place.address && address + width <= place.address + place.length)
    if (found === undefined || address % width !== 0) throw new Error(`nothing is at ${address.toString(16)}`)
    return found
  }
  let fences = 0
  return {
    time: 0,
    get fences() { return fences },
    read(address, width) {
      const place = at(address, width)
      const value = place.read(address - place.address, width)
      return this.spy?.(address, value) ?? value
    },
    write(address, width, value) {
      if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * width)) throw new Error(`${value} is no value of ${width} bytes`)
      const place = at(address, width)
      place.write(address - place.address, width, value)
    },
    fence() { fences++ },
    window(address, length) {
      if (address !== memoryBase || length !== memory.length || memory.byteOffset !== 0) throw new Error('not the memory of drivers')
      return memory.buffer as ArrayBuffer
    },
    now() { return this.time += 1000 },
  }
}

interface Modelled {
  readonly device: { read(region: number, offset: number, width: RegisterWidth): number; write(region: number, offset: number, width: RegisterWidth, value: number): void }
}

/** A device of `testDevice` at an address. */
export function placed({ device }: Modelled, address: number = 0x1000_0000, length: number = 0x1000): FakePlace {
  return { address, length, read: (offset, width) => device.read(0, offset, width), write(offset, width, value) { device.write(0, offset, width, value) } }
}

/** One device of `testDevice`, alone on a bus with its memory. */
export function alone(model: Modelled & { readonly context: { readonly memory: Uint8Array; readonly memoryBase: number } }, length: number = 0x1000): { readonly hardware: FakeHardware; readonly memory: DmaMemory; readonly range: { readonly address: number; readonly length: number } } {
  const place = placed(model, 0x1000_0000, length)
  const { context } = model
  const hardware = fakeHardware([place], context.memory, context.memoryBase)
  return { hardware, memory: new DmaMemory(hardware, { address: context.memoryBase, length: context.memory.length }), range: { address: place.address, length } }
}
