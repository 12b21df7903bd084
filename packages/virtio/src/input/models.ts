import { abs, button, busVirtual, configSelect, ev, key, led, longestConfig, propPointer, rel, rep } from './layout.ts'

/** What an input device is. */
export type InputModel = 'keyboard' | 'mouse' | 'tablet' | 'power-button'

/** Positions of a tablet are 0 to this, on both axes. */
export const tabletRange = 32767

interface Capabilities {
  readonly name: string
  readonly product: number
  readonly properties: readonly number[]
  /** Codes, by type of event. */
  readonly events: ReadonlyMap<number, readonly number[]>
  /** Largest position, by axis. */
  readonly axes: ReadonlyMap<number, number>
}

const buttons: readonly number[] = Object.values(button)
const wheels: readonly number[] = [rel.hwheel, rel.wheel]

const models: Readonly<Record<InputModel, Capabilities>> = {
  keyboard: {
    name: 'Machinist keyboard', product: 1, properties: [], axes: new Map(),
    events: new Map<number, readonly number[]>([
      [ev.key, Array.from({ length: key.last - key.first + 1 }, (_, index) => key.first + index)],
      [ev.led, Object.values(led)],
      [ev.rep, Object.values(rep)],
    ]),
  },
  mouse: {
    name: 'Machinist mouse', product: 2, properties: [], axes: new Map(),
    events: new Map<number, readonly number[]>([[ev.key, buttons], [ev.rel, [rel.x, rel.y, ...wheels]]]),
  },
  tablet: {
    name: 'Machinist tablet', product: 3, properties: [propPointer], axes: new Map([[abs.x, tabletRange], [abs.y, tabletRange]]),
    events: new Map<number, readonly number[]>([[ev.key, buttons], [ev.rel, wheels], [ev.abs, [abs.x, abs.y]]]),
  },
  'power-button': {
    name: 'Machinist power button', product: 4, properties: [], axes: new Map(),
    events: new Map<number, readonly number[]>([[ev.key, [key.power]]]),
  },
}

/** The names of all models. */
export const inputModels: readonly InputModel[] = ['keyboard', 'mouse', 'tablet', 'power-button']

/** Lights that the guest may turn on. */
export function hasLight(model: InputModel, code: number): boolean {
  return models[model].events.get(ev.led)?.includes(code) ?? false
}

/**
 * What the configuration space shows for a choice of the driver (5.8.5); empty when the device has no such thing.
 *
 * @param serial - shown as VIRTIO_INPUT_CFG_ID_SERIAL
 */
export function describeInput(model: InputModel, serial: string, select: number, subsel: number): Uint8Array {
  const { name, product, properties, events, axes } = models[model]
  switch (subsel === 0 || select === configSelect.evBits || select === configSelect.absInfo ? select : null) {
    case configSelect.idName: return ascii(name)
    case configSelect.idSerial: return ascii(serial)
    case configSelect.idDevids: return littleEndian(2, [busVirtual, 0, product, 1])
    case configSelect.propBits: return bitmap(properties)
    case configSelect.evBits: return bitmap(events.get(subsel) ?? [])
    case configSelect.absInfo: {
      const maximum = axes.get(subsel)
      // Minimum, maximum, fuzz, flat, resolution.
      return maximum === undefined ? new Uint8Array(0) : littleEndian(4, [0, maximum, 0, 0, 0])
    }
    default: return new Uint8Array(0)
  }
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text.slice(0, longestConfig), (character) => character.charCodeAt(0) & 0x7f)
}

function bitmap(bits: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(bits.length === 0 ? 0 : (Math.max(...bits) >>> 3) + 1)
  for (const bit of bits) bytes[bit >>> 3] = (bytes[bit >>> 3] ?? 0) | (1 << (bit & 7))
  return bytes
}

function littleEndian(width: 2 | 4, values: readonly number[]): Uint8Array {
  return Uint8Array.from(values.flatMap((value) => Array.from({ length: width }, (_, byte) => (value >>> (8 * byte)) & 0xff)))
}
