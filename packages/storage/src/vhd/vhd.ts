import { imageDamaged, imageUnsupported } from '../format.ts'
import type { CreateOptions, DiskFormat, DiskImage, OpenOptions } from '../format.ts'
import type { RandomAccessFile } from '../file.ts'
import { writeZeroes } from '../raw.ts'
import { flatLayout, mappedBlocks, mappedImage } from '../mapped/engine.ts'
import { Fields, roundUp } from '../mapped/fields.ts'
import { identityHelp, identityOf, uuidText } from '../mapped/identity.ts'
import { checkCreate, checkResize, choice, powerOfTwo } from '../mapped/report.ts'
import { opening, StagedFile } from '../mapped/staged.ts'
import { openDynamic } from './dynamic.ts'
import { openParent, parentName } from './parent.ts'
import { dynamicSize, encodeDynamic, encodeFooter, footerSize, isFooter, looksLikeFooter, mostBytes, parseDynamic, parseFooter, setFooterSize, vhdNone, vhdType } from './structures.ts'
import type { VhdFooter } from './structures.ts'

const parameters = { subformat: 'dynamic (the default) or fixed', block_size: 'bytes of a block: 2M (the default), or another power of two', uuid: identityHelp }
const pageSize = 512

/** Virtual PC's and Hyper-V's VHD: fixed, dynamic, differencing (`.vhd`; QEMU calls it `vpc`). */
export const vhd: DiskFormat = {
  name: 'vhd',
  extensions: ['vhd', 'vpc'],
  parameters,
  // The footers of Virtual PC before 2004 have a byte less.
  probe: ({ header, trailer }) => looksLikeFooter(header) || looksLikeFooter(trailer) || looksLikeFooter(trailer.subarray(1)),
  open: (file, options) => opening('vhd', options.name, () => openVhd(file, options)),
  create: createVhd,
}

async function createVhd(file: RandomAccessFile, size: number, options: CreateOptions): Promise<void> {
  checkCreate('vhd', size, mostBytes, options, parameters)
  const uuid = identityOf(size, options)
  if (choice(options, 'subformat', ['dynamic', 'fixed']) === 'fixed') {
    if (file.truncate === undefined) await writeZeroes(file, 0, size)
    await file.write(size, encodeFooter(size, vhdType.fixed, uuid).bytes)
    return file.flush()
  }
  const blockSize = powerOfTwo(options, 'block_size', 65536, 1 << 28, 1 << 21)
  const entries = Math.ceil(size / blockSize)
  const table = footerSize + dynamicSize
  // Room to grow: to four times the size, and at least to 16384 blocks.
  const end = table + roundUp(Math.max(entries, Math.min(Math.max(entries * 4, 16384), Math.ceil(mostBytes / blockSize))) * 4, 512)
  const whole = end + entries * (roundUp(blockSize / 512 / 8, 512) + blockSize)
  if (whole > vhdNone * 512) throw imageUnsupported(options.name, 'vhd', `blocks of ${String(blockSize)} bytes for a disk of this size`, 'Use larger blocks')
  const footer = encodeFooter(size, vhdType.dynamic, uuid)
  for (let at = table; at < end; at += 65536) await file.write(at, new Uint8Array(Math.min(65536, end - at)).fill(0xff))
  await file.write(footerSize, encodeDynamic(table, entries, blockSize).bytes)
  await file.write(0, footer.bytes)
  await file.write(end, footer.bytes)
  await file.flush()
}

async function openVhd(file: RandomAccessFile, options: OpenOptions): Promise<DiskImage> {
  const { name } = options
  if (options.snapshot !== undefined) throw imageUnsupported(name, 'vhd', 'snapshots')
  if (file.size < footerSize) throw imageDamaged(name, 'vhd', 'it is too short', file.size)
  const readOnly = (options.readOnly ?? false) || !file.writable
  const staged = new StagedFile(file, pageSize, false)
  const last = await staged.fields(file.size - footerSize, footerSize)
  const first = await staged.fields(0, footerSize)
  const footerFields = isFooter(last.bytes) ? last : first
  if (!isFooter(footerFields.bytes)) {
    throw looksLikeFooter(last.bytes.subarray(1)) ? imageUnsupported(name, 'vhd', 'a footer of 511 bytes') : imageDamaged(name, 'vhd', 'it has no footer whose checksum is right')
  }
  const footer = parseFooter(footerFields, name)
  if (footer.type === vhdType.fixed) return openFixed(staged, footer, footerFields, name, readOnly)
  if (!Number.isSafeInteger(footer.next) || footer.next + dynamicSize > file.size || footer.next % 512 !== 0 || footer.next < footerSize) {
    throw imageDamaged(name, 'vhd', 'the header of its table of blocks has an impossible place', footer.next)
  }
  const dynamicFields = await staged.fields(footer.next, dynamicSize)
  const dynamic = parseDynamic(dynamicFields, footer.size, file.size, name)
  if (footer.type === vhdType.dynamic) return openDynamic({ name, staged, readOnly, footer, footerFields, dynamic, dynamicFields, parent: null })
  const below = await parentName(staged, dynamic, name)
  const parent = { name: below, image: await openParent(vhd, below, dynamic, options) }
  try {
    return await openDynamic({ name, staged, readOnly, footer, footerFields, dynamic, dynamicFields, parent })
  } catch (error) {
    await parent.image.close()
    throw error
  }
}

/** The disk from byte 0, then the footer. */
function openFixed(staged: StagedFile, footer: VhdFooter, footerFields: Fields, name: string, readOnly: boolean): DiskImage {
  let { size } = footer
  if (size + footerSize > staged.end) throw imageDamaged(name, 'vhd', 'it is shorter than its disk', staged.end)
  return mappedImage({
    format: 'vhd', readOnly, unit: 512, plain: true, size: () => size,
    blocks: mappedBlocks(flatLayout(0), staged, null, () => size),
    flush: () => staged.flush(),
    close: () => staged.close(!readOnly),
    info: () => Promise.resolve({ format: 'vhd', size, details: { subformat: 'fixed', uuid: uuidText(footer.uuid), creator: footer.creator.trim() } }),
    async resize(to, how) {
      if (!checkResize(name, 'vhd', size, to, how)) return
      if (to > mostBytes) throw imageUnsupported(name, 'vhd', `${String(to)} bytes`)
      const old = size
      setFooterSize(footerFields, to)
      if (staged.file.truncate === undefined) await staged.zero(old + footerSize, to - old)
      await staged.write(to, footerFields.bytes)
      await staged.flush()
      await staged.zero(old, Math.min(footerSize, to - old))
      await staged.flush()
      size = to
    },
  })
}
