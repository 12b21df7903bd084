import { machinistError } from '@machinist/api'
import { isGzip } from '@machinist/boot'
import { type MachineDefinition, withImagesLater } from '@machinist/machine'
import { decompressed, gather } from './disks/codec.ts'
import type { NamedFiles } from './disks/open.ts'

/** Largest image that is loaded. */
const MOST = 2 ** 30

/** Told of images on their way: bytes so far, and how many there are when the server says. */
export type LoadProgress = (image: string, loaded: number, total: number | null) => void

async function loaded(path: string, name: string, { base, files }: NamedFiles, progress: LoadProgress): Promise<Uint8Array> {
  const given = Object.hasOwn(files, path) ? files[path] : undefined
  if (given !== undefined) return new Uint8Array(await given.arrayBuffer())
  const fail = (value: string | number): Error => machinistError({ code: 'image-load', part: name, value, remedy: 'Check the URL, and that the server lets pages of this origin read it.' }, `${path} cannot be loaded`)
  let response: Response
  try {
    response = await fetch(new URL(path, base))
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error))
  }
  if (!response.ok || response.body === null) throw fail(response.status)
  const length = Number(response.headers.get('content-length') ?? NaN)
  const total = Number.isSafeInteger(length) && response.headers.get('content-encoding') === null ? length : null
  try {
    return await gather(response.body as Parameters<typeof gather>[0], MOST, (bytes) => { progress(name, bytes, total) })
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error))
  }
}

/**
 * A definition with the boot images that it names. A kernel in gzip is unpacked here, by the browser, sooner than the machine would.
 *
 * @throws a typed error `'image-load'`, `'image-compressed'`
 */
export function loadImages(definition: MachineDefinition, named: NamedFiles, progress: LoadProgress = () => {}): Promise<MachineDefinition> {
  return withImagesLater(definition, async (source, name) => {
    const bytes = source instanceof Uint8Array ? source : await loaded(source.file, name, named, progress)
    if (name !== 'kernel' || !isGzip(bytes)) return bytes
    return decompressed('gzip', bytes, MOST).catch((error: unknown) => {
      throw machinistError({ code: 'image-compressed', part: name, value: error instanceof Error ? error.message : String(error), remedy: 'Load it again.' }, 'its gzip data is damaged or too large')
    })
  })
}
