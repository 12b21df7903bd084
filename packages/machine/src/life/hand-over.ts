import type { MemoryImage } from '@machinist/memory'
import type { ImageSource, MachineDefinition } from '../definition/definition.ts'
import { withImages } from '../definition/images.ts'

/** What {@link Machine.handOver} may be given. */
export interface HandOverOptions {
  /**
   * A copy goes to the other thread, and the machine goes on here meanwhile. Its name is the machine's and a number unless given; it knows that it is a copy, unless `exact`, as one that was forked. `keepAddresses` is as for forks.
   * Absent: the machine itself moves.
   */
  readonly copy?: { readonly name?: string; readonly exact?: boolean; readonly keepAddresses?: boolean }
}

/**
 * All of a machine at one moment, for another thread: plain data that `postMessage` takes, and that costs as good as nothing to send, since memory is shared with the thread that it comes from. It is good
 * until that has learned that the other has it.
 */
export interface HandedMachine {
  readonly definition: MachineDefinition
  /** Images that {@link definition} names as files, as far as they are known. */
  readonly images: Readonly<Record<string, Uint8Array>>
  /** All but memory. */
  readonly state: unknown
  readonly memory: MemoryImage
  /** Which copy it is; null for one that takes the place of the other. */
  readonly another: number | null
  /** Whether a copy goes by the addresses of the other in networks that it is given. */
  readonly keepAddresses: boolean
  /** Whether parts know the one that it comes from no more: streams may end, and two cannot write to one disk. */
  readonly copy: boolean
  /** Disks that only one can have, by part and port. */
  readonly disks: readonly string[]
}

/** Images that were put where all threads see them, by what they are copies of. */
const shared = new WeakMap<Uint8Array, Uint8Array>()

/** Bytes that other threads can have without copying them, where that is possible. */
function inCommon(bytes: Uint8Array): Uint8Array {
  if (typeof SharedArrayBuffer === 'undefined' || bytes.buffer instanceof SharedArrayBuffer) return bytes
  let common = shared.get(bytes)
  if (common === undefined) {
    common = new Uint8Array(new SharedArrayBuffer(bytes.length))
    common.set(bytes)
    shared.set(bytes, common)
  }
  return common
}

/**
 * A definition whose images other threads can have, and those that it names as files.
 *
 * @param image - gives them; images that it has not are left out
 */
export function imagesInCommon(definition: MachineDefinition, image: ((file: string) => Uint8Array) | undefined): Pick<HandedMachine, 'definition' | 'images'> {
  const images: Record<string, Uint8Array> = {}
  const take = (source: ImageSource): ImageSource => {
    if (source instanceof Uint8Array) return inCommon(source)
    try {
      if (image !== undefined) images[source.file] = inCommon(image(source.file))
    } catch {
      // Without them it cannot be reset here either.
    }
    return source
  }
  return { definition: withImages(definition, take), images }
}
