import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { machinistError } from '@machinist/api'
import { type Disk, diskFormats, imageDisk, type ImageSample, openUnnamedRaw, overlay, sampleSize } from '@machinist/storage'
import { type DiskMode, type FileOptions, openFile } from '../files/file.ts'

function sampleNow(path: string): ImageSample {
  const fd = openSync(path, 'r')
  try {
    const { size } = fstatSync(fd)
    const [header, trailer] = [new Uint8Array(Math.min(sampleSize, size)), new Uint8Array(Math.min(512, size))]
    readSync(fd, header, 0, header.length, 0)
    readSync(fd, trailer, 0, trailer.length, size - trailer.length)
    return { header, trailer, size }
  } finally {
    closeSync(fd)
  }
}

/**
 * An image whose format is not named as a disk, at once, which only a raw one can be: as `openDisk` opens it.
 *
 * @throws typed errors: `'backend-option'`, it has the signature of another format; `'file-…'`; `'disk-empty'`
 */
export function unnamedDisk(path: string, { mode = 'rw', ...options }: FileOptions & { readonly mode?: DiskMode }): Disk {
  const name = options.name ?? path
  const file = openFile(path, mode === 'rw', { ...options, name })
  try {
    const sample = sampleNow(path)
    const found = diskFormats.find((format) => format.probe(sample))
    if (found !== undefined) throw machinistError({ code: 'backend-option', part: name, value: found.name, remedy: 'Open the disks of the machine with openDisks first, or name the format raw.' }, 'only a raw image opens at once')
    const disk = imageDisk(openUnnamedRaw(file, sample, { name, readOnly: mode !== 'rw', formats: diskFormats }), file.park?.bind(file))
    return mode === 'overlay' ? overlay(disk) : disk
  } catch (error) {
    void file.close()
    throw error
  }
}
