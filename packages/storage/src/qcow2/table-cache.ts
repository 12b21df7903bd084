import type { Soon } from '../eager.ts'
import type { RandomAccessFile } from '../file.ts'

/** One cluster of metadata in memory. */
export interface Table {
  readonly offset: number
  readonly view: DataView
  readonly bytes: Uint8Array
  /** Differs from the file. */
  dirty: boolean
  /** Is being written: must not be forgotten before that has ended, or it would be read as it was. */
  writing: boolean
}

/**
 * Clusters of metadata, by their place in the file, within a bound. Clean ones are forgotten, the least recently used first.
 * Dirty ones stay until somebody writes them; `crowded` says when that is due.
 */
export class TableCache {
  readonly #tables = new Map<number, Table>()
  readonly #loading = new Map<number, Promise<Table>>()
  readonly #file: RandomAccessFile
  readonly #size: number
  readonly #capacity: number
  #dirty = 0

  /**
   * @param size - bytes of a table
   * @param bytes - of memory to use; four tables at least
   */
  constructor(file: RandomAccessFile, size: number, bytes: number) {
    this.#file = file
    this.#size = size
    this.#capacity = Math.max(4, Math.floor(bytes / size))
  }

  /** Whether dirty tables fill half of it. */
  get crowded(): boolean {
    return this.#dirty * 2 > this.#capacity
  }

  get anyDirty(): boolean {
    return this.#dirty > 0
  }

  get held(): number {
    return this.#tables.size
  }

  /**
   * Hands the table at `offset` to `use`, reading it first if need be. `use` runs in one go: between the look-up and what it
   * does with the table nothing else happens, and it must not keep it.
   */
  use<T>(offset: number, use: (table: Table) => T): Soon<T> {
    const found = this.#tables.get(offset)
    if (found !== undefined) {
      this.#tables.delete(offset)
      this.#tables.set(offset, found)
      return use(found)
    }
    let loading = this.#loading.get(offset)
    if (loading === undefined) {
      loading = this.#load(offset)
      this.#loading.set(offset, loading)
    }
    return loading.then((table) => {
      // Others that waited may have made room since; what was read is still true, for nothing is read in between.
      const present = this.#tables.get(offset)
      if (present === undefined) this.#keep(table)
      return use(present ?? table)
    })
  }

  /** Puts a new table in, dirty. What the file holds there does not matter. */
  create(offset: number, bytes: Uint8Array): void {
    this.#loading.delete(offset)
    const old = this.#tables.get(offset)
    if (old?.dirty === true) this.#dirty -= 1
    const table = { offset, bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), dirty: false, writing: false }
    this.#tables.delete(offset)
    this.#keep(table)
    this.touch(table)
  }

  /** Marks a table as changed. */
  touch(table: Table): void {
    if (table.dirty) return
    table.dirty = true
    this.#dirty += 1
  }

  /** The same, unless it is forgotten. */
  touchIfHeld(table: Table): void {
    table.writing = false
    if (this.#tables.get(table.offset) === table) this.touch(table)
  }

  /** Forgets a table whose cluster is not one any more. */
  drop(offset: number): void {
    const table = this.#tables.get(offset)
    if (table?.dirty === true) this.#dirty -= 1
    this.#tables.delete(offset)
    this.#loading.delete(offset)
  }

  /** Copies of all dirty tables, which count as clean from now on; `write` them, or the file lacks them. */
  takeDirty(): { readonly table: Table, readonly bytes: Uint8Array }[] {
    const taken = []
    for (const table of this.#tables.values()) {
      if (!table.dirty) continue
      table.dirty = false
      table.writing = true
      taken.push({ table, bytes: table.bytes.slice() })
    }
    this.#dirty = 0
    return taken
  }

  /** Writes what was taken. Tables that were not written are dirty again, and the error is thrown. */
  async write(taken: readonly { readonly table: Table, readonly bytes: Uint8Array }[]): Promise<void> {
    let done = 0
    try {
      for (const { table, bytes } of taken) {
        if (this.#tables.get(table.offset) === table) await this.#file.write(table.offset, bytes)
        table.writing = false
        done += 1
      }
    } catch (error) {
      this.untake(taken.slice(done))
      throw error
    }
    this.#trim(null)
  }

  /** Marks tables that were taken, and not written, as dirty again. */
  untake(taken: readonly { readonly table: Table, readonly bytes: Uint8Array }[]): void {
    for (const { table } of taken) this.touchIfHeld(table)
  }

  #load(offset: number): Promise<Table> {
    const read = async (): Promise<Table> => {
      try {
        const bytes = new Uint8Array(this.#size)
        // Past the end of the file there are zeroes, which mean nothing allocated.
        await this.#file.read(offset, bytes)
        const table = { offset, bytes, view: new DataView(bytes.buffer), dirty: false, writing: false }
        if (this.#loading.get(offset) === loading && !this.#tables.has(offset)) this.#keep(table)
        return table
      } finally {
        if (this.#loading.get(offset) === loading) this.#loading.delete(offset)
      }
    }
    const loading = Promise.resolve().then(read)
    return loading
  }

  #keep(table: Table): void {
    this.#tables.set(table.offset, table)
    this.#trim(table)
  }

  #trim(except: Table | null): void {
    if (this.#tables.size <= this.#capacity) return
    for (const [offset, table] of this.#tables) {
      if (table.dirty || table.writing || table === except) continue
      this.#tables.delete(offset)
      if (this.#tables.size <= this.#capacity) return
    }
  }
}
