import type { RandomAccessFile } from './file.ts'
import { diskOf } from './disk.ts'
import type { Disk } from './disk.ts'
import { sampleSize } from './format.ts'
import type { DiskFormat, DiskImage, ImageSample } from './format.ts'

/** The disk over an open image, to connect to a device. Closing it closes the image. */
export function imageDisk(image: DiskImage): Disk {
  return diskOf(() => image, () => image.close())
}

/** The ends of a file, to recognise its format from. Rejects when the file cannot be read. */
export async function sampleOf(file: RandomAccessFile): Promise<ImageSample> {
  const header = new Uint8Array(Math.min(sampleSize, file.size))
  const trailer = new Uint8Array(Math.min(512, file.size))
  const headerCount = await file.read(0, header)
  const trailerCount = await file.read(file.size - trailer.length, trailer)
  return { header: header.subarray(0, headerCount), trailer: trailer.subarray(0, trailerCount), size: file.size }
}

/** The format of an image, by its signature; null when none knows it, which a raw image looks like. */
export function probeFormat(sample: ImageSample, formats: readonly DiskFormat[]): DiskFormat | null {
  return formats.find((format) => format.probe(sample)) ?? null
}
