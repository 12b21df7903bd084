import { machinistError } from '@machinist/api'
import { imageDamaged, imageUnsupported } from '../format.ts'
import type { CheckOptions, CheckReport, DiskFormat, DiskImage, OpenOptions, ResizeOptions } from '../format.ts'
import type { RandomAccessFile } from '../file.ts'
import { mappedBlocks, mappedImage } from '../mapped/engine.ts'
import type { Layout, MappedBlocks, Place, Run } from '../mapped/engine.ts'
import { asciiOf, roundUp } from '../mapped/fields.ts'
import type { Field } from '../mapped/staged.ts'
import { refuseWrites } from '../mapped/pieces.ts'
import { closeGaps, Places } from '../mapped/places.ts'
import { checkResize, Findings, tableChunk } from '../mapped/report.ts'
import { opening, StagedFile } from '../mapped/staged.ts'
import { createVhdx, parameters } from './create.ts'
import { openParent, parseLocator } from './parent.ts'
import { dataWriteAt, Session } from './session.ts'
import { batEntry, batShape, blockState, guidAt, MiB, readHeader, readMetadata, readRegions } from './structures.ts'
import type { Region } from './structures.ts'

const pageSize = 4096

/**
 * Hyper-V's VHDX: fixed, dynamic, differencing; the last are only read.
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
  const readOnlyFile = (options.readOnly ?? false) || !file.writable
  const staged = new StagedFile(file, pageSize, true)
  const { fields: header, which } = await readHeader(staged, name)
  const session = new Session(staged, header, which)
  const wasDirty = session.dirty
  if (wasDirty) {
    if (readOnlyFile) {
      throw machinistError(
        { code: 'image-dirty', part: name, remedy: 'Open it once for writing' }, 'was not closed in good order, and its log must be replayed before it can be read')
    }
    await session.replay(name)
  }
  const { bat, metadata, others } = await readRegions(staged, session.log, name)
  const { blockSize, sizeAt, logicalSector, fixed, diskId, ...initial } = await readMetadata(staged, metadata, name)
  let { size } = initial
  const differencing = initial.parent !== null
  const locator = initial.parent === null ? null : parseLocator(initial.parent, name)
  // What is written would need the bitmaps, too: those that stand on others are only read.
  const readOnly = readOnlyFile || differencing
  if (batShape(size, blockSize, logicalSector, differencing).entries * batEntry > bat.length) throw imageDamaged(name, 'vhdx', 'its table of blocks is too short for its size', bat.length)
  const { ratio } = batShape(size, blockSize, logicalSector)
  const entryAt = (block: number): number => bat.offset + (block + Math.floor(block / ratio)) * batEntry
  const own: readonly Region[] = [{ offset: 0, length: MiB }, session.log, bat, metadata]
  const bitmapAt = (block: number): number => bat.offset + (Math.floor(block / ratio) * (ratio + 1) + ratio) * batEntry
  const sound = (place: number): boolean => place + blockSize <= roundUp(staged.end, MiB)
    && own.every(({ offset, length }) => place >= offset + length || place + blockSize <= offset)

  let next = roundUp(staged.end, MiB)
  const free: number[] = []
  const elsewhere = differencing ? 'backing' : 'zero'
  /** Sectors of a block that lie in one way: where some are in the parent, a bitmap for many blocks has a bit for each (2.4). */
  const runOf = async (block: number, place: Place, from: number, length: number): Promise<Run> => {
    if (typeof place !== 'number' || entryOf(await staged.field(entryAt(block))).state !== blockState.partial) return { place, length }
    const bitmap = entryOf(await staged.field(bitmapAt(block)))
    if (bitmap.state !== blockState.present || bitmap.place + MiB > roundUp(staged.end, MiB)) throw new Error('a bitmap of sectors is missing')
    const sectors = block % ratio * blockSize / logicalSector
    const first = sectors + Math.floor(from / logicalSector)
    const { fields, at } = await staged.field(bitmap.place + Math.floor(first / 8))
    const isSet = (sector: number): boolean => ((fields.bytes[at + Math.floor(sector / 8) - Math.floor(first / 8)] ?? 0) & (1 << sector % 8)) !== 0
    const reach = first - first % 8 + (fields.bytes.length - at) * 8
    let past = first + 1
    while (past < reach && (past - sectors) * logicalSector < from + length && isSet(past) === isSet(first)) past += 1
    return { place: isSet(first) ? place : elsewhere, length: Math.min(length, (past - sectors) * logicalSector - from) }
  }
  const layout: Layout = {
    blockSize,
    async find(block) {
      const { state, place } = entryOf(await staged.field(entryAt(block)))
      if (state === blockState.absent) return elsewhere
      if (state < 4) return 'zero'
      if ((state !== blockState.present && !(differencing && state === blockState.partial)) || !sound(place)) throw new Error('an entry of the table of blocks is damaged')
      return place
    },
    ...(differencing && { run: runOf }),
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
  const parent = locator === null || options.maintenance === true ? null : await openParent(vhdx, locator, options)
  const mapped = mappedBlocks(layout, staged, parent, () => size)
  const blocks: MappedBlocks = {
    ...mapped,
    async write(offset, from) {
      if (differencing) return refuseWrites()
      await session.begin()
      await mapped.write(offset, from)
    },
    async discard(offset, length) {
      if (differencing) return refuseWrites()
      if (file.discard === undefined) return
      await session.begin()
      await mapped.discard(offset, length)
    },
    async writeZeroes(offset, length) {
      if (differencing) return refuseWrites()
      await session.begin()
      await mapped.writeZeroes(offset, length)
    },
  }

  /** Goes through the table in the file. */
  const scan = async (visit: (block: number, entry: ReturnType<typeof entryOf>) => void): Promise<void> => {
    const count = batShape(size, blockSize, logicalSector).blocks
    const perChunk = tableChunk / batEntry
    for (let first = 0; first < count; first += perChunk) {
      // Blocks of a part of the table, whose entries for bitmaps are passed over.
      const past = Math.min(count, first + perChunk)
      const part = await staged.fields(entryAt(first), entryAt(past - 1) + batEntry - entryAt(first))
      for (let block = first; block < past; block++) visit(block, entryOf({ fields: part, at: entryAt(block) - entryAt(first) }))
    }
  }

  const check = async ({ repair = false }: CheckOptions = {}): Promise<CheckReport> => {
    if (!readOnly) await staged.flush()
    const findings = new Findings()
    const units = blockSize / MiB
    const taken = new Places(Math.ceil(staged.end / MiB) + units)
    // Regions that we do not know are somebody's, wherever they say that they are.
    for (const { offset, length } of [...own, ...others]) if (Number.isSafeInteger(offset)) taken.takeAll(Math.floor(offset / MiB), Math.ceil(length / MiB))
    await scan((_block, { state, place }) => {
      // Blocks without content may have a place that they had.
      if (state < 4) taken.takeAll(place / MiB, place === 0 ? 0 : units)
    })
    await scan((block, { state, place }) => {
      if (state < 4) return
      const held = state === blockState.present || (differencing && state === blockState.partial)
      if (!held) findings.corruption(`block ${String(block)} is in state ${String(state)}, which such an image does not have`)
      else if (!sound(place)) findings.corruption(`block ${String(block)} lies outside of the file, or over the image's own structures`)
      else if (!taken.takeAll(place / MiB, units)) findings.corruption(`block ${String(block)} overlaps another`)
    })
    for (let block = 0; differencing && block < batShape(size, blockSize, logicalSector).blocks; block += ratio) {
      const { state, place } = entryOf(await staged.field(bitmapAt(block)))
      if (state === blockState.present && !(place + MiB <= roundUp(staged.end, MiB) && taken.take(place / MiB))) findings.corruption(`the bitmap of the blocks from ${String(block)} on overlaps something else`)
    }
    const behind = Math.max(0, Math.floor(staged.end / MiB) - taken.end)
    const lost = taken.gaps(0, units) * units + behind
    if (lost === 0) return findings.report
    const fix = repair !== false && !readOnly && findings.report.corruptions === 0 && file.truncate !== undefined
    if (fix) {
      await session.begin()
      const end = await closeGaps({
        staged, taken, unit: MiB, base: 0, first: 1, length: blockSize,
        each: (visit) => scan((block, { state, place }) => { if (state === blockState.present) visit(block, place) }),
        name: (block, place) => layout.commit(block, { place, fresh: false }, 0, blockSize),
      })
      // An entry of the log tells how long the file has to be (2.3.1.1).
      await session.end()
      await file.truncate?.(end)
    }
    findings.leak('the file has space that nothing uses', lost, fix)
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
    format: 'vhdx', readOnly, unit: blockSize, size: () => size, blocks, below: parent,
    flush: () => staged.flush(),
    async close() {
      try {
        if (!readOnly) {
          await staged.flush()
          await session.end()
        }
      } finally {
        await staged.close(false)
        await parent?.close()
      }
    },
    info: () => Promise.resolve({
      format: 'vhdx', size, clusterSize: blockSize, dirty: wasDirty,
      ...(locator && { backing: { name: locator.name, format: 'vhdx' } }),
      details: {
        subformat: differencing ? 'differencing' : fixed ? 'fixed' : 'dynamic', logicalSectorSize: logicalSector, uuid: diskId,
        // By this those that stand on it know whether it has changed.
        dataWriteGuid: guidAt(header, dataWriteAt),
      },
    }),
    check, resize,
  })
}
