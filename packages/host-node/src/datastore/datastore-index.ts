import { type MachinistError, machinistError } from '@machinist/api'
import { folderDamaged, type IndexKind, isObject, readFolderIndex, writeFolderIndex } from '../files/folder-index.ts'

/** The file that says what there is; all else in the folder is what it names, or left over. */
export const INDEX_FILE = 'datastore.json'
const KIND: IndexKind = {
  file: INDEX_FILE, format: 'machinist datastore', version: 1, code: 'datastore',
  missing: { problem: 'there is no datastore', remedy: 'Make one with: machinist datastore create FOLDER' },
}
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const OWN_FILE = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\.[0-9]{1,15}\.qcow2$/

/** A disk, as the index has it. */
export interface DiskEntry {
  readonly name: string
  /** Its image, in the folder. */
  readonly file: string
  /** Of the disk, in bytes. */
  readonly size: number
  /** The disk that it is a clone of. */
  readonly base: string | null
  /** When it was made, in milliseconds since 1970. */
  readonly time: number
}

/** What the file says. */
export interface DatastoreIndex {
  /** The last number that was given to a file. */
  readonly last: number
  /** Bytes; null for as many as the file system has. */
  readonly quota: number | null
  /** Bases before their clones. */
  readonly disks: readonly DiskEntry[]
}

/** Whether a file of a folder is one that a datastore made. */
export function isOwnFile(name: string): boolean {
  return OWN_FILE.test(name) || /^(?:datastore|space)\.json\.[0-9.]+\.part$/.test(name)
}

/** A name for a disk, checked. @throws a typed error `'datastore-name'` */
export function checkName(name: string): string {
  if (!NAME.test(name)) {
    throw machinistError({ code: 'datastore-name', part: 'disk', value: name.replace(/[\p{Cc}\p{Cf}]/gu, '\ufffd').slice(0, 64), remedy: "Use letters, digits, '.', '_' and '-', at most 64, and begin with a letter or a digit." }, 'not a name for a disk')
  }
  return name
}

function damaged(folder: string, problem: string, value?: string | number): MachinistError {
  return folderDamaged(KIND, folder, problem, value)
}

const isBytes = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value > 0

/** @throws a typed error `'datastore'` */
function checked(folder: string, { last, quota, disks }: Readonly<Record<string, unknown>>): DatastoreIndex {
  if (typeof last !== 'number' || !Number.isSafeInteger(last) || last < 0 || !(quota === null || isBytes(quota)) || !Array.isArray(disks)) throw damaged(folder, `${INDEX_FILE} lacks parts`)
  const known = new Set<string>()
  const files = new Set<string>()
  const entries = disks.map((disk: unknown): DiskEntry => {
    if (!isObject(disk)) throw damaged(folder, 'a disk is none')
    const { name, file, size, base, time } = disk
    if (typeof name !== 'string' || !NAME.test(name) || known.has(name)) throw damaged(folder, 'a disk has no such name', String(name).slice(0, 64))
    if (typeof file !== 'string' || !OWN_FILE.test(file) || files.has(file) || !isBytes(size) || typeof time !== 'number' || !Number.isFinite(time)) throw damaged(folder, 'a disk is none', name)
    // Bases first: so there are no circles.
    if (base !== null && (typeof base !== 'string' || !known.has(base))) throw damaged(folder, 'a disk stands on none', name)
    known.add(name)
    files.add(file)
    return { name, file, size, base, time }
  })
  return { last, quota, disks: entries }
}

/**
 * Reads the index of a folder.
 *
 * @throws typed errors `'datastore'` for a folder that has none, or whose index is damaged; `'file-…'`
 */
export function readIndex(folder: string): DatastoreIndex {
  return checked(folder, readFolderIndex(KIND, folder, 'its disks'))
}

/** Replaces the index of a folder, stably. @throws typed errors `'file-…'` */
export function writeIndex(folder: string, index: DatastoreIndex): Promise<void> {
  return writeFolderIndex(KIND, folder, index)
}
