import type { Rectangle } from '@machinist/api'
import { machinistError } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { bytesPerPixel, formats } from './layout.ts'
import { Backing, Resource } from './resource.ts'

/** One resource in a {@link GpuState}. */
export interface ResourceState {
  readonly id: number
  readonly format: number
  readonly width: number
  readonly height: number
  readonly pixels: Uint8Array
  /** Address and length of each piece of its backing, by turns. */
  readonly backing: readonly number[] | null
}

/** What a screen shows: part of a resource, and a cursor. Resource 0 is none. */
export interface ScreenState extends Rectangle {
  readonly resource: number
  readonly cursor: number
  readonly hotX: number
  readonly hotY: number
  readonly cursorX: number
  readonly cursorY: number
}

/** Saved state of its own. */
export interface GpuState {
  readonly events: number
  readonly resources: readonly ResourceState[]
  readonly screens: readonly ScreenState[]
}

/** What bounds a device's resources. */
export interface GpuLimits {
  /** Bytes of pixels, of resources here and of screens with the host. */
  readonly memory: number
  readonly resources: number
  /** Pixels of width and height. */
  readonly side: number
  /** Pieces of backing, of all resources. */
  readonly pieces: number
}

/** A screen that shows nothing. */
export const darkScreen: ScreenState = { resource: 0, x: 0, y: 0, width: 0, height: 0, cursor: 0, hotX: 0, hotY: 0, cursorX: 0, cursorY: 0 }

/** Bytes of pixels that the host keeps of it. A dark screen has no size. */
export function bytesShown({ width, height }: ScreenState): number {
  return width * height * bytesPerPixel
}

const u32 = 2 ** 32 - 1

/** Checks the resources of a saved state, and makes them. @throws typed errors `'state'` */
export function restoreResources(part: string, given: unknown, limits: GpuLimits): Map<number, Resource> {
  const refuse = (what: string): never => {
    throw machinistError({ code: 'state', part: `${part}.resources`, remedy: 'Restore a state that this device saved, with its configuration' }, what)
  }
  const resources = new Map<number, Resource>()
  let [memory, pieces] = [0, 0]
  if (!Array.isArray(given) || given.length > limits.resources) return refuse('no list of resources')
  for (const each of given as readonly unknown[]) {
    const data = plainData(`${part}.resources`, each, 'state')
    const id = data.integer('id', 1, u32)
    const [width, height, number] = [data.integer('width', 1, limits.side), data.integer('height', 1, limits.side), data.integer('format', 0, 255)]
    const pixels = data.unknown('pixels')
    const backing = data.unknown('backing')
    const format = formats.get(number)
    memory += width * height * bytesPerPixel
    if (format === undefined || resources.has(id) || memory > limits.memory) return refuse('a resource that cannot be')
    if (!(pixels instanceof Uint8Array) || pixels.length !== width * height * bytesPerPixel) return refuse('pixels that do not fit their resource')
    const resource = new Resource(width, height, number, format, pixels.slice())
    if (backing !== null) {
      const count = Array.isArray(backing) ? backing.length : 1
      if (count % 2 !== 0 || (pieces += count / 2) > limits.pieces) return refuse('a backing that cannot be')
      // Lengths are below 2^32; addresses may be anything, and are looked at when they are used.
      const numbers: readonly unknown[] = Array.isArray(backing) ? backing : []
      const valid = numbers.every((value, index): value is number => typeof value === 'number' && Number.isInteger(value) && value >= 0 && (index % 2 === 0 || value <= u32))
      if (!valid) return refuse('a backing that cannot be')
      resource.backing = new Backing([...numbers] as readonly number[])
    }
    data.done()
    resources.set(id, resource)
  }
  return resources
}

/** Checks the screens of a saved state. @throws typed errors `'state'` */
export function restoreScreens(part: string, given: unknown, count: number, limits: GpuLimits, resources: ReadonlyMap<number, Resource>): ScreenState[] {
  const list: readonly unknown[] = Array.isArray(given) ? given : []
  const screens = list.slice(0, count).map((each): ScreenState => {
    const data = plainData(`${part}.screens`, each, 'state')
    const number = (field: keyof ScreenState): number => data.integer(field, 0, u32)
    const signed = (field: keyof ScreenState): number => data.integer(field, -(2 ** 31), 2 ** 31 - 1)
    const screen = {
      resource: number('resource'), x: number('x'), y: number('y'), width: number('width'), height: number('height'),
      cursor: number('cursor'), hotX: number('hotX'), hotY: number('hotY'), cursorX: signed('cursorX'), cursorY: signed('cursorY'),
    }
    data.done()
    return screen
  })
  const shown = ({ resource, cursor, hotX, hotY, ...rectangle }: ScreenState): boolean =>
    (resource === 0 ? rectangle.width === 0 && rectangle.height === 0 : resources.get(resource)?.holds(rectangle) === true) && (cursor === 0 || resources.get(cursor)?.isCursor(hotX, hotY) === true)
  if (screens.length === count && list.length === count && screens.every(shown)) {
    const memory = [...resources.values()].reduce((sum, { pixels }) => sum + pixels.length, 0) + screens.reduce((sum, screen) => sum + bytesShown(screen), 0)
    if (memory <= limits.memory) return screens
  }
  throw machinistError({ code: 'state', part: `${part}.screens`, remedy: 'Restore a state that this device saved, with its configuration' }, 'screens that cannot be')
}
