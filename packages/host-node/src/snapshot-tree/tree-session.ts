import { isMachinistError, machinistError } from '@machinist/api'
import type { Machine, MachineSnapshot } from '@machinist/machine'
import { type Disk, imageDisk, type SwitchedImage, switchedImage } from '@machinist/storage'
import { saveSnapshotAs } from '../snapshot/snapshot-file.ts'
import { SnapshotTree } from './snapshot-tree.ts'
import { checkDepth, openOverlay } from './tree-disks.ts'

/** A disk of a tree, open for its machine. */
export interface SessionDisk {
  /** Its part of the machine. */
  readonly name: string
  readonly disk: Disk
  /** The same, to be looked into before the machine runs. */
  readonly image: SwitchedImage
}

/**
 * A tree whose machine runs, and of which snapshots are taken meanwhile. Its disks are to be given to the machine; then {@link TreeSession.begin}, and when the machine was disposed of,
 * {@link TreeSession.end}.
 */
export class TreeSession {
  readonly disks: readonly SessionDisk[]
  /** The file of memory from which the machine goes on; null when it is to be started. */
  readonly memory: string | null
  readonly #tree: SnapshotTree
  readonly #about: unknown
  #machine: Machine | null = null
  /** What was written last, and where, while it is worth the memory: with it the next one is written without reading that. */
  #last: { readonly snapshot: MachineSnapshot; readonly file: string } | null = null
  /** What is done to the tree: one thing after the other. */
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(tree: SnapshotTree, disks: readonly SessionDisk[], about: unknown) {
    this.#tree = tree
    this.disks = disks
    this.#about = about
    const { parent, resume } = tree.index.current
    const memory = resume ? tree.memoryAbove(parent) : null
    this.memory = memory === null ? null : tree.path(memory)
  }

  /**
   * Opens the disks of a tree, which is the session's from now on.
   *
   * @param about - plain data that is written into files of memory
   * @throws typed errors `'file-…'`, `'image-…'`
   */
  static async open(tree: SnapshotTree, about: unknown): Promise<TreeSession> {
    const disks: SessionDisk[] = []
    try {
      for (const [index, disk] of tree.index.disks.entries()) {
        const image = switchedImage(await openOverlay(tree.folder, disk, tree.index.current.disks[index] ?? '', true), disk.name)
        disks.push({ name: disk.name, image, disk: imageDisk(image) })
      }
      return new TreeSession(tree, disks, about)
    } catch (error) {
      for (const { disk } of disks) await disk.close()
      await tree.close()
      throw error
    }
  }

  /** Whose snapshots these are. To be called before the machine runs. */
  async begin(machine: Machine): Promise<void> {
    await this.#inTurn(() => this.#tree.mark(true))
    this.#machine = machine
  }

  /**
   * Takes a snapshot of the machine, which stands still for a moment, and goes on while its memory is written.
   *
   * @throws typed errors: `'snapshot-name'`; `'snapshot-depth'`; as `Machine.save` and `saveSnapshotAs`
   */
  take(name: string): Promise<void> {
    return this.#inTurn(async () => {
      const machine = this.#running()
      this.#tree.checkNew(name)
      for (const { image } of this.disks) checkDepth(image.now, this.#tree.folder)
      const { id, parent, snapshot } = await this.#still(machine, async (saved) => {
        try {
          await this.#flush()
          const entry = await this.#tree.freeze(name, false)
          await this.#reopen(machine)
          return { ...entry, snapshot: saved }
        } catch (error) {
          saved.dispose()
          throw error
        }
      })
      try {
        const file = await this.#write(snapshot, this.#tree.memoryAbove(parent))
        await this.#tree.complete(id, file)
        this.#keep(snapshot, file)
      } catch (error) {
        snapshot.dispose()
        throw error
      }
    })
  }

  /**
   * Deletes a snapshot. When it is the one that the machine came from last, the machine stands still meanwhile.
   *
   * @throws as `SnapshotTree.delete`
   */
  delete(name: string): Promise<void> {
    return this.#inTurn(async () => {
      const machine = this.#running()
      if (this.#tree.find(name).id !== this.#tree.index.current.parent) return this.#tree.delete(name)
      return this.#still(machine, async (snapshot) => {
        snapshot.dispose()
        await this.#flush()
        await this.#reopen(machine, () => this.#tree.delete(name))
      })
    })
  }

  /** To be called when the machine was disposed of, or will never run. */
  async end(): Promise<void> {
    await this.#inTurn(async () => {
      this.#forget()
      for (const { disk } of this.disks) await disk.close()
      try {
        if (this.#machine !== null) await this.#tree.mark(false)
      } finally {
        await this.#tree.close()
      }
    })
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => undefined)
    return done
  }

  /** Keeps a snapshot that was written, if the machine, this and the next one have room in the arena whatever the machine writes. */
  #keep(snapshot: MachineSnapshot, file: string): void {
    this.#forget()
    const { arena, regions } = snapshot.memory
    if (3 * regions.reduce((sum, { size }) => sum + size, 0) <= arena.maximum) this.#last = { snapshot, file }
    else snapshot.dispose()
  }

  #forget(): void {
    this.#last?.snapshot.dispose()
    this.#last = null
  }

  #running(): Machine {
    const machine = this.#machine
    if (machine === null || (machine.state !== 'running' && machine.state !== 'paused')) {
      throw machinistError({ code: 'not-running', part: this.#tree.folder, value: machine?.state ?? 'created', remedy: 'Wait until it has ended.' }, 'its machine does not run')
    }
    return machine
  }

  /** Does something with all of the machine, while no hart runs and no request to a disk is made. */
  async #still<T>(machine: Machine, work: (snapshot: MachineSnapshot) => Promise<T>): Promise<T> {
    const before: string = machine.state
    machine.pause()
    try {
      // What is under way comes back first.
      return await work(await machine.save())
    } finally {
      if (before === 'running') machine.resume()
    }
  }

  async #flush(): Promise<void> {
    for (const { name, image } of this.disks) {
      const status = await image.flush()
      if (status !== 'ok') throw machinistError({ code: 'disk-write', part: name, value: status, remedy: 'Look at the space and health of the file system' }, 'cannot be made stable')
    }
  }

  /** Closes the disks, and opens those that the index names then. A machine that has lost its disks ends. */
  async #reopen(machine: Machine, between?: () => Promise<void>): Promise<void> {
    for (const { image } of this.disks) await image.now.close()
    let failed: { readonly error: unknown } | null = null
    try {
      await between?.()
    } catch (error) {
      failed = { error }
    }
    try {
      const { disks, current } = this.#tree.index
      for (const [index, disk] of disks.entries()) this.disks[index]?.image.switchTo(await openOverlay(this.#tree.folder, disk, current.disks[index] ?? '', true))
    } catch (error) {
      machine.powerOff(1)
      throw error
    }
    if (failed !== null) throw failed.error
  }

  /** Writes memory, as what differs from that of the snapshot it came from, if that has any. */
  async #write(saved: MachineSnapshot, above: string | null): Promise<string> {
    const file = `memory.${this.#tree.number()}.snapshot`
    const path = this.#tree.path(file)
    try {
      const since = above !== null && this.#last?.file === above ? { since: this.#last.snapshot } : {}
      await saveSnapshotAs(saved, path, { about: this.#about, ...(above !== null && { parent: this.#tree.path(above) }), ...since })
    } catch (error) {
      if (!isMachinistError(error) || error.code !== 'snapshot-chain') throw error
      await saveSnapshotAs(saved, path, { about: this.#about })
    }
    return file
  }
}
