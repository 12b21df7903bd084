import { machinistError } from '@machinist/api'
import { imageDamaged, imageUnsupported } from '../format.ts'
import type { CheckReport, DiskFormat, DiskImage, OpenOptions, ResizeOptions } from '../format.ts'
import type { RandomAccessFile } from '../file.ts'
import { mappedBlocks, mappedImage } from '../mapped/engine.ts'
import type { Layout, MappedBlocks } from '../mapped/engine.ts'
import { asciiOf, roundUp } from '../mapped/fields.ts'
import type { Field } from '../mapped/staged.ts'
import { checkResize, Findings, Places, tableChunk } from '../mapped/report.ts'
import { opening, StagedFile } from '../mapped/staged.ts'
import { createVhdx, parameters } from './create.ts'
import { Session } from './session.ts'
import { batEntry, batShape, blockState, MiB, readHeader, readMetadata, readRegions } from './structures.ts'
import type { Region } from './structures.ts'

const pageSize = 4096

/**
 * Hyper-V's VHDX, fixed and dynamic. Images that stand on others are refused.
 *
 * A log that is not empty is replayed on opening, which needs a file that can be written. Blocks are written before the table names them;
 * the table is changed by way of the log.
 */
export const vhdx: DiskFormat = {
  name: 'vhdx',
  extensions: ['vhdx'],
  parameters,
  probe: ({ header }) => asciiOf(header.subarray(0, 8)) === 'vhdxfile',
  open: (file, options) => opening('vhdx', options.name, () => openVhdx(file, options)),
  create: createVhdx,
}

/** State and place of an entry of the table of blocks. */
function entryOf({ fields, at }: Field): { readonly state: number, readonly place: number } {
  const low = fields.u32(at)
  return { state: low & 7, place: fields.u32(at + 4) * 2 ** 32 + low - low % MiB }
}

async function openVhdx(file: RandomAccessFile, options: OpenOptions): Promise<DiskImage> {
  const { name } = options
  if (options.snapshot !== undefined) throw imageUnsupported(name, 'vhdx', 'snapshots')
  if (file.size < 2 * MiB) throw imageDamaged(name, 'vhdx', 'it is too short', file.size)
  const readOnly = (options.readOnly ?? false) || !file.writable
  const staged = new StagedFile(file, pageSize, true)
  const { fields: header, which } = await readHeader(staged, name)
  const session = new Session(staged, header, which)
  const wasDirty = session.dirty
  if (wasDirty) {
    if (readOnly) {
      throw machinistError(
        { code: 'image-dirty', part: name, remedy: 'Open it once for writing' }, 'was not closed in good order, and its log must be replayed before it can be read')
    }
    await session.replay(name)
  }
  const { bat, metadata } = await readRegions(staged, session.log, name)
  const { blockSize, sizeAt, logicalSector, fixed, diskId, ...initial } = await readMetadata(staged, metadata, name)
  let { size } = initial
  if (batShape(size, blockSize, logicalSector).entries * batEntry > bat.length) throw imageDamaged(name, 'vhdx', 'its table of blocks is too short for its size', bat.length)
  const { ratio } = batShape(size, blockSize, logicalSector)
  const entryAt = (block: number): number => bat.offset + (block + Math.floor(block / ratio)) * batEntry
  const own: readonly Region[] = [{ offset: 0, length: MiB }, session.log, bat, metadata]
  const sound = (place: number): boolean => place + blockSize <= roundUp(staged.end, MiB)
    && own.every(({ offset, length }) => place >= offset + length || place + blockSize <= offset)

  let next = roundUp(staged.end, MiB)
  const free: number[] = []
  const layout: Layout = {
    blockSize,
    async find(block) {
      const { state, place } = entryOf(await staged.field(entryAt(block)))
      if (state < 4) return 'zero'
      if (state !== blockState.present || !sound(place)) throw new Error('an entry of the table of blocks is damaged')
      return place
    },
    reserve() {
      const reused = free.pop()
      if (reused !== undefined) return { place: reused, fresh: false }
      const place = next
      next += blockSize
      return { place, fresh: place >= staged.end }
    },
    release({ place }) { free.push(place) },
    commit: (block, { place }) => staged.change(entryAt(block), ({ fields, at }) => { fields.setU64(at, place + blockState.present) }),
  }
  const mapped = mappedBlocks(layout, staged, null, () => size)
  const blocks: MappedBlocks = {
    ...mapped,
    async write(offset, from) {
      await session.begin()
      await mapped.write(offset, from)
    },
    async writeZeroes(offset, length) {
      await session.begin()
      await mapped.writeZeroes(offset, length)
    },
  }

  const check = async (): Promise<CheckReport> => {
    if (!readOnly) await staged.flush()
    const findings = new Findings()
    const count = batShape(size, blockSize, logicalSector).blocks
    const taken = new Places(Math.ceil(staged.end / MiB) + blockSize / MiB)
    const perChunk = tableChunk / batEntry
    for (let first = 0; first < count; first += perChunk) {
      // Blocks of a part of the table, whose entries for bitmaps are passed over.
      const past = Math.min(count, first + perChunk)
      const part = await staged.fields(entryAt(first), entryAt(past - 1) + batEntry - entryAt(first))
      for (let block = first; block < past; block++) {
        const { state, place } = entryOf({ fields: part, at: entryAt(block) - entryAt(first) })
        if (state < 4) continue
        if (state !== blockState.present) findings.corruption(`block ${String(block)} is in state ${String(state)}, which an image without a parent does not have`)
        else if (!sound(place)) findings.corruption(`block ${String(block)} lies outside of the file, or over the image's own structures`)
        else {
          let free = true
          for (let at = place; at < place + blockSize; at += MiB) free = taken.take(at / MiB) && free
          if (!free) findings.corruption(`block ${String(block)} overlaps another`)
        }
      }
    }
    const body = Math.floor((staged.end - own.reduce((sum, { length }) => sum + length, 0)) / MiB)
    if (body > taken.used) findings.leak('the file has space that nothing uses', body - taken.used)
    return findings.report
  }

  const resize = async (to: number, how?: ResizeOptions): Promise<void> => {
    if (!checkResize(name, 'vhdx', size, to, how)) return
    const [before, after] = [batShape(size, blockSize, logicalSector), batShape(to, blockSize, logicalSector)]
    if (after.entries * batEntry > bat.length || to % logicalSector !== 0 || sizeAt % 8 !== 0) {
      throw imageUnsupported(name, 'vhdx', `a table of ${String(after.blocks)} blocks, for which it left no room`, 'Make a larger image and copy the content into it')
    }
    await session.begin()
    await staged.flush()
    await staged.zero(bat.offset + before.entries * batEntry, (after.entries - before.entries) * batEntry)
    staged.forget()
    await staged.change(sizeAt, ({ fields, at }) => { fields.setU64(at, to) })
    await staged.flush()
    size = to
  }

  return mappedImage({
    format: 'vhdx', readOnly, unit: blockSize, size: () => size, blocks,
    flush: () => staged.flush(),
    async close() {
      try {
        if (!readOnly) {
          await staged.flush()
          await session.end()
        }
      } finally {
        await staged.close(false)
      }
    },
    info: () => Promise.resolve({
      format: 'vhdx', size, clusterSize: blockSize, dirty: wasDirty,
      details: { subformat: fixed ? 'fixed' : 'dynamic', logicalSectorSize: logicalSector, uuid: diskId },
    }),
    check, resize,
  })
}
