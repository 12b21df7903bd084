import { machinistError } from '@machinist/api'
import type { ReadBytes } from '@machinist/boot'
import type { DiskEngine } from '../disk.ts'
import { readGpt } from './gpt.ts'
import { readMbr } from './mbr.ts'

/** A partition of a disk. */
export interface Partition {
  /** As Linux counts them: the 1 of `/dev/vda1`. */
  readonly number: number
  /** In bytes, from the disk's first. */
  readonly offset: number
  readonly length: number
  /** What it is for: in a GPT a GUID, in an MBR a number such as `'0x83'`. */
  readonly type: string
  /** As `root=PARTUUID=` wants it. */
  readonly uuid: string
  /** Of a GPT, where it has one. */
  readonly name: string
  /** Is marked as the one to be started. */
  readonly bootable: boolean
  /** Is marked as one that is not to be written: attribute 60 of a GPT. */
  readonly readOnly: boolean
}

/** How a disk is divided. */
export interface PartitionTable {
  readonly scheme: 'gpt' | 'mbr'
  /** Of the disk: a GUID, or a number of eight hexadecimal digits. */
  readonly id: string
  /** By their numbers. All lie on the disk. */
  readonly partitions: readonly Partition[]
}

/**
 * What reads bytes of an open image or another disk, or of one of its parts: for {@link readPartitions} and `openExt4`.
 *
 * @param part - a partition, or another range in bytes. Default: all
 * @param name - how errors call the disk
 * @returns a function that rejects with a typed error, `'disk-read'`
 */
export function readerOf(disk: Pick<DiskEngine, 'read' | 'size'>, part: { readonly offset: number, readonly length: number } = { offset: 0, length: disk.size }, name: string = 'disk'): ReadBytes {
  const size = Math.max(0, Math.min(part.length, disk.size - part.offset))
  return async (offset, length) => {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)))
    const status = bytes.length === 0 ? 'ok' : await disk.read(part.offset + offset, [bytes])
    if (status !== 'ok') throw machinistError({ code: 'disk-read', part: name, value: status, remedy: 'Check the image' }, `cannot be read at byte ${String(part.offset + offset)}`)
    return bytes
  }
}

/**
 * Reads a disk's table of partitions: a GUID partition table (UEFI 2.10, 5.3), the second where the first is damaged, or else a master boot record with
 * its logical partitions. What in it cannot be on the disk is left out.
 *
 * @param size - of the disk in bytes
 * @returns null for a disk without a table, such as one that is a file system by itself
 * @throws what `read` throws
 */
export async function readPartitions(read: ReadBytes, size: number): Promise<PartitionTable | null> {
  const gpt = await readGpt(read, size)
  return gpt ?? await readMbr(read, size)
}
