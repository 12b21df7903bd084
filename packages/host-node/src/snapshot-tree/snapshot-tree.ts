import { closeSync, existsSync, mkdirSync, openSync, readdirSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { type MachinistError, isMachinistError, machinistError } from '@machinist/api'
import { openDiskImage, isUrl } from '../disks/disk.ts'
import { openFile } from '../files/file.ts'
import type { ImageFiles } from '../files/image-files.ts'
import type { FileLock } from '../files/lock.ts'
import { openSnapshotFile, rewriteSnapshotFile, syncFolder } from '../snapshot/snapshot-file.ts'
import { fileError } from '../system/errors.ts'
import { checkDepth, createOverlay, mergeOverlay, openOverlay, repairOverlay } from './tree-disks.ts'
import { INDEX_FILE, isOwnFile, readIndex, type TreeDisk, type TreeEntry, type TreeIndex, writeIndex } from './tree-index.ts'

/** Locked by whoever works on a tree. */
const LOCK_FILE = 'lock'
/** Most characters of a name. */
const MOST_NAME = 100

/** A disk that is to be kept in a tree. */
export interface TreeDiskChoice {
  /** Its part of the machine: letters and digits, `'disk0'`. */
  readonly name: string
  /** The image that it has now, which is never written again. */
  readonly path: string
  readonly format?: string
  readonly files?: ImageFiles
  readonly lock?: FileLock
}

/** A snapshot of a tree, for those who look at it. */
export interface TreeSnapshot {
  readonly name: string
  /** Name of the snapshot that it came from; null for one of the beginning. */
  readonly parent: string | null
  /** When it was taken. */
  readonly time: Date
  /** Whether the machine ran: it goes on from there. Otherwise it was off, and is started. */
  readonly running: boolean
  /** Bytes that its own files take. */
  readonly size: number
}

/** What is in a tree. */
export interface TreeList {
  /** Parents first. */
  readonly snapshots: readonly TreeSnapshot[]
  /** Where its machine is: the snapshot that it came from last, and whether it goes on from its memory when it runs next. */
  readonly current: { readonly parent: string | null; readonly resume: boolean; readonly size: number }
}

function allocated(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false })
  return found === undefined ? 0 : found.blocks * 512
}

/** A name for a snapshot, checked. @throws a typed error `'snapshot-name'` */
export function checkName(name: string): string {
  if (name === '' || name.length > MOST_NAME || name.trim() !== name || /[\p{Cc}\p{Cf}]/u.test(name)) {
    throw machinistError({ code: 'snapshot-name', part: 'snapshot', value: name.replace(/[\p{Cc}\p{Cf}]/gu, '\ufffd').slice(0, MOST_NAME), remedy: `Use 1 to ${MOST_NAME} characters that can be printed.` }, 'not a name for a snapshot')
  }
  return name
}

/**
 * Tells what is in a tree; it may be in use.
 *
 * @param folder - of the tree
 * @throws typed errors `'snapshot-tree'`, `'file-…'`
 */
export function listSnapshots(folder: string): TreeList {
  const { snapshots, current } = readIndex(folder)
  const whole = snapshots.filter((each) => each.whole)
  const nameOf = (id: number | null): string | null => {
    for (let at = snapshots.find((each) => each.id === id); at !== undefined; at = snapshots.find((each) => each.id === at?.parent)) if (at.whole) return at.name
    return null
  }
  const sizeOf = (files: readonly (string | null)[]): number => files.reduce((sum, file) => sum + (file === null ? 0 : allocated(join(folder, file))), 0)
  return {
    snapshots: whole.map(({ name, parent, time, memory, disks }) => ({ name, parent: nameOf(parent), time: new Date(time), running: memory !== null, size: sizeOf([...disks, memory]) })),
    current: { parent: nameOf(current.parent), resume: current.resume, size: sizeOf(current.disks) },
  }
}

/**
 * A machine with its disks, and snapshots of both, in a folder. Each disk is an image that is not written any more, and overlays in the folder; each snapshot has the overlays
 * that were written until then, and a file of memory when the machine ran. An index names them all. It is replaced at once, when the files that it names are
 * stable: whenever the process or the host ends, all snapshots are there that were reported.
 */
export class SnapshotTree {
  readonly folder: string
  #index: TreeIndex
  readonly #unlock: () => Promise<void>

  private constructor(folder: string, index: TreeIndex, unlock: () => Promise<void>) {
    this.folder = folder
    this.#index = index
    this.#unlock = unlock
  }

  /**
   * Makes a tree in a folder that is not there, or is empty.
   *
   * @param about - what the program that makes it wants to know later: plain data as JSON has it
   * @throws typed errors: `'snapshot-tree'` for a folder with something in it, `'file-…'` and `'image-…'` for disks
   */
  static async create(folder: string, disks: readonly TreeDiskChoice[], about: unknown): Promise<SnapshotTree> {
    const kept: TreeDisk[] = []
    for (const { name, path, format, files, lock } of disks) {
      if (isUrl(path)) throw machinistError({ code: 'snapshot-disk', part: name, value: path, remedy: 'Use a copy of it.' }, 'a disk of a web server cannot be kept in snapshots')
      const image = await openDiskImage(path, { ...(format !== undefined && { format }), ...(files !== undefined && { files }), ...(lock !== undefined && { lock }) })
      kept.push({ name, base: relative(resolve(folder), resolve(path)), format: image.format, size: image.size, ...(files !== undefined && { files }), ...(lock !== undefined && { lock }) })
      await image.close()
    }
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      if (readdirSync(folder).some((name) => name !== LOCK_FILE && !isOwnFile(name))) {
        throw machinistError({ code: 'snapshot-tree', part: folder, remedy: 'Name a new folder.' }, 'it has other files, and no snapshots of a machine')
      }
    } catch (error) {
      throw fileError(error, folder, folder)
    }
    const unlock = await lockTree(folder)
    try {
      const tree = new SnapshotTree(folder, { last: 0, about, disks: kept, snapshots: [], current: { parent: null, disks: [], resume: false, open: false } }, unlock)
      await tree.#removeLeftovers()
      const current = await tree.#newOverlays(null)
      await tree.#commit({ current: { ...tree.#index.current, disks: current } })
      return tree
    } catch (error) {
      await unlock()
      throw error
    }
  }

  /**
   * Opens a tree to work on it; what was not finished, when it was used last, is undone.
   *
   * @throws typed errors: `'snapshot-tree'`; `'snapshot-tree-busy'` when another program uses it; `'file-…'`, `'image-…'`
   */
  static async open(folder: string): Promise<SnapshotTree> {
    readIndex(folder)
    const unlock = await lockTree(folder)
    try {
      const tree = new SnapshotTree(folder, readIndex(folder), unlock)
      await tree.#recover()
      return tree
    } catch (error) {
      await unlock()
      throw error
    }
  }

  /** Whether there is a tree in a folder. */
  static isIn(folder: string): boolean {
    return existsSync(join(folder, INDEX_FILE))
  }

  get index(): TreeIndex {
    return this.#index
  }

  /** Others may use it. */
  close(): Promise<void> {
    return this.#unlock()
  }

  /** A path of a file of the tree. */
  path(file: string): string {
    return join(this.folder, file)
  }

  /** The snapshot of a name. @throws a typed error `'snapshot-unknown'` */
  find(name: string): TreeEntry {
    const found = this.#index.snapshots.find((each) => each.whole && each.name === name)
    if (found === undefined) {
      const names = this.#index.snapshots.filter((each) => each.whole).map((each) => each.name)
      throw machinistError({ code: 'snapshot-unknown', part: this.folder, value: name, remedy: names.length === 0 ? 'It has none.' : `Use one of ${names.slice(0, 20).join(', ')}.` }, 'there is no such snapshot')
    }
    return found
  }

  /** Refuses a name that cannot be given to a new snapshot. @throws a typed error `'snapshot-name'` */
  checkNew(name: string): void {
    checkName(name)
    if (this.#index.snapshots.some((each) => each.name === name && each.whole)) throw machinistError({ code: 'snapshot-name', part: this.folder, value: name, remedy: 'Use another, or delete that first.' }, 'there is a snapshot of this name')
  }

  /** The nearest file of memory that a snapshot came from: the parent of its own. */
  memoryAbove(id: number | null): string | null {
    for (let at = this.#entry(id); at !== undefined; at = this.#entry(at.parent)) if (at.memory !== null) return at.memory
    return null
  }

  /** A number that no file has had. */
  number(): number {
    this.#index = { ...this.#index, last: this.#index.last + 1 }
    return this.#index.last
  }

  /**
   * Takes a snapshot of the machine as it is on its disks, which nobody writes: it is off.
   *
   * @throws typed errors `'snapshot-name'`; `'snapshot-unchanged'` when it is to go on from a snapshot and has not run since; `'file-…'`, `'image-…'`
   */
  async take(name: string): Promise<void> {
    this.checkNew(name)
    const { current } = this.#index
    if (current.resume) throw machinistError({ code: 'snapshot-unchanged', part: this.folder, value: this.#entry(current.parent)?.name, remedy: 'Run the machine first.' }, 'the machine has not run since it went back to a snapshot')
    for (const [index, disk] of this.#index.disks.entries()) {
      const image = await openOverlay(this.folder, disk, current.disks[index] ?? '', false)
      try {
        checkDepth(image, this.folder)
      } finally {
        await image.close()
      }
    }
    await this.freeze(name, true)
  }

  /**
   * Has what disks were written to until now as a snapshot, and new overlays to be written from now on. What was written is stable.
   *
   * @param whole - false when {@link complete} is going to be called
   * @returns the snapshot
   */
  async freeze(name: string, whole: boolean): Promise<TreeEntry> {
    const { current } = this.#index
    const id = this.number()
    const disks = await this.#newOverlays(current.disks)
    const entry: TreeEntry = { id, name, parent: current.parent, time: Date.now(), disks: current.disks, memory: null, whole }
    try {
      await this.#commit({ snapshots: [...this.#index.snapshots, entry], current: { ...current, parent: id, disks } })
    } catch (error) {
      await this.#remove(disks)
      throw error
    }
    return entry
  }

  /** The memory of a snapshot is there, too. */
  async complete(id: number, memory: string): Promise<void> {
    await this.#commit({ snapshots: this.#index.snapshots.map((each) => (each.id === id ? { ...each, memory, whole: true } : each)) })
  }

  /** Says that the machine begins to run, or has ended. */
  async mark(open: boolean): Promise<void> {
    await this.#commit({ current: { ...this.#index.current, open, resume: false } })
  }

  /**
   * Has the machine go back to a snapshot: when it runs next, it goes on from there. What it changed since its last snapshot is lost.
   *
   * @throws typed errors `'snapshot-unknown'`, `'file-…'`
   */
  async revert(name: string): Promise<void> {
    const { id, disks, memory } = this.find(name)
    // Better now than when it runs.
    if (memory !== null) openSnapshotFile(this.path(memory)).close()
    const before = this.#index.current.disks
    const current = await this.#newOverlays(disks)
    try {
      await this.#commit({ current: { parent: id, disks: current, resume: memory !== null, open: false } })
    } catch (error) {
      await this.#remove(current)
      throw error
    }
    await this.#remove(before)
  }

  /**
   * Deletes a snapshot. What came from it stays as it is: it gets what it needs of the snapshot. When that fails, as for want of space, it is there no more all the same,
   * and the rest is done when the tree is opened next.
   *
   * @throws typed errors `'snapshot-unknown'`; `'snapshot-in-use'` when the machine is to go on from it; `'snapshot-unfinished'` when one that was deleted before could
   * not be finished; `'file-…'`, `'image-…'`
   */
  async delete(name: string): Promise<void> {
    const entry = this.find(name)
    // Files that were partly merged stand on others than the index says.
    const unfinished = this.#unfinished
    if (unfinished.length > 0 && this.#index.current.open) throw machinistError({ code: 'snapshot-unfinished', part: this.folder, value: unfinished[0]?.name, remedy: 'End the machine first.' }, 'another snapshot could not be deleted as a whole yet')
    for (const each of unfinished) await this.#drop(each)
    if (this.#index.current.resume && this.#index.current.parent === entry.id) throw machinistError({ code: 'snapshot-in-use', part: this.folder, value: name, remedy: 'Run the machine, or go back to another one first.' }, 'the machine is to go on from it')
    // From now on it is not there, and whoever opens the tree goes on with this.
    await this.#commit({ snapshots: this.#index.snapshots.map((each) => (each === entry ? { ...each, whole: false } : each)) })
    await this.#drop(entry)
  }

  /** Snapshots that were not taken or not deleted to the end, children first. */
  get #unfinished(): readonly TreeEntry[] {
    return this.#index.snapshots.filter((each) => !each.whole).reverse()
  }

  /** Takes an entry out: what came from it gets what it needs of it, and stands on what it stood on. May be done again, from anywhere. */
  async #drop({ id, parent, disks, memory }: TreeEntry): Promise<void> {
    const { snapshots, current } = this.#index
    const above = this.#entry(parent)
    const children = [...snapshots.filter((each) => each.parent === id), ...current.parent === id ? [current] : []]
    for (const child of children) {
      for (const [index, disk] of this.#index.disks.entries()) await mergeOverlay(this.folder, disk, disks[index] ?? '', child.disks[index] ?? '', above?.disks[index] ?? null)
    }
    const renamed = memory === null ? new Map<string, string>() : await this.#rewriteAbove(memory)
    try {
      await this.#commit({
        snapshots: snapshots.filter((each) => each.id !== id).map((each) => ({ ...each, parent: each.parent === id ? parent : each.parent, memory: each.memory === null ? null : renamed.get(each.memory) ?? each.memory })),
        current: { ...current, parent: current.parent === id ? parent : current.parent },
      })
    } catch (error) {
      await this.#remove(renamed.values())
      throw error
    }
    await this.#remove([...disks, ...memory === null ? [] : [memory], ...renamed.keys()])
  }

  /**
   * Writes all files of memory anew that stand on one that is to go, or on one that is written anew: under new names, since a file is known by its content to those that stand on it.
   *
   * @returns their new names
   */
  async #rewriteAbove(gone: string): Promise<Map<string, string>> {
    const parentOf = (file: string): string | null => {
      const stored = openSnapshotFile(this.path(file))
      const [parent = null] = stored.parents
      stored.close()
      return parent
    }
    const renamed = new Map<string, string>()
    try {
      const grandparent = parentOf(gone)
      for (const { memory } of this.#index.snapshots) {
        if (memory === null || memory === gone) continue
        const before = parentOf(memory)
        // Parents come first.
        const parent = before === gone ? grandparent : renamed.get(before ?? '')
        if (parent === undefined) continue
        const name = `memory.${this.number()}.snapshot`
        await rewriteSnapshotFile(this.path(memory), this.path(name), parent === null ? {} : { parent: this.path(parent) })
        renamed.set(memory, name)
      }
      return renamed
    } catch (error) {
      await this.#remove(renamed.values())
      throw error
    }
  }

  #entry(id: number | null): TreeEntry | undefined {
    return this.#index.snapshots.find((each) => each.id === id)
  }

  /** Empty overlays, stably there: on those of a snapshot, or on the base. */
  async #newOverlays(under: readonly string[] | null): Promise<string[]> {
    const made: string[] = []
    try {
      for (const [index, disk] of this.#index.disks.entries()) {
        const name = `${disk.name}.${this.number()}.qcow2`
        made.push(name)
        await createOverlay(this.folder, disk, name, under?.[index] ?? null)
      }
      await syncFolder(this.folder)
      return made
    } catch (error) {
      await this.#remove(made)
      throw error
    }
  }

  async #commit(change: Partial<TreeIndex>): Promise<void> {
    const next = { ...this.#index, ...change }
    await writeIndex(this.folder, next)
    this.#index = next
  }

  async #remove(files: Iterable<string>): Promise<void> {
    // What is left is found when the tree is opened next.
    for (const file of files) await rm(this.path(file), { force: true }).catch(() => undefined)
  }

  async #removeLeftovers(): Promise<void> {
    const { snapshots, current } = this.#index
    const named = new Set([...current.disks, ...snapshots.flatMap(({ disks, memory }) => [...disks, memory])])
    await this.#remove(readdirSync(this.folder).filter((name) => isOwnFile(name) && !named.has(name)))
  }

  async #recover(): Promise<void> {
    await this.#removeLeftovers()
    const { current, disks } = this.#index
    if (current.open) {
      for (const [index, disk] of disks.entries()) await repairOverlay(this.folder, disk, current.disks[index] ?? '')
      await this.#commit({ current: { ...current, open: false } })
    }
    try {
      for (const entry of this.#unfinished) await this.#drop(entry)
    } catch (error) {
      // Such as no space: all that is there can be used, and perhaps some of it deleted.
      if (!isMachinistError(error)) throw error
    }
  }
}

/** Locks a tree, where the host has locks; returns what ends that. */
async function lockTree(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, LOCK_FILE)
  try {
    closeSync(openSync(path, 'a', 0o600))
    const file = openFile(path, true, { name: folder })
    return await Promise.resolve(() => file.close())
  } catch (error) {
    throw isMachinistError(error) && error.code === 'file-locked' ? busy(folder) : fileError(error, folder, path)
  }
}

/** An error for a tree that another program uses. */
export function busy(folder: string): MachinistError {
  return machinistError({ code: 'snapshot-tree-busy', part: folder, remedy: 'End the machine that runs there, or wait.' }, 'another program uses it')
}
