import { machinistError } from '@machinist/api'
import { checkSize, sectorSize } from './disk.ts'
import type { RandomAccessFile } from './file.ts'
import type { DiskFormat, DiskImage, OpenOptions } from './format.ts'
import { growing } from './growing.ts'
import { rawEngine } from './raw.ts'

/** Raw images as a format: byte n of the file is byte n of the disk. Nothing shows that a file is one. */
export const rawFormat: DiskFormat = {
  name: 'raw',
  extensions: ['img', 'raw'],
  probe: () => false,
  open: (file, options) => Promise.resolve().then(() => openRaw(file, options)),
  async create(file, size, { name, backing, parameters = {} }) {
    checkSize(name, size)
    const [parameter] = Object.keys(parameters)
    if (backing !== undefined || parameter !== undefined) {
      throw machinistError({ code: 'image-parameter', part: name, value: parameter ?? backing?.name, remedy: 'Use another format, such as qcow2' }, 'raw images have neither parameters nor backing files')
    }
    await setLength(file, size)
    await file.flush()
  },
}

async function setLength(file: RandomAccessFile, size: number): Promise<void> {
  if (file.truncate !== undefined) await file.truncate(size)
  else await file.write(size - 1, new Uint8Array(1))
}

/** Opens a raw image, at once. */
export function openRaw(given: RandomAccessFile, { name, readOnly = false, snapshot }: OpenOptions): DiskImage {
  const file = growing(given)
  if (file.size <= 0) throw machinistError({ code: 'disk-empty', part: name, value: file.size, remedy: 'Make it as long as the disk is to be' }, 'the image has no bytes')
  if (snapshot !== undefined) throw machinistError({ code: 'image-snapshot', part: name, value: snapshot, remedy: 'Leave it out' }, 'a raw image has no snapshots')
  let engine = rawEngine(file, readOnly || !file.writable)
  return {
    format: 'raw',
    plain: true,
    get size() { return engine.size },
    readOnly: engine.readOnly,
    blockSize: engine.blockSize,
    unit: engine.unit,
    read: (offset, into) => engine.read(offset, into),
    ...(engine.readAtOnce !== undefined && { readAtOnce: (offset: number, into: readonly Uint8Array[]) => engine.readAtOnce?.(offset, into) ?? false }),
    write: (offset, from) => engine.write(offset, from),
    flush: () => engine.flush(),
    discard: (offset, length) => engine.discard(offset, length),
    writeZeroes: (offset, length) => engine.writeZeroes(offset, length),
    close: () => file.close(),
    info: () => Promise.resolve({ format: 'raw', size: engine.size, details: {} }),
    async *ranges() {
      yield await Promise.resolve({ offset: 0, length: engine.size, state: 'data' as const })
    },
    async resize(size, { shrink = false } = {}) {
      if (engine.readOnly) throw machinistError({ code: 'file-read-only', part: name, remedy: 'Open it for writing' }, 'cannot be written')
      checkSize(name, size)
      if (size < engine.size && !shrink) throw machinistError({ code: 'disk-shrink', part: name, value: size, remedy: 'Allow it to shrink' }, 'would lose what is beyond')
      if (size < engine.size && file.truncate === undefined) throw machinistError({ code: 'disk-size', part: name, value: size, remedy: `Use a multiple of ${String(sectorSize)} that is not smaller` }, 'the host cannot make the file shorter')
      if (size !== file.size) await setLength(file, size)
      await file.flush()
      engine = rawEngine(file, engine.readOnly)
    },
  }
}
