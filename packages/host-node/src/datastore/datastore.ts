import { closeSync, existsSync, mkdirSync, openSync, readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { machinistError } from '@machinist/api'
import type { DatastoreDisk } from '@machinist/hypervisor'
import { createImage, type Disk, type DiskImage, imageDisk, maxDepth, type RandomAccessFile, switchedImage } from '@machinist/storage'
import { openDisk, openDiskImage } from '../disks/disk.ts'
import { type DiskMode, openFile } from '../files/file.ts'
import { syncFolder } from '../snapshot/snapshot-file.ts'
import { fileError } from '../system/errors.ts'
import { checkName, type DatastoreIndex, type DiskEntry, INDEX_FILE, isOwnFile, readIndex, writeIndex } from './datastore-index.ts'
import { exclusively } from './exclusive.ts'
import { datastoreDisk, roomMade } from './patient-disk.ts'
import { type FileSpace, QuotaFile } from './quota-file.ts'
import { allocated, spaceOf } from './space.ts'
import { switchedSpace } from './switched-space.ts'

const FORMAT = 'qcow2'
const SECTOR = 512

/** A disk of a datastore, for those who look at it. */
export interface DatastoreEntry {
  readonly name: string
  /** Of the disk, in bytes. */
  readonly size: number
  /** Bytes that it takes: for a clone, what differs from its base. */
  readonly used: number
  /** The disk that it is a clone of; null for none. */
  readonly base: string | null
  /** Disks that are clones of it: while there are some, it is only read. */
  readonly clones: readonly string[]
  readonly time: Date
}

/** What is in a datastore. */
export interface DatastoreList {
  /** Bytes; null for as many as the file system has. */
  readonly quota: number | null
  /** Bytes that its disks take. */
  readonly used: number
  /** Bytes besides that disks which are open may take without asking. */
  readonly promised: number
  /** Bases before their clones. */
  readonly disks: readonly DatastoreEntry[]
}

/** Options of {@link Datastore.openDisk}. */
export interface DatastoreDiskOptions {
  /** How errors name it; its own name unless given. */
  readonly name?: string
  /** `'rw'` unless given. */
  readonly mode?: DiskMode
  /** What becomes of a write for which there is no room: an error in the guest, `'error'` unless given; or it waits until there is some. Without room nothing that was there before is lost. */
  readonly whenFull?: 'error' | 'wait'
}

/**
 * A folder with thin disks, which take what is written to them, all together no more than a quota. An index names them. It is replaced at once, when the files that it names are stable: whenever a process
 * or the host ends, all disks are there that were reported. Any number of threads and processes may work on it, where files can be locked.
 */
export class Datastore {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  /**
   * Makes a datastore in a folder that is not there, or is empty.
   *
   * @param quota - bytes that its disks may take; as many as the file system has unless given
   * @throws typed errors: `'datastore'` for a folder with something in it; `'datastore-quota'`; `'file-…'`
   */
  static async create(folder: string, { quota = null }: { readonly quota?: number | null } = {}): Promise<Datastore> {
    checkQuota(quota)
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
    } catch (error) {
      throw fileError(error, folder, folder)
    }
    return exclusively(folder, async () => {
      if (readdirSync(folder).some((name) => name !== 'lock' && !isOwnFile(name))) {
        throw machinistError({ code: 'datastore', part: folder, remedy: 'Name a new folder.' }, existsSync(join(folder, INDEX_FILE)) ? 'there is a datastore already' : 'it has other files')
      }
      await writeIndex(folder, { last: 0, quota, disks: [] })
      return new Datastore(folder)
    })
  }

  /** @throws typed errors `'datastore'` for a folder that is none, or is damaged; `'file-…'` */
  static open(folder: string): Datastore {
    readIndex(folder)
    return new Datastore(folder)
  }

  /** What is in it; it may be in use. @throws typed errors `'datastore'`, `'file-…'` */
  list(): DatastoreList {
    const index = readIndex(this.folder)
    return {
      quota: index.quota,
      ...spaceOf(this.folder, index),
      disks: index.disks.map(({ name, size, file, base, time }) => ({ name, size, base, used: allocated(join(this.folder, file)), clones: clonesOf(index, name), time: new Date(time) })),
    }
  }

  /**
   * Another quota. One that is less than what is taken already only keeps disks from growing.
   *
   * @throws typed errors `'datastore-quota'`, `'file-…'`
   */
  async setQuota(quota: number | null): Promise<void> {
    checkQuota(quota)
    await this.#change((index) => Promise.resolve({ ...index, quota }))
    roomMade()
  }

  /**
   * Makes a disk that reads as zeroes and takes next to nothing.
   *
   * @param size - in bytes, a multiple of 512; more than the quota is allowed
   * @throws typed errors: `'datastore-name'`; `'datastore-full'`; `'disk-size'`; `'file-…'`
   */
  createDisk(name: string, size: number): Promise<void> {
    return this.#make(name, null, () => Promise.resolve({ size, close: () => Promise.resolve() }))
  }

  /**
   * Makes a linked clone: it reads what `base` has, and takes what is written to it. From then on, and as long as there are clones of it, `base` is only read; nobody may have it open for writing.
   *
   * @throws typed errors: `'datastore-unknown'`; `'datastore-name'`; `'datastore-full'`; `'datastore-depth'` when it would stand on too many; `'file-locked'` while `base` is written
   */
  cloneDisk(base: string, name: string): Promise<void> {
    return this.#make(name, base, async (file) => {
      // Whoever reads it may; whoever writes it has it locked, and from now on nobody can.
      const image = await openDiskImage(join(this.folder, file), { name: base, format: FORMAT })
      try {
        let depth = 1
        for (let each: DiskImage | undefined = image; each !== undefined; each = each.below) depth++
        if (depth > maxDepth) throw machinistError({ code: 'datastore-depth', part: this.folder, value: depth, remedy: 'Clone a disk that stands on fewer.' }, 'the clone would stand on too many disks')
      } catch (error) {
        await image.close()
        throw error
      }
      return image
    })
  }

  /**
   * Deletes a disk.
   *
   * @throws typed errors: `'datastore-unknown'`; `'datastore-base'` while there are clones of it; `'file-locked'` while it is open; `'file-…'`
   */
  async deleteDisk(name: string): Promise<void> {
    let path = ''
    await this.#change(async (index) => {
      path = join(this.folder, this.#find(index, name).file)
      this.#refuseBase(index, name)
      // Nobody has it open.
      if (existsSync(path)) await openFile(path, true, { name }).close()
      return { ...index, disks: index.disks.filter((disk) => disk.name !== name) }
    }, () => rm(path, { force: true }))
    roomMade()
  }

  /**
   * Makes a disk larger, or smaller when that is allowed. It must not be open.
   *
   * @throws typed errors: `'datastore-unknown'`; `'datastore-base'`; `'disk-size'`; `'file-locked'`
   */
  async resizeDisk(name: string, size: number, { shrink = false }: { readonly shrink?: boolean } = {}): Promise<void> {
    await this.#change(async (index) => {
      const { file } = this.#find(index, name)
      this.#refuseBase(index, name)
      const image = await openDiskImage(join(this.folder, file), { name, format: FORMAT, writable: true })
      try {
        await image.resize?.(size, { shrink })
      } finally {
        await image.close()
      }
      return { ...index, disks: index.disks.map((disk) => (disk.name === name ? { ...disk, size } : disk)) }
    })
  }

  /**
   * A disk's image, to be copied, say: it is only read.
   *
   * @throws typed errors: `'datastore-unknown'`; `'file-locked'` while it is written, `'file-…'`, `'image-…'`
   */
  async openImage(name: string): Promise<DiskImage> {
    return openDiskImage(resolve(this.folder, this.#find(readIndex(this.folder), name).file), { name, format: FORMAT })
  }

  /** A disk, to connect to a device: one that takes room on the datastore, and says how much, when it is opened to be written. */
  openDisk(name: string, options?: DatastoreDiskOptions & { readonly mode?: 'rw' }): Promise<DatastoreDisk>
  /**
   * Opens a disk.
   *
   * @throws typed errors: `'datastore-unknown'`; `'datastore-base'` for one that is to be written and has clones; `'file-locked'`, `'file-…'`, `'image-…'`
   */
  openDisk(name: string, options?: DatastoreDiskOptions): Promise<Disk | DatastoreDisk>
  async openDisk(name: string, { mode = 'rw', name: part = name, whenFull = 'error' }: DatastoreDiskOptions = {}): Promise<Disk | DatastoreDisk> {
    const path = resolve(this.folder, this.#find(readIndex(this.folder), name).file)
    if (mode !== 'rw') return openDisk(path, { mode, name: part, format: FORMAT })
    const open = (): Promise<{ readonly image: DiskImage, readonly space: FileSpace }> => this.#openWritable(name, part, path)
    const first = await open()
    const image = switchedImage(first.image, part)
    const space = switchedSpace(first.space)
    const disk = imageDisk(image, async () => {
      space.rest()
      await image.close()
      return async () => {
        const next = await open()
        image.switchTo(next.image)
        space.switchTo(next.space)
      }
    })
    return datastoreDisk(disk, space, whenFull === 'wait')
  }

  /** The image of a disk, and what it takes. */
  async #openWritable(name: string, part: string, path: string): Promise<{ readonly image: DiskImage, readonly space: FileSpace }> {
    let space: FileSpace | null = null
    const through = (file: RandomAccessFile): RandomAccessFile => {
      const own = new QuotaFile(file, path)
      space = own
      return own
    }
    const image = await openDiskImage(path, { name: part, format: FORMAT, writable: true, through })
    try {
      // It is locked now, so nobody makes a clone of it any more; somebody may have, or have deleted it.
      const index = readIndex(this.folder)
      this.#find(index, name)
      this.#refuseBase(index, name)
      if (space === null) throw new Error('an image without a file')
      return { image, space }
    } catch (error) {
      await image.close()
      throw error
    }
  }

  #find(index: DatastoreIndex, name: string): DiskEntry {
    const found = index.disks.find((disk) => disk.name === name)
    if (found !== undefined) return found
    const names = index.disks.map((disk) => disk.name)
    throw machinistError({ code: 'datastore-unknown', part: this.folder, value: name, remedy: names.length === 0 ? 'It has none.' : `Use one of ${names.slice(0, 20).join(', ')}.` }, 'there is no such disk')
  }

  #refuseBase(index: DatastoreIndex, name: string): void {
    const clones = clonesOf(index, name)
    if (clones.length > 0) throw machinistError({ code: 'datastore-base', part: this.folder, value: name, remedy: `Use a clone, or delete its clones first: ${clones.slice(0, 20).join(', ')}.` }, 'other disks stand on it')
  }

  /** @param under - what tells the size, and keeps the base as it is until it is closed */
  async #make(name: string, base: string | null, under: (file: string) => Promise<{ readonly size: number; close(): Promise<void> }>): Promise<void> {
    checkName(name)
    let made = ''
    let hold: { close(): Promise<void> } | null = null
    try {
      await this.#change(async (index) => {
        if (index.disks.some((disk) => disk.name === name)) throw machinistError({ code: 'datastore-name', part: this.folder, value: name, remedy: 'Use another, or delete that first.' }, 'there is a disk of this name')
        const below = base === null ? null : this.#find(index, base)
        const found = await under(below?.file ?? '')
        hold = found
        const { size } = found
        if (!Number.isSafeInteger(size) || size <= 0 || size % SECTOR !== 0) throw machinistError({ code: 'disk-size', part: name, value: size, remedy: `Use a positive multiple of ${String(SECTOR)} bytes.` }, 'is not a size for a disk')
        const last = index.last + 1
        const file = `${name}.${String(last)}.${FORMAT}`
        made = join(this.folder, file)
        await makeImage(made, name, size, below === null ? undefined : { name: below.file, format: FORMAT, size })
        await syncFolder(this.folder)
        const next = { ...index, last, disks: [...index.disks, { name, file, size, base, time: Date.now() }] }
        const { used, promised } = spaceOf(this.folder, next)
        if (next.quota !== null && used + promised > next.quota) throw machinistError({ code: 'datastore-full', part: this.folder, value: next.quota, remedy: 'Delete disks, or raise its quota.' }, 'there is no room for another disk')
        return next
      })
    } catch (error) {
      if (made !== '') await rm(made, { force: true })
      throw error
    } finally {
      await (hold as { close(): Promise<void> } | null)?.close()
    }
  }

  /** Replaces the index by what `work` makes of it, and does what comes after. */
  async #change(work: (index: DatastoreIndex) => Promise<DatastoreIndex>, after?: () => Promise<void>): Promise<void> {
    await exclusively(this.folder, async () => {
      const index = readIndex(this.folder)
      await this.#removeLeftovers(index)
      await writeIndex(this.folder, await work(index))
      await after?.()
    })
  }

  /** Files that no index names: whoever made or deleted them came to a sudden end. */
  async #removeLeftovers({ disks }: DatastoreIndex): Promise<void> {
    const known = new Set(disks.map(({ file }) => file))
    for (const name of readdirSync(this.folder)) if (isOwnFile(name) && !known.has(name)) await rm(join(this.folder, name), { force: true })
  }
}

function checkQuota(quota: number | null): void {
  if (quota === null || (Number.isSafeInteger(quota) && quota > 0)) return
  throw machinistError({ code: 'datastore-quota', part: 'datastore', value: quota, remedy: 'Give bytes, a whole number above 0.' }, 'is not a quota')
}

function clonesOf({ disks }: DatastoreIndex, name: string): string[] {
  return disks.filter(({ base }) => base === name).map((disk) => disk.name)
}

/** Makes an image, stably but for its name in the folder. */
async function makeImage(path: string, name: string, size: number, backing: { readonly name: string; readonly format: string; readonly size: number } | undefined): Promise<void> {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    throw fileError(error, name, path)
  }
  const file = openFile(path, true, { name, lock: 'off' })
  try {
    await createImage(file, size, { name: path, format: FORMAT, ...(backing !== undefined && { backing }) })
  } finally {
    await file.close()
  }
}
