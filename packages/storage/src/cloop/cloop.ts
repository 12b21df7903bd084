/**
 * Compressed loop images of version 2, as Knoppix has them: to read. Byte 0 begins a shell script that says the version; then, big-endian:
 *
 * ```
 * 128  u32  bytes of a block           136  u64  for each block, and for the end of the last, its place in the file
 * 132  u32  blocks of the disk
 * ```
 *
 * Each block is a zlib stream.
 */
import type { RandomAccessFile } from '../file.ts'
import { imageDamaged, imageUnsupported } from '../format.ts'
import type { DiskFormat, DiskImage, OpenOptions } from '../format.ts'
import { asciiOf } from '../mapped/fields.ts'
import { readOnlyImage } from '../mapped/pieces.ts'
import { opening, StagedFile } from '../mapped/staged.ts'

const offsetsAt = 136
const entrySize = 8
/** As QEMU has it. */
const mostBlock = 64 << 20
const first = '#!/bin/sh\n#V'

/** Compressed loop images, version 2: read-only. */
export const cloop: DiskFormat = {
  name: 'cloop',
  extensions: ['cloop'],
  probe: ({ header }) => new RegExp(`^${first}\\d\\.\\d+ Format\\n`).test(asciiOf(header.subarray(0, 32))),
  open: (file, options) => opening('cloop', options.name, () => openCloop(file, options)),
}

async function openCloop(file: RandomAccessFile, options: OpenOptions): Promise<DiskImage> {
  const { name, codec } = options
  const bad = (problem: string, value?: number): never => { throw imageDamaged(name, 'cloop', problem, value) }
  if (options.snapshot !== undefined) throw imageUnsupported(name, 'cloop', 'snapshots')
  if (file.size < offsetsAt) bad('it is too short', file.size)
  const staged = new StagedFile(file, 512, false)
  const header = await staged.fields(0, offsetsAt)
  if (header.text(0, first.length) !== first) bad('it lacks the signature')
  const version = header.text(first.length, 3)
  if (version !== '2.0') throw imageUnsupported(name, 'cloop', `version ${version}`, 'Unpack it with extract_compressed_fs')
  if (codec?.inflates.includes('zlib') !== true) throw imageUnsupported(name, 'cloop', 'compression, which this host cannot undo', 'Open it on a host that can')
  const [blockSize, blocks] = [header.u32(128), header.u32(132)]
  const size = blockSize * blocks
  if (blockSize === 0 || blockSize % 512 !== 0 || blockSize > mostBlock) bad('its blocks have an impossible size', blockSize)
  if (size === 0 || !Number.isSafeInteger(size)) bad('it names an impossible size of the disk', size)
  if (offsetsAt + (blocks + 1) * entrySize > file.size) bad('its table of blocks is cut off', blocks)
  return readOnlyImage({
    format: 'cloop', file, size,
    info: { clusterSize: blockSize, details: { version, compression: 'zlib' } },
    find(offset) {
      const block = Math.floor(offset / blockSize)
      return Promise.resolve({
        offset: block * blockSize, length: blockSize,
        place: {
          id: block,
          async unpack() {
            const places = await staged.fields(offsetsAt + block * entrySize, 2 * entrySize)
            const [from, to] = [places.u64(0), places.u64(entrySize)]
            if (!(from <= to && to <= file.size && to - from <= 2 * blockSize + 1024)) throw new Error('a block has an impossible place')
            const bytes = await codec.inflate('zlib', (await staged.fields(from, to - from)).bytes, blockSize)
            if (bytes.length !== blockSize) throw new Error('a block is too short')
            return bytes
          },
        },
      })
    },
  })
}
