/** Makes small images of formats that we only read, from the descriptions of these formats. */
import { deflateRawSync, deflateSync } from 'node:zlib'

export interface Made {
  readonly bytes: Buffer
  /** What the disk reads as. */
  readonly model: Buffer
}

/** From 0 up to, not including, `below`. */
export type Pick = (below: number) => number

/** Content with areas of noise, of one byte, and of zeroes. */
export function content(size: number, pick: Pick, granule: number = 512): Buffer {
  const bytes = Buffer.alloc(size)
  for (let at = 0; at < size;) {
    const end = Math.min(size, at + granule * (1 + pick(8)))
    const kind = pick(4)
    if (kind === 1) bytes.fill(1 + pick(255), at, end)
    else if (kind > 1) for (let index = at; index < end; index++) bytes[index] = pick(256)
    at = end
  }
  return bytes
}

export const isZero = (bytes: Buffer): boolean => bytes.length === 0 || (bytes[0] === 0 && bytes.subarray(1).equals(bytes.subarray(0, -1)))

/** A file that is appended to, in units. */
class Growing {
  #parts: Buffer[] = []
  length = 0

  /** Appends bytes at the next multiple of `unit`. @returns where */
  append(bytes: Buffer, unit: number = 1): number {
    const at = Math.ceil(this.length / unit) * unit
    this.#parts.push(Buffer.alloc(at - this.length), bytes)
    this.length = at + bytes.length
    return at
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

export { Growing }

export function madeQcow(pick: Pick, backing: { readonly name: string, readonly model: Buffer } | null = null): Made {
  const clusterBits = 9 + pick(4)
  const l2Bits = 6 + pick(3)
  const cluster = 2 ** clusterBits
  const size = 512 * (1 + pick(1500))
  const model = content(size, pick)
  const entries = Math.ceil(size / 2 ** (clusterBits + l2Bits))
  const header = Buffer.alloc(48)
  const name = Buffer.from(backing?.name ?? '')
  header.writeUInt32BE(0x514649fb, 0)
  header.writeUInt32BE(1, 4)
  header.writeBigUInt64BE(BigInt(name.length === 0 ? 0 : 48), 8)
  header.writeUInt32BE(name.length, 16)
  header.writeBigUInt64BE(BigInt(size), 24)
  header[32] = clusterBits
  header[33] = l2Bits
  const file = new Growing()
  file.append(header)
  file.append(name)
  const l1 = Buffer.alloc(entries * 8)
  const l1At = Math.ceil(file.length / 8) * 8
  header.writeBigUInt64BE(BigInt(l1At), 40)
  file.append(l1, 8)
  const tables: { readonly bytes: Buffer }[] = []
  for (let start = 0; start < size; start += cluster) {
    const part = Buffer.alloc(cluster)
    model.copy(part, 0, start, Math.min(size, start + cluster))
    const from = backing === null ? Buffer.alloc(0) : backing.model.subarray(start, start + cluster)
    if ((backing === null ? isZero(part) : pick(3) === 0)) {
      const below = Buffer.alloc(cluster)
      from.copy(below)
      below.copy(model, start)
      continue
    }
    const index = Math.floor(start / cluster / 2 ** l2Bits)
    if (tables[index] === undefined) {
      const bytes = Buffer.alloc(8 * 2 ** l2Bits)
      tables[index] = { bytes }
      l1.writeBigUInt64BE(BigInt(file.append(bytes, cluster)), index * 8)
    }
    const packed = deflateRawSync(part, { windowBits: 12 })
    let entry: bigint
    if (packed.length < cluster && pick(2) === 0) {
      entry = (1n << 63n) | (BigInt(packed.length) << BigInt(63 - clusterBits)) | BigInt(file.append(packed))
    } else entry = BigInt(file.append(part, cluster))
    tables[index]?.bytes.writeBigUInt64BE(entry, (start / cluster) % 2 ** l2Bits * 8)
  }
  return { bytes: file.bytes, model }
}

/** The old kind counts in sectors, the other in clusters. */
export function madeParallels(pick: Pick, old: boolean): Made {
  const sectors = old ? 63 : 2 ** (1 + pick(8))
  const cluster = sectors * 512
  const size = 512 * (1 + pick(1500))
  const model = content(size, pick, cluster)
  const entries = Math.ceil(size / cluster)
  const header = Buffer.alloc(64 + entries * 4)
  header.write(old ? 'WithoutFreeSpace' : 'WithouFreSpacExt', 'latin1')
  header.writeUInt32LE(2, 16)
  header.writeUInt32LE(16, 20)
  header.writeUInt32LE(sectors, 28)
  header.writeUInt32LE(entries, 32)
  header.writeBigUInt64LE(BigInt(size / 512), 36)
  const unit = old ? 512 : cluster
  header.writeUInt32LE(Math.ceil(header.length / unit) * unit / 512, 48)
  const blocks = Array.from({ length: entries }, (_, index) => index).filter((index) => !isZero(model.subarray(index * cluster, (index + 1) * cluster)))
  // In any order.
  for (let left = blocks.length; left > 1; left--) {
    const other = pick(left)
    ;[blocks[left - 1], blocks[other]] = [blocks[other]!, blocks[left - 1]!]
  }
  const file = new Growing()
  file.append(header)
  for (const block of blocks) {
    const part = Buffer.alloc(cluster)
    model.copy(part, 0, block * cluster, Math.min(size, (block + 1) * cluster))
    header.writeUInt32LE(file.append(part, unit) / unit, 64 + block * 4)
  }
  file.append(Buffer.alloc(0), unit)
  return { bytes: file.bytes, model }
}

export function madeBochs(pick: Pick, version: 1 | 2): Made {
  const extent = 512 * 2 ** (3 + pick(7))
  const size = 512 * (1 + pick(1500))
  const model = content(size, pick)
  const entries = Math.ceil(size / extent)
  const bitmap = Math.ceil(extent / 512 / 8)
  const header = Buffer.alloc(512)
  header.write('Bochs Virtual HD Image', 0, 'latin1')
  header.write('Redolog', 32, 'latin1')
  header.write('Growing', 48, 'latin1')
  header.writeUInt32LE(version << 16, 64)
  ;[512, entries, bitmap, extent].forEach((value, index) => header.writeUInt32LE(value, 68 + index * 4))
  header.writeBigUInt64LE(BigInt(size), version === 1 ? 84 : 88)
  const catalog = Buffer.alloc(entries * 4, 0xff)
  const file = new Growing()
  file.append(header)
  file.append(catalog)
  let next = 0
  for (let index = 0; index < entries; index++) {
    const part = Buffer.alloc(extent)
    model.copy(part, 0, index * extent, Math.min(size, (index + 1) * extent))
    if (isZero(part)) continue
    const bits = Buffer.alloc(Math.ceil(bitmap / 512) * 512)
    for (let sector = 0; sector * 512 < extent; sector++) {
      const bytes = part.subarray(sector * 512, (sector + 1) * 512)
      if (isZero(bytes)) bytes.fill(0x77) // not there, whatever it holds
      else bits[sector >> 3] = bits[sector >> 3]! | 1 << sector % 8
    }
    file.append(bits)
    file.append(part)
    catalog.writeUInt32LE(next++, index * 4)
  }
  return { bytes: file.bytes, model }
}

export function madeCloop(pick: Pick): Made {
  const block = 512 * (1 + pick(200))
  const blocks = 1 + pick(20)
  const model = content(block * blocks, pick)
  const packed = Array.from({ length: blocks }, (_, index) => deflateSync(model.subarray(index * block, (index + 1) * block)))
  const header = Buffer.alloc(136 + (blocks + 1) * 8)
  header.write('#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n', 'latin1')
  header.writeUInt32BE(block, 128)
  header.writeUInt32BE(blocks, 132)
  let at = header.length
  for (const [index, bytes] of [...packed, Buffer.alloc(0)].entries()) {
    header.writeBigUInt64BE(BigInt(at), 136 + index * 8)
    at += bytes.length
  }
  return { bytes: Buffer.concat([header, ...packed]), model }
}
