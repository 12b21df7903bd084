import type { MachinistError } from '@machinist/api'
import { folderDamaged, type IndexKind, isObject, readFolderIndex, writeFolderIndex } from '../files/folder-index.ts'
import type { ImageFiles } from '../files/image-files.ts'
import type { FileLock } from '../files/lock.ts'

/** The file that says what there is; all else in the folder is what it names, or left over. */
export const INDEX_FILE = 'snapshots.json'
const KIND: IndexKind = {
  file: INDEX_FILE, format: 'machinist snapshots', version: 1, code: 'snapshot-tree',
  missing: { problem: 'there are no snapshots of a machine', remedy: 'Begin one with: machinist run --snapshots FOLDER' },
}
/** Files of a tree: what a disk has changed, or memory; and such that are not finished. */
const OWN_FILE = /^(?:[a-z][a-z0-9]{0,30}\.[0-9]{1,15}\.qcow2|memory\.[0-9]{1,15}\.snapshot)$/
const UNFINISHED = /\.part$/

/** A disk of a machine that is kept in a tree. */
export interface TreeDisk {
  /** Its part of the machine: `'disk0'`. */
  readonly name: string
  /** The image below all overlays, which is never written: a path relative to the folder of the tree. */
  readonly base: string
  readonly format: string
  /** Bytes. */
  readonly size: number
  /** Which files the base may name. */
  readonly files?: ImageFiles
  readonly lock?: FileLock
}

/** A snapshot, as the index has it. */
export interface TreeEntry {
  readonly id: number
  readonly name: string
  /** Its parent's id; null for the first. */
  readonly parent: number | null
  /** Milliseconds since 1970. */
  readonly time: number
  /** For each disk the overlay that was the last one; it does not change any more. */
  readonly disks: readonly string[]
  /** RAM and the state of all parts; null for a machine that was off. */
  readonly memory: string | null
  /** False until all of it is there, and when it is deleted, until its files are gone. */
  readonly whole: boolean
}

/** Where a machine is. */
export interface TreeCurrent {
  /** The snapshot that it came from last. */
  readonly parent: number | null
  /** For each disk the overlay that is written. */
  readonly disks: readonly string[]
  /** It goes on from the memory of {@link parent} when it runs next. */
  readonly resume: boolean
  /** It ran, and was not closed in good order, or is not yet. */
  readonly open: boolean
}

/** What the file says. */
export interface TreeIndex {
  /** The last number that was given to a file or snapshot. */
  readonly last: number
  /** Plain data (JSON) of the program that made the tree. */
  readonly about: unknown
  readonly disks: readonly TreeDisk[]
  readonly snapshots: readonly TreeEntry[]
  readonly current: TreeCurrent
}

/** Whether a file of a folder is one that a tree made. */
export function isOwnFile(name: string): boolean {
  const [base = ''] = name.split(/\.[0-9]+\.part$/)
  return OWN_FILE.test(base) || (UNFINISHED.test(name) && base === INDEX_FILE)
}

const isId = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value > 0
const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''

/** An error for a tree that is not what it should be. */
export function treeDamaged(folder: string, problem: string, value?: string | number): MachinistError {
  return folderDamaged(KIND, folder, problem, value)
}

/** @throws a typed error `'snapshot-tree'` */
function checked(folder: string, { last, about, disks, snapshots, current }: Readonly<Record<string, unknown>>): TreeIndex {
  const refuse = (problem: string, value?: unknown): never => { throw treeDamaged(folder, problem, value === undefined ? undefined : String(value)) }
  if (typeof last !== 'number' || !Number.isSafeInteger(last) || last < 0 || !Array.isArray(disks) || !Array.isArray(snapshots) || !isObject(current)) return refuse(`${INDEX_FILE} lacks parts`)
  const isDisk = (disk: unknown): disk is TreeDisk => isObject(disk) && isText(disk['base']) && isText(disk['format']) && isId(disk['size']) && typeof disk['name'] === 'string' && /^[a-z][a-z0-9]{0,30}$/.test(disk['name'])
    && ['inside', 'any', 'none', undefined].includes(disk['files'] as string) && ['auto', 'on', 'off', undefined].includes(disk['lock'] as string)
  if (!disks.every(isDisk)) return refuse('its disks are none')
  const areFiles = (files: unknown): boolean => Array.isArray(files) && files.length === disks.length
    && files.every((file: unknown, index) => typeof file === 'string' && OWN_FILE.test(file) && file.startsWith(`${disks[index]?.name ?? ''}.`))
  const isEntry = (each: unknown): each is TreeEntry => isObject(each) && isId(each['id']) && each['id'] <= last && isText(each['name']) && typeof each['time'] === 'number' && Number.isFinite(each['time'])
    && areFiles(each['disks']) && (each['memory'] === null || (typeof each['memory'] === 'string' && OWN_FILE.test(each['memory']))) && typeof each['whole'] === 'boolean' && (each['parent'] === null || isId(each['parent']))
  if (!snapshots.every(isEntry)) return refuse('a snapshot is none')
  const ids = new Set<number>()
  for (const { id, parent } of snapshots) {
    // Parents first: so there are no circles.
    if (ids.has(id) || (parent !== null && !ids.has(parent))) return refuse('a snapshot has no such place', id)
    ids.add(id)
  }
  if (!areFiles(current['disks']) || typeof current['resume'] !== 'boolean' || typeof current['open'] !== 'boolean' || (current['parent'] !== null && !ids.has(current['parent'] as number))) return refuse('the state of its machine is none')
  return { last, about, disks, snapshots, current: current as unknown as TreeCurrent }
}

/**
 * Reads the index of a folder.
 *
 * @throws typed errors `'snapshot-tree'` for a folder that has none, or whose index is damaged; `'file-…'`
 */
export function readIndex(folder: string): TreeIndex {
  return checked(folder, readFolderIndex(KIND, folder, 'its snapshots'))
}

/** Replaces the index of a folder, stably. @throws typed errors `'file-…'` */
export function writeIndex(folder: string, index: TreeIndex): Promise<void> {
  return writeFolderIndex(KIND, folder, index)
}
