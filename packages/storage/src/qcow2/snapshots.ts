import type { RandomAccessFile } from '../file.ts'
import { imageDamaged } from '../format.ts'
import type { ImageSnapshot } from '../format.ts'
import type { Header } from './header.ts'
import { getU64, limit, textOf } from './layout.ts'

/** A snapshot and where its L1 table is. */
export interface StoredSnapshot extends ImageSnapshot {
  readonly l1Offset: number
  readonly l1Entries: number
}

const fixedLength = 40

/** Reads the table of snapshots; `bytes` is how long it is. @throws a typed error */
export async function readSnapshots(file: RandomAccessFile, header: Header, name: string): Promise<{ readonly snapshots: readonly StoredSnapshot[], readonly bytes: number }> {
  const bad = (problem: string, value?: string | number): Error => imageDamaged(name, 'qcow2', problem, value)
  const snapshots: StoredSnapshot[] = []
  let at = header.snapshotsOffset
  const end = Math.min(file.size, at + limit.snapshotTable)
  const fixed = new Uint8Array(fixedLength)
  const view = new DataView(fixed.buffer)
  for (let index = 0; index < header.snapshotCount; index++) {
    if (await file.read(at, fixed) < fixedLength) throw bad('the snapshot table is cut short')
    const extraLength = view.getUint32(36)
    const idLength = view.getUint16(12)
    const nameLength = view.getUint16(14)
    const length = fixedLength + extraLength + idLength + nameLength
    if (extraLength > 65536 || at + length > end) throw bad('the snapshot table is too long', index)
    const rest = new Uint8Array(length - fixedLength)
    if (await file.read(at + fixedLength, rest) < rest.length) throw bad('the snapshot table is cut short')
    const size = extraLength >= 16 ? getU64(new DataView(rest.buffer), 8) : header.size
    const l1Entries = view.getUint32(8)
    const l1Offset = getU64(view, 0)
    if (!Number.isSafeInteger(size) || l1Entries * 8 > limit.l1 || !Number.isSafeInteger(l1Offset) || l1Offset % 2 ** header.clusterBits !== 0 || l1Offset + l1Entries * 8 > Math.ceil(file.size / 512) * 512) {
      throw bad('a snapshot has an impossible L1 table or size', index)
    }
    const text = (from: number, count: number): string => textOf(rest.subarray(from, from + count))
    snapshots.push({ id: text(extraLength, idLength), name: text(extraLength + idLength, nameLength), size, time: view.getUint32(16), l1Offset, l1Entries })
    at += Math.ceil(length / 8) * 8
  }
  return { snapshots, bytes: at - header.snapshotsOffset }
}
