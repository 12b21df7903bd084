import { machinistError } from '@machinist/api'
import { sectorSize } from '../disk.ts'
import { backingName } from '../backing-name.ts'
import type { RandomAccessFile } from '../file.ts'
import type { CreateOptions } from '../format.ts'
import { backingNameRoom, encodeHeader, l1EntriesFor } from './header.ts'
import { bytesOf, lazyRefcounts, limit, setU64 } from './layout.ts'
import { setCount } from './refcounts.ts'

/** The parameters of a new image; names and values as qemu-img has them. */
export const parameters: Readonly<Record<string, string>> = {
  cluster_size: 'bytes of a cluster, a power of two from 512 to 2M; 64K',
  compat: '1.1 (version 3) or 0.10 (version 2); 1.1',
  refcount_bits: 'bits of a refcount, a power of two from 1 to 64; 16',
  lazy_refcounts: 'on or off: others may write the counts late; off',
}

function parsed(name: string, given: Readonly<Record<string, string>>): { clusterBits: number, version: 2 | 3, refcountOrder: number, lazy: boolean } {
  const refuse = (parameter: string, value: string): never => {
    throw machinistError({ code: 'image-parameter', part: name, value: `${parameter}=${value}`, remedy: `qcow2 has ${Object.entries(parameters).map(([key, help]) => `${key}: ${help}`).join('; ')}` }, 'is not a parameter of the format')
  }
  const result: { clusterBits: number, version: 2 | 3, refcountOrder: number, lazy: boolean } = { clusterBits: 16, version: 3, refcountOrder: 4, lazy: false }
  for (const [parameter, value] of Object.entries(given)) {
    const match = /^([0-9]{1,9})([kKmM]?)$/.exec(value)
    const power = Math.log2(Number(match?.[1] ?? NaN) * (/[kK]/.test(match?.[2] ?? '') ? 1024 : /[mM]/.test(match?.[2] ?? '') ? 1 << 20 : 1))
    if (parameter === 'cluster_size' && power >= 9 && power <= 21 && Number.isInteger(power)) result.clusterBits = power
    else if (parameter === 'refcount_bits' && power >= 0 && power <= 6 && Number.isInteger(power)) result.refcountOrder = power
    else if (parameter === 'compat' && /^(0\.10|v2|1\.1|v3)$/.test(value)) result.version = /^(0\.10|v2)$/.test(value) ? 2 : 3
    else if (parameter === 'lazy_refcounts' && /^(on|off)$/.test(value)) result.lazy = value === 'on'
    else refuse(parameter, value)
  }
  if (result.version === 2 && result.refcountOrder !== 4) refuse('refcount_bits', given['refcount_bits'] ?? '')
  if (result.version === 2 && result.lazy) refuse('lazy_refcounts', 'on')
  return result
}

/** Writes an image without content: header, refcount table, blocks of counts, L1 table, in this order. */
export async function createImage(file: RandomAccessFile, size: number, { name, backing, parameters: given = {} }: CreateOptions): Promise<void> {
  const { clusterBits, version, refcountOrder, lazy } = parsed(name, given)
  const clusterSize = 2 ** clusterBits
  const l1Entries = l1EntriesFor(size, clusterBits)
  if (!Number.isSafeInteger(size) || size <= 0 || size % sectorSize !== 0 || l1Entries * 8 > limit.l1) {
    throw machinistError({ code: 'disk-size', part: name, value: size, remedy: 'Use a positive multiple of 512 bytes, and larger clusters for a large disk' }, 'is not a size for a disk of this format')
  }
  const under = backing === undefined ? null : { name: backingName(backing.name), format: backing.format }
  if (under !== null && bytesOf(under.name).length > backingNameRoom(clusterBits)) {
    throw machinistError({ code: 'image-parameter', part: name, value: under.name, remedy: 'Use a relative name, or larger clusters' }, 'the name of the backing file is too long')
  }
  const perBlock = 2 ** (clusterBits + 3 - refcountOrder)
  const l1Clusters = Math.ceil(l1Entries * 8 / clusterSize)
  let blocks = 1
  let tableClusters = 1
  for (;;) {
    const needed = Math.ceil((1 + tableClusters + blocks + l1Clusters) / perBlock)
    const table = Math.ceil(needed * 8 / clusterSize)
    if (needed === blocks && table === tableClusters) break
    blocks = needed
    tableClusters = table
  }
  const used = 1 + tableClusters + blocks + l1Clusters
  const table = new Uint8Array(tableClusters * clusterSize)
  for (let index = 0; index < blocks; index++) {
    const block = new Uint8Array(clusterSize)
    const view = new DataView(block.buffer)
    for (let slot = 0; slot < perBlock && index * perBlock + slot < used; slot++) setCount(view, slot, refcountOrder, 1)
    const offset = (1 + tableClusters + index) * clusterSize
    await file.write(offset, block)
    setU64(new DataView(table.buffer), index * 8, offset)
  }
  await file.write(clusterSize, table)
  const l1Offset = (1 + tableClusters + blocks) * clusterSize
  const zeroes = new Uint8Array(clusterSize)
  for (let index = 0; index < l1Clusters; index++) await file.write(l1Offset + index * clusterSize, zeroes)
  await file.flush()
  await file.write(0, encodeHeader({
    version, clusterBits, size, l1Entries, l1Offset, refcountTableOffset: clusterSize, refcountTableClusters: tableClusters, refcountOrder,
    snapshotCount: 0, snapshotsOffset: 0, incompatible: 0, compatible: lazy ? lazyRefcounts : 0,
    backing: under,
  }))
  await file.flush()
}
