import { openOverlayFile, overlay, qcow2, raw } from '../src/index.ts'
import type { DiskFormat, RandomAccessFile } from '../src/index.ts'
import { bytesOf } from '../src/mapped/fields.ts'
import { vdi } from '../src/vdi/vdi.ts'
import { checksum } from '../src/vhd/structures.ts'
import { vhd } from '../src/vhd/vhd.ts'
import { vhdx } from '../src/vhdx/vhdx.ts'
import { vmdk } from '../src/vmdk/vmdk.ts'
import { BASE, fill, imageOf, type Subject } from './power.ts'
import { PowerFile, SECTOR, type Sync } from './power-file.ts'

const MiB = 2 ** 20
const never = (): number => 0

/** An image of a format in which every sector of some zones has the value {@link BASE}. */
function baseOf(format: DiskFormat, size: number, zones: Subject['zones'], parameters: Record<string, string> = {}): () => Promise<RandomAccessFile> {
  return async () => {
    const file = new PowerFile({ sectors: new Map(), size: 0 }, never)
    await format.create?.(file, size, { name: 'base', parameters })
    const image = await format.open(file, { name: 'base' })
    for (const [start, count] of zones) {
      const bytes = new Uint8Array(count * SECTOR)
      fill(bytes, start, BASE)
      await image.write(start * SECTOR, [bytes])
    }
    await image.close()
    return file
  }
}

const nth = (index: number) => (sync: Sync): boolean => sync.index === index
const content = { 'content before the tables': nth(0), 'tables before the end': nth(1) }
const small = [[0, 300], [1000, 400], [1900, 148]] as const
const make = (format: DiskFormat, size: number, parameters: Record<string, string>, backing?: { name: string, format: string, size: number }) => async (file: RandomAccessFile): Promise<void> => {
  await format.create?.(file, size, { name: 'image', parameters, ...(backing && { backing }) })
}

/** Changes what `make` made: the bytes of the file, and what is to be written of them. */
async function patch(file: RandomAccessFile, length: number, edit: (bytes: Uint8Array, view: DataView) => void): Promise<void> {
  const bytes = new Uint8Array(length)
  await file.read(0, bytes)
  edit(bytes, new DataView(bytes.buffer))
  await file.write(0, bytes)
  await file.flush()
}

/** A differencing VHD, of which we make none. */
async function makeDifferencing(file: RandomAccessFile, base: () => Promise<RandomAccessFile>): Promise<void> {
  await make(vhd, MiB, { block_size: '65536', uuid: '01234567-89ab-4def-8123-456789abcdef' })(file)
  const parent = new Uint8Array(SECTOR)
  await (await base()).read(0, parent)
  await patch(file, file.size, (bytes, view) => {
    for (const at of [0, bytes.length - SECTOR]) {
      view.setUint32(at + 60, 4)
      view.setUint32(at + 64, checksum(bytes.subarray(at, at + SECTOR), 64))
    }
    bytes.set(parent.subarray(68, 84), 512 + 40)
    ;[...'base'].forEach((character, index) => { view.setUint16(512 + 64 + index * 2, character.charCodeAt(0)) })
    view.setUint32(512 + 36, checksum(bytes.subarray(512, 1536), 36))
  })
}

/** A VMDK over another, of which we make none. */
async function makeLinked(file: RandomAccessFile, base: () => Promise<RandomAccessFile>, subformat: string): Promise<void> {
  await make(vmdk, MiB, { subformat })(file)
  const parent = await vmdk.open(await base(), { name: 'base' })
  const { cid } = (await parent.info()).details
  await patch(file, 20 * SECTOR, (bytes) => {
    const text = String.fromCharCode(...bytes.subarray(SECTOR)).replace(/\0[^]*$/, '')
    bytes.fill(0, SECTOR)
    bytes.set(bytesOf(text.replace(/parentCID=.*/, `parentCID=${String(cid)}\nparentFileNameHint="base"`)), SECTOR)
  })
}

function linked(subformat: string, syncs: Subject['syncs']): Subject {
  const open = baseOf(vmdk, MiB, small)
  return { open: imageOf(vmdk, open), make: (file) => makeLinked(file, open, subformat), zones: small, syncs }
}

const vhdBase = baseOf(vhd, MiB, small, { block_size: '65536' })
const rawBase = async (): Promise<RandomAccessFile> => {
  const bytes = new Uint8Array(MiB)
  fill(bytes, 0, BASE)
  const file = new PowerFile({ sectors: new Map(), size: 0 }, never)
  await file.write(0, bytes)
  return file
}
const qcow2Subject = (parameters: Record<string, string>): Subject => ({
  open: imageOf(qcow2, rawBase), make: make(qcow2, MiB, parameters, { name: 'base', format: 'raw', size: MiB }), zones: small,
  syncs: { 'content before the tables': nth(0), 'tables before the end': ({ index }) => index > 0 },
})

/** Many blocks, whose entries are in several pages of the table. */
const vhdxZones = Array.from({ length: 48 }, (_, index) => [index * 2 ** 18 + index * 5, 6] as const)
const inHeaders = ({ index, since }: Sync): boolean => index >= 0 && since.length > 0 && since.every((offset) => offset < MiB)
const inLog = ({ index, since }: Sync): boolean => index >= 0 && since.some((offset) => offset >= MiB && offset < 2 * MiB)

export const powerSubjects: Readonly<Record<string, Subject>> = {
  'vdi': { open: imageOf(vdi), make: make(vdi, 5 * MiB + 512, {}), zones: [[0, 64], [2000, 100], [5000, 200], [10000, 241]], syncs: content },
  'vhd, dynamic': { open: imageOf(vhd), make: make(vhd, MiB, { block_size: '65536' }), zones: small, syncs: content },
  'vhd, differencing': { open: imageOf(vhd, vhdBase), make: (file) => makeDifferencing(file, vhdBase), zones: small, syncs: content },
  'vhd, fixed': { open: imageOf(vhd), make: make(vhd, MiB, { subformat: 'fixed' }), zones: small, syncs: { 'content': nth(0) } },
  'vhdx': {
    open: imageOf(vhdx), make: make(vhdx, 6 * 2 ** 30, { block_size: '1M' }), zones: vhdxZones,
    fragile: (offset) => offset >= 3 * MiB && offset < 4 * MiB,
    syncs: { 'content before the log': nth(0), 'the log before the tables': inLog, 'the name of the log before the tables': inHeaders, 'tables before the end': ({ index, since }) => index > 1 && since.some((offset) => offset >= 2 * MiB) },
  },
  'vmdk, sparse': { open: imageOf(vmdk), make: make(vmdk, MiB, {}), zones: small, syncs: content },
  'vmdk, sparse, over another': linked('monolithicSparse', content),
  'vmdk, stream-optimised': { open: imageOf(vmdk), make: make(vmdk, MiB, { subformat: 'streamOptimized' }), zones: small, syncs: { 'tables before the footer': nth(0), 'the footer before the end': nth(1) } },
  'vmdk, stream-optimised, over another': linked('streamOptimized', { 'tables before the footer': nth(0), 'the footer before the end': nth(1) }),
  'qcow2, small clusters': qcow2Subject({ cluster_size: '512', refcount_bits: '64' }),
  'qcow2': qcow2Subject({ cluster_size: '4096' }),
  'an overlay': {
    open: async (file) => ({ disk: overlay(raw(await rawBase()), await openOverlayFile(file, { clusterSize: 4096 })) }), make: () => Promise.resolve(), zones: small, syncs: content,
  },
}
