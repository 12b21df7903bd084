import { imageDamaged, imageFull, imageUnsupported } from '../format.ts'
import type { CheckOptions, CheckReport, DiskImage, ResizeOptions } from '../format.ts'
import { mappedBlocks, mappedImage } from '../mapped/engine.ts'
import type { Layout } from '../mapped/engine.ts'
import { roundUp } from '../mapped/fields.ts'
import type { Fields } from '../mapped/fields.ts'
import { uuidText } from '../mapped/identity.ts'
import { closeGaps, Places } from '../mapped/places.ts'
import { checkResize, Findings, tableChunk } from '../mapped/report.ts'
import type { StagedFile } from '../mapped/staged.ts'
import { footerSize, isFooter, mostBytes, setEntries, setFooterSize, vhdNone } from './structures.ts'
import type { VhdDynamic, VhdFooter } from './structures.ts'

/** What is known of an image with a table of blocks when it is opened. */
export interface DynamicParts {
  readonly name: string
  readonly staged: StagedFile
  readonly readOnly: boolean
  readonly footer: VhdFooter
  readonly footerFields: Fields
  readonly dynamic: VhdDynamic
  readonly dynamicFields: Fields
  /** The image below and its name. */
  readonly parent: { readonly image: DiskImage, readonly name: string } | null
}

/**
 * A dynamic or differencing image. A block is a bitmap, a bit for each sector, the highest of a byte first, and the sectors. A sector whose
 * bit is clear is zero, or in the parent.
 *
 * A new block lies where the footer was; a flush writes the footer behind the last block together with content and bitmaps of new
 * blocks, and only then the table and the bitmaps of old ones. In between, the footer's copy at the beginning of the file counts.
 */
export async function openDynamic(parts: DynamicParts): Promise<DiskImage> {
  const { name, staged, readOnly, footer, footerFields, dynamic, dynamicFields, parent } = parts
  const { table, blockSize } = dynamic
  let { size } = footer
  const bitmapSize = roundUp(blockSize / 512 / 8, 512)
  const elsewhere = parent === null ? 'zero' : 'backing'
  const blocks = (): number => Math.ceil(size / blockSize)

  /** Goes through the table in the file. */
  const scan = async (visit: (block: number, sector: number) => void): Promise<void> => {
    const count = blocks()
    for (let first = 0; first < count; first += tableChunk / 4) {
      const part = await staged.fields(table + first * 4, Math.min(tableChunk / 4, count - first) * 4)
      for (let at = 0; at < part.bytes.length; at += 4) visit(first + at / 4, part.u32(at))
    }
  }
  const bodyEnd = (): number => roundUp(Math.max(table + blocks() * 4, footer.next + 1024, ...dynamic.locators.map(({ platform, offset, length }) =>
    platform !== '\0\0\0\0' && offset + length <= staged.end ? offset + length : 0)), 512)

  let next = bodyEnd()
  let outside = 0
  await scan((_block, sector) => {
    if (sector === vhdNone) return
    const end = sector * 512 + bitmapSize + blockSize
    if (sector * 512 < bodyEnd() || sector * 512 + bitmapSize > staged.end) outside += 1
    else next = Math.max(next, end)
  })
  if (outside > 0 && !readOnly) throw imageDamaged(name, 'vhd', 'its table names blocks outside of the file, or over its own structures', outside)

  const tail = staged.end >= footerSize && isFooter((await staged.fields(staged.end - footerSize, footerSize)).bytes)
  /** Where the footer at the end is known to be. */
  let footerAt = tail && staged.end - footerSize === next ? next : -1
  let writingFooter: Promise<void> = Promise.resolve()
  staged.before = async () => {
    if (footerAt === next) return
    footerAt = next
    // A block that is given this place meanwhile waits for it.
    writingFooter = staged.write(next, footerFields.bytes)
    try {
      await writingFooter
    } catch (error) {
      footerAt = -1
      throw error
    } finally {
      writingFooter = Promise.resolve()
    }
  }

  const bitmapByte = (place: number, from: number): number => place - bitmapSize + Math.floor(from / 4096)
  const bitOf = (byte: number, sector: number): boolean => (byte & (0x80 >>> sector % 8)) !== 0

  const free: number[] = []
  const layout: Layout = {
    blockSize,
    async find(block) {
      const { fields, at } = await staged.field(table + block * 4)
      const sector = fields.u32(at)
      return sector === vhdNone ? elsewhere : sector * 512 + bitmapSize
    },
    async run(_block, place, from, length) {
      if (typeof place !== 'number') return { place, length }
      const { fields, at } = await staged.field(bitmapByte(place, from))
      const sectorAt = (index: number): boolean => bitOf(fields.bytes[at + Math.floor((from % 4096 + index) / 4096)] ?? 0, Math.floor((from + index) / 512))
      const set = sectorAt(0)
      // To the end of this sector, then whole ones, as far as the page of the bitmap goes.
      let end = 512 - from % 512
      const reach = Math.min(length, (fields.bytes.length - at) * 4096 - from % 4096)
      while (end < reach && sectorAt(end) === set) end += 512
      return { place: set ? place : elsewhere, length: Math.min(end, length) }
    },
    reserve() {
      const reused = free.pop()
      if (reused !== undefined) return { place: reused, fresh: false }
      const place = next + bitmapSize
      if (place + blockSize > vhdNone * 512) throw imageFull(name, 'the format has no more blocks')
      next = place + blockSize
      return { place, fresh: place >= staged.end }
    },
    release({ place }) { free.push(place) },
    async commit(block, { place }, from, to) {
      const bitmap = new Uint8Array(bitmapSize)
      if (parent === null) bitmap.fill(0xff)
      else for (let sector = Math.floor(from / 512); sector * 512 < to; sector++) bitmap[sector >>> 3] = (bitmap[sector >>> 3] ?? 0) | 0x80 >>> sector % 8
      await writingFooter
      await staged.write(place - bitmapSize, bitmap)
      await staged.change(table + block * 4, ({ fields, at }) => { fields.setU32(at, (place - bitmapSize) / 512) })
    },
    async written(_block, place, from, to) {
      const last = Math.ceil(to / 512)
      for (let sector = Math.floor(from / 512); sector < last;) {
        const { fields, at } = await staged.field(bitmapByte(place, sector * 512))
        const past = Math.min(last, roundUp(sector + 1, 8))
        let mask = 0
        for (; sector < past; sector++) mask |= 0x80 >>> sector % 8
        if (((fields.bytes[at] ?? 0) & mask) === mask) continue
        await staged.change(bitmapByte(place, (past - 1) * 512), (field) => {
          field.fields.bytes[field.at] = (field.fields.bytes[field.at] ?? 0) | mask
        })
      }
    },
  }

  const check = async ({ repair = false }: CheckOptions = {}): Promise<CheckReport> => {
    if (!readOnly) await staged.flush()
    const findings = new Findings()
    const length = bitmapSize + blockSize
    const taken = new Places(Math.ceil(next / 512))
    await scan((block, sector) => {
      if (sector === vhdNone) return
      if (sector * 512 < bodyEnd()) findings.corruption(`block ${String(block)} lies over the image's own structures`)
      else if (sector * 512 + bitmapSize > staged.end) findings.corruption(`block ${String(block)} lies beyond the end of the file`)
      else if (!taken.takeAll(sector, length / 512)) findings.corruption(`the block at sector ${String(sector)} overlaps another`)
    })
    const first = bodyEnd() / 512
    const lost = taken.gaps(first, length / 512)
    if (lost === 0) return findings.report
    const fix = repair !== false && !readOnly && findings.report.corruptions === 0
    if (fix) {
      const end = await closeGaps({
        staged, taken, unit: 512, base: 0, first, length,
        each: (visit) => scan((block, sector) => { if (sector !== vhdNone) visit(block, sector * 512) }),
        name: (block, place) => staged.change(table + block * 4, ({ fields, at }) => { fields.setU32(at, place / 512) }),
      })
      // Nothing names any more what lies where the footer goes.
      next = Math.max(bodyEnd(), end)
      await staged.flush()
      await staged.file.truncate?.(next + footerSize)
    }
    findings.leak('between the blocks lies space that nothing uses', lost, fix)
    return findings.report
  }

  const resize = async (to: number, how?: ResizeOptions): Promise<void> => {
    if (!checkResize(name, 'vhd', size, to, how)) return
    const [before, count] = [blocks(), Math.ceil(to / blockSize)]
    await staged.flush()
    let room = next
    await scan((_block, sector) => { if (sector !== vhdNone) room = Math.min(room, sector * 512) })
    if (to > mostBytes || roundUp(table + count * 4, 512) > room) {
      throw imageUnsupported(name, 'vhd', `a table of ${String(count)} blocks, for which it left no room`, 'Make a larger image and copy the content into it')
    }
    for (let first = before; first < count; first += tableChunk / 4) {
      await staged.write(table + first * 4, new Uint8Array(Math.min(tableChunk / 4, count - first) * 4).fill(0xff))
    }
    staged.forget()
    await staged.file.flush()
    if (count > dynamicFields.u32(28)) {
      setEntries(dynamicFields, count)
      await staged.write(footer.next, dynamicFields.bytes)
      await staged.file.flush()
    }
    setFooterSize(footerFields, to)
    await staged.write(0, footerFields.bytes)
    size = to
    next = Math.max(next, bodyEnd())
    footerAt = -1
    await staged.flush()
  }

  const close = async (): Promise<void> => {
    try {
      if (!readOnly) {
        await staged.flush()
        // What lies behind the footer is left from a crash.
        if (staged.end > next + footerSize && footerAt >= 0) await staged.file.truncate?.(next + footerSize)
      }
    } finally {
      await staged.close(false)
      await parent?.image.close()
    }
  }
  return mappedImage({
    format: 'vhd', readOnly, unit: blockSize, size: () => size,
    blocks: mappedBlocks(layout, staged, parent?.image ?? null, () => size), below: parent?.image ?? null,
    flush: () => staged.flush(),
    close,
    info: () => Promise.resolve({
      format: 'vhd', size, clusterSize: blockSize,
      ...(parent && { backing: { name: parent.name, format: 'vhd' } }),
      details: { subformat: parent === null ? 'dynamic' : 'differencing', uuid: uuidText(footer.uuid), creator: footer.creator.trim() },
    }),
    check, resize,
  })
}
