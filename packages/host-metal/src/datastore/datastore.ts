import { machinistError, type MachinistError } from '@machinist/api'
import { type Disk, type Partition, raw, type RandomAccessFile, readerOf, readPartitions } from '@machinist/storage'
import { partitionFile } from './partition-file.ts'

/**
 * The type of a partition that is the disk of a machine. What has another type is never given to one.
 *
 * The layout, of which this is all: a disk of the hardware has a GUID partition table (UEFI 2.10, 5.3). Each partition of this type is an image: its name is the image's, its bytes are the machine's disk, from the first
 * to the last. With attribute 60 it is never written. Nothing else on the disk is written, ever.
 */
export const IMAGE_TYPE = '6d91da6b-aeb7-4c2c-98d2-6ddb8f1fd480'

/** Names of images: those of machines, as long as a partition's may be. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,35}$/
/** Bytes at both ends of a disk that have the table: a header, 128 entries, and at the start a master boot record. No image may reach there. */
const TABLE = { start: 34 * 512, end: 33 * 512 } as const
/** Alignment of images, in bytes: that of the disk's blocks, so that no two machines share one. */
const LEAST_ALIGN = 4096
const SECTOR = 512

/** A disk of the hardware with images. */
export interface DatastoreDisk extends RandomAccessFile {
  readonly name: string
  /** Bytes of a block; 512 unless given. */
  readonly blockSize?: number
}

/** An image of a datastore. */
export interface DatastoreImage {
  readonly name: string
  /** Bytes. */
  readonly size: number
  readonly readOnly: boolean
  /** Of the partition, as `root=PARTUUID=` and `/dev/disk/by-partuuid` have it. */
  readonly uuid: string
  /** The disk that it is on, and the number of its partition. */
  readonly disk: string
  readonly partition: number
}

/** Images of machines, on disks of the hardware. */
export interface MetalDatastore {
  /** In the order of disks, and of partitions there. */
  readonly images: readonly DatastoreImage[]
  /** What cannot be used, and why. */
  readonly problems: readonly MachinistError[]
  /**
   * An image as a disk for a machine, to be closed. Either one has it and may write, or any number have it that may not.
   *
   * @param options - `readOnly`: refuses writes, though the image could be written
   * @throws typed errors: `'datastore-image'` when there is none of that name, `'disk-in-use'` when another has it
   */
  open(name: string, options?: { readonly readOnly?: boolean }): Disk
  /** Resolves when disks of the image that were closed, but had requests under way, have let go of it. */
  whenClosed(name: string): Promise<void>
}

interface Found {
  readonly image: DatastoreImage
  readonly file: RandomAccessFile
  readonly partition: Partition
  users: number
  writer: boolean
  closing: Promise<unknown>
}

function problemOf(disk: string, partition: Partition, problem: string): MachinistError {
  return machinistError({ code: 'datastore-image', part: disk, value: partition.name === '' ? `partition ${partition.number}` : partition.name, remedy: 'Correct the table of partitions, with sfdisk for one.' }, problem)
}

/** Why a partition cannot be the disk of a machine; null when it can. */
function wrongWith(partition: Partition, all: readonly Partition[], disk: DatastoreDisk): string | null {
  const { offset, length, name } = partition
  const end = offset + length
  if (!NAME.test(name)) return 'the name is none for an image: use letters, digits, ., _ and -, at most 36'
  if (offset < TABLE.start || end > disk.size - TABLE.end) return 'the image would hold the table of partitions'
  if (all.some((other) => other !== partition && other.offset < end && offset < other.offset + other.length)) return 'the image overlaps with another partition'
  if (offset % Math.max(LEAST_ALIGN, disk.blockSize ?? SECTOR) !== 0) return 'the image does not begin at a block of the disk'
  return length % SECTOR === 0 ? null : 'the image has no whole sectors'
}

/**
 * Looks for images on disks of the hardware. A disk that cannot be read, or has no table, is a problem and keeps nobody from the others.
 *
 * @param disks - their tables are read once; whoever changes them starts the hardware anew
 */
export async function openMetalDatastore(disks: readonly DatastoreDisk[]): Promise<MetalDatastore> {
  const found = new Map<string, Found>()
  const problems: MachinistError[] = []
  for (const disk of disks) {
    const engine = {
      size: disk.size,
      read: async (offset: number, into: readonly Uint8Array[]): Promise<'ok' | 'io-error'> => {
        for (const buffer of into) {
          if (await disk.read(offset, buffer) < buffer.length) return 'io-error'
          offset += buffer.length
        }
        return 'ok'
      },
    }
    try {
      const table = await readPartitions(readerOf(engine, undefined, disk.name), disk.size)
      for (const partition of table?.partitions ?? []) {
        if (partition.type !== IMAGE_TYPE) continue
        const wrong = wrongWith(partition, table?.partitions ?? [], disk) ?? (found.has(partition.name) ? 'another image has that name' : null)
        if (wrong !== null) {
          problems.push(problemOf(disk.name, partition, wrong))
          continue
        }
        const { name, length, uuid, number } = partition
        const readOnly = partition.readOnly || !disk.writable
        found.set(name, { image: { name, size: length, readOnly, uuid, disk: disk.name, partition: number }, file: disk, partition, users: 0, writer: false, closing: Promise.resolve() })
      }
    } catch (error) {
      problems.push(machinistError({ code: 'datastore-disk', part: disk.name, remedy: 'Look at the disk.' }, `cannot be read: ${error instanceof Error ? error.message : String(error)}`))
    }
  }
  return {
    images: [...found.values()].map(({ image }) => image),
    problems,
    open(name, { readOnly = false } = {}) {
      const held = found.get(name)
      if (held === undefined) {
        const names = [...found.keys()]
        throw machinistError({ code: 'datastore-image', part: 'datastore', value: name, remedy: names.length === 0 ? 'There are no images.' : `There are ${names.slice(0, 20).join(', ')}.` }, 'there is no such image')
      }
      const writer = !readOnly && !held.image.readOnly
      if (held.writer || (writer && held.users > 0)) throw machinistError({ code: 'disk-in-use', part: name, remedy: 'Stop the machine that has it.' }, 'another machine has the image')
      held.users++
      held.writer = writer
      let open = true
      const file = partitionFile(held.file, held.partition, { name, writable: writer, close() {
        if (!open) return
        open = false
        held.users--
        if (writer) held.writer = false
      } })
      const disk = raw(file, { name, readOnly: !writer })
      return {
        ...disk,
        close() {
          const closed = disk.close()
          held.closing = Promise.allSettled([held.closing, closed])
          return closed
        },
      }
    },
    async whenClosed(name) { await found.get(name)?.closing },
  }
}
