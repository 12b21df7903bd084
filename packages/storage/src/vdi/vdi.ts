import { imageDamaged, imageFull, imageUnsupported } from '../format.ts'
import type { CheckOptions, CheckReport, CreateOptions, DiskFormat, DiskImage, OpenOptions, ResizeOptions } from '../format.ts'
import type { RandomAccessFile } from '../file.ts'
import { writeZeroes } from '../raw.ts'
import { mappedBlocks, mappedImage } from '../mapped/engine.ts'
import type { Layout, MappedBlocks } from '../mapped/engine.ts'
import { Fields, roundUp } from '../mapped/fields.ts'
import { identityHelp, identityOf, successor, uuidText } from '../mapped/identity.ts'
import { closeGaps, Places } from '../mapped/places.ts'
import { checkCreate, checkResize, choice, Findings, tableChunk } from '../mapped/report.ts'
import { opening, StagedFile } from '../mapped/staged.ts'
import { encodeVdi, parseVdi, vdiAllocatedAt, vdiBlocksAt, vdiHeaderSize, vdiModifiedAt, vdiSignature, vdiSizeAt, vdiType, vdiZero } from './header.ts'
import type { VdiHeader } from './header.ts'
import { openParent } from './parent.ts'

const parameters = { subformat: 'dynamic (the default) or fixed', uuid: identityHelp }
/** The most that its numbers of blocks can name. */
const mostBlocks = vdiZero - 1
const pageSize = 512
const subformats: Readonly<Record<number, string>> = { [vdiType.dynamic]: 'dynamic', [vdiType.fixed]: 'fixed', [vdiType.differencing]: 'differencing' }

/**
 * VirtualBox's VDI: dynamic, fixed, differencing.
 *
 * A flush writes content and the counter of blocks, then the map: after a crash the counter may be too high, which
 * `check` can repair, and which nothing that we or others write depends on.
 */
export const vdi: DiskFormat = {
  name: 'vdi',
  extensions: ['vdi'],
  parameters,
  probe: ({ header }) => header.length >= 68 && new Fields(header, true).u32(64) === vdiSignature,
  open: (file, options) => opening('vdi', options.name, () => openVdi(file, options)),
  create: createVdi,
}

async function createVdi(file: RandomAccessFile, size: number, options: CreateOptions): Promise<void> {
  checkCreate('vdi', size, mostBlocks * 2 ** 19, options, parameters)
  const fixed = choice(options, 'subformat', ['dynamic', 'fixed']) === 'fixed'
  const uuid = identityOf(size, options)
  const header = encodeVdi(size, fixed, uuid, successor(uuid))
  const [blocks, data] = [header.u32(vdiBlocksAt), header.u32(344)]
  for (let at = 0; at < data - vdiHeaderSize; at += tableChunk) {
    const map = new Fields(new Uint8Array(Math.min(tableChunk, data - vdiHeaderSize - at)).fill(0xff), true)
    if (fixed) for (let index = 0; index < map.bytes.length; index += 4) if ((at + index) / 4 < blocks) map.setU32(index, (at + index) / 4)
    await file.write(vdiHeaderSize + at, map.bytes)
  }
  if (fixed) await extend(file, data, data + blocks * header.u32(376))
  await file.write(0, header.bytes)
  await file.flush()
}

/** Makes a file longer by zeroes, with space for them where the host has no holes. */
async function extend(file: RandomAccessFile, from: number, to: number): Promise<void> {
  if (file.truncate !== undefined) await file.truncate(to)
  else await writeZeroes(file, from, to - from)
}

/** What a look through the map found. */
interface MapScan {
  /** One more than the highest number of a block in the file. */
  readonly next: number
  readonly used: number
}

/** Goes through the map in the file. */
async function scan(staged: StagedFile, map: number, blocks: number, visit: (block: number, entry: number) => void): Promise<MapScan> {
  let next = 0
  let used = 0
  for (let first = 0; first < blocks; first += tableChunk / 4) {
    const count = Math.min(tableChunk / 4, blocks - first)
    const part = await staged.fields(map + first * 4, count * 4)
    for (let index = 0; index < count; index++) {
      const entry = part.u32(index * 4)
      visit(first + index, entry)
      if (entry >= vdiZero) continue
      used += 1
      next = Math.max(next, entry + 1)
    }
  }
  return { next, used }
}

async function openVdi(file: RandomAccessFile, options: OpenOptions): Promise<DiskImage> {
  const { name } = options
  if (options.snapshot !== undefined) throw imageUnsupported(name, 'vdi', 'snapshots')
  if (file.size < vdiHeaderSize) throw imageDamaged(name, 'vdi', 'it is too short', file.size)
  const readOnly = (options.readOnly ?? false) || !file.writable
  const staged = new StagedFile(file, pageSize, true)
  const headerFields = await staged.fields(0, vdiHeaderSize)
  const header = parseVdi(headerFields, file.size, name)
  const parent = header.parent === null || options.maintenance === true ? null : await openParent(vdi, header.parent, options)
  try {
    return await openBlocks(staged, headerFields, header, parent, readOnly, name)
  } catch (error) {
    await parent?.image.close()
    throw error
  }
}

/** The image, when all that is below it is open. */
async function openBlocks(staged: StagedFile, headerFields: Fields, header: VdiHeader, parent: { readonly image: DiskImage, readonly name: string } | null, readOnly: boolean, name: string): Promise<DiskImage> {
  const { file } = staged
  const { map, data, blockSize } = header
  let { size, blocks } = header
  const elsewhere = header.parent === null ? 'zero' : 'backing'
  const places = Math.max(0, Math.ceil((file.size - data) / blockSize))
  let outside = 0
  let { next } = await scan(staged, map, blocks, (_block, entry) => { if (entry < vdiZero && entry >= places) outside += 1 })
  if (outside > 0 && !readOnly) throw imageDamaged(name, 'vdi', 'its map names blocks beyond the end of the file', outside)

  /** What the header in the file says. */
  let written = header.allocated
  const modified = successor(headerFields.bytes.subarray(vdiModifiedAt, vdiModifiedAt + 16))
  const free: number[] = []
  staged.before = async () => {
    if (next === written) return
    // Blocks may be taken meanwhile; the next flush counts them.
    const count = next
    headerFields.setU32(vdiAllocatedAt, count)
    await staged.write(0, headerFields.bytes)
    written = count
  }
  const layout: Layout = {
    blockSize,
    async find(block) {
      const { fields, at } = await staged.field(map + block * 4)
      const entry = fields.u32(at)
      return entry > vdiZero ? elsewhere : entry === vdiZero ? 'zero' : data + entry * blockSize
    },
    reserve() {
      const reused = free.pop()
      if (reused !== undefined) return { place: data + reused * blockSize, fresh: false }
      if (next >= mostBlocks) throw imageFull(name, 'the format has no more blocks')
      const place = data + next * blockSize
      next += 1
      return { place, fresh: place >= staged.end }
    },
    release({ place }) { free.push((place - data) / blockSize) },
    async clear(block) {
      await staged.change(map + block * 4, ({ fields, at }) => { fields.setU32(at, vdiZero) })
      return true
    },
    commit: (block, { place }) => staged.change(map + block * 4, ({ fields, at }) => { fields.setU32(at, (place - data) / blockSize) }),
  }
  let begun: Promise<void> | null = null
  /** Before the first write: tells those that stand on the image that it is another one now. */
  const begin = (): Promise<void> => {
    headerFields.bytes.set(modified, vdiModifiedAt)
    begun ??= staged.write(0, headerFields.bytes).catch((error: unknown) => {
      begun = null
      throw error
    })
    return begun
  }
  const mapped = mappedBlocks(layout, staged, parent?.image ?? null, () => size)
  const blocksOfDisk: MappedBlocks = {
    ...mapped,
    async write(offset, from) {
      await begin()
      await mapped.write(offset, from)
    },
    async discard(offset, length) {
      if (file.discard === undefined) return
      await begin()
      await mapped.discard(offset, length)
    },
    async writeZeroes(offset, length) {
      await begin()
      await mapped.writeZeroes(offset, length)
    },
  }
  /** Writes how many blocks the file has. */
  const count = async (blocks: number): Promise<void> => {
    next = written = blocks
    free.length = 0
    headerFields.setU32(vdiAllocatedAt, next)
    await staged.write(0, headerFields.bytes)
    await file.flush()
  }
  const check = async ({ repair = false, progress }: CheckOptions = {}): Promise<CheckReport> => {
    if (!readOnly) await staged.flush()
    const findings = new Findings()
    const inFile = Math.max(0, Math.ceil((staged.end - data) / blockSize))
    const taken = new Places(inFile)
    const found = await scan(staged, map, blocks, (block, entry) => {
      if (entry < vdiZero) {
        if (entry >= inFile) findings.corruption(`block ${String(block)} lies beyond the end of the file`)
        else if (!taken.take(entry)) findings.corruption(`block ${String(block)} shares its place with another`)
      }
      progress?.((block + 1) / blocks)
    })
    const stated = (await staged.fields(vdiAllocatedAt, 4)).u32(0)
    const lost = found.next - found.used
    if (lost > 0) {
      const fix = repair !== false && !readOnly && findings.report.corruptions === 0
      if (fix) {
        const end = await closeGaps({
          staged, taken, unit: blockSize, base: data, first: 0, length: blockSize,
          each: async (visit) => { await scan(staged, map, blocks, (block, entry) => { if (entry < vdiZero) visit(block, data + entry * blockSize) }) },
          name: (block, place) => layout.commit(block, { place, fresh: false }, 0, blockSize),
        })
        await count(found.used)
        await file.truncate?.(end)
      }
      findings.leak(`${String(lost)} blocks of the file are not in the map`, lost, fix)
    }
    if (stated !== found.next) {
      // Too high costs space; too low makes others give a block away twice.
      const fix = repair !== false && !readOnly
      if (fix) await count(next)
      const problem = `the header counts ${String(stated)} blocks, and the map ${String(found.next)}`
      if (stated > found.next) findings.leak(problem, stated - found.next, fix)
      else findings.corruption(problem, fix)
    }
    return findings.report
  }
  const resize = async (to: number, how?: ResizeOptions): Promise<void> => {
    if (!checkResize(name, 'vdi', size, to, how)) return
    if (header.parent !== null) throw imageUnsupported(name, 'vdi', 'resizing an image that stands on another', 'Convert it to one image')
    if (header.type === vdiType.fixed) throw imageUnsupported(name, 'vdi', 'resizing a fixed image', 'Convert it to a dynamic image')
    const count = Math.ceil(to / blockSize)
    if (map + roundUp(count * 4, 512) > data || count > mostBlocks) {
      throw imageUnsupported(name, 'vdi', `a map for ${String(count)} blocks, for which it left no room`, 'Make a larger image and copy the content into it')
    }
    await staged.flush()
    for (let first = blocks; first < count;) {
      const part = Math.min(tableChunk / 4, count - first)
      await staged.write(map + first * 4, new Uint8Array(part * 4).fill(0xff))
      first += part
    }
    staged.forget()
    await file.flush()
    headerFields.setU64(vdiSizeAt, to)
    headerFields.setU32(vdiBlocksAt, count)
    await staged.write(0, headerFields.bytes)
    await file.flush()
    blocks = count
    size = to
  }
  return mappedImage({
    format: 'vdi', readOnly, unit: blockSize, size: () => size,
    blocks: blocksOfDisk, below: parent?.image ?? null,
    flush: () => staged.flush(),
    async close() {
      try {
        await staged.close(!readOnly)
      } finally {
        await parent?.image.close()
      }
    },
    info: () => Promise.resolve({
      format: 'vdi', size, clusterSize: blockSize,
      ...(header.parent && { backing: { name: parent?.name ?? uuidText(header.parent.uuid), format: 'vdi' } }),
      details: { subformat: subformats[header.type] ?? '', uuid: uuidText(header.uuid), allocatedBlocks: next },
    }),
    check, resize,
  })
}
