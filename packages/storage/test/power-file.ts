import type { RandomAccessFile } from '../src/index.ts'

export const SECTOR = 512

/** What a file holds, by sectors. What is in none of them reads as zeroes. */
export interface Content {
  readonly sectors: Map<number, Uint8Array>
  size: number
}

interface Write {
  readonly sectors: ReadonlyMap<number, Uint8Array>
  readonly end: number
}

/** What happened to a file, in order: a write began, writes became stable, or somebody noted something. */
type Event = { readonly kind: 'write', readonly write: Write } | { readonly kind: 'stable', readonly writes: ReadonlySet<Write> } | { readonly kind: 'note', readonly note: () => void }

/** Of a sync that a file is asked for: how many came before it in the guest's flush, -1 outside of one; and where the writes since the last one went. */
export interface Sync {
  readonly index: number
  readonly since: readonly number[]
}

/** A file that keeps a journal, from which every loss of power that could have been can be played. */
export class PowerFile implements RandomAccessFile {
  readonly writable = true
  readonly #content: Content
  readonly #start: Content
  readonly #random: (below: number) => number
  readonly #omit: (sync: Sync) => boolean
  readonly #fragile: ((offset: number) => boolean) | undefined
  readonly #journal: Event[] = []
  #complete: Write[] = []
  #since: number[] = []
  #index = -1

  /**
   * @param omit - syncs that are not carried out, though they are reported as done
   * @param fragile - where a loss of power may also damage sectors whose writing was not stable
   */
  constructor(content: Content, random: (below: number) => number, omit: (sync: Sync) => boolean = () => false, fragile?: (offset: number) => boolean) {
    this.#fragile = fragile
    this.#content = { sectors: new Map(content.sectors), size: content.size }
    this.#start = content
    this.#random = random
    this.#omit = omit
  }

  get size(): number {
    return this.#content.size
  }

  /** What a process finds that opens the file after this one died. */
  get content(): Content {
    return this.#content
  }

  get events(): number {
    return this.#journal.length
  }

  /** Tells the replay something at this moment. */
  note(note: () => void): void {
    this.#journal.push({ kind: 'note', note })
  }

  /** The guest's flush begins or ends. */
  guestFlush(begins: boolean): void {
    this.#index = begins ? 0 : -1
  }

  async #turns(): Promise<void> {
    for (let turns = this.#random(4); turns >= 0; turns--) await Promise.resolve()
  }

  /** At once, or after some turns. */
  #answer<T>(effect: () => T): T | Promise<T> {
    return this.#random(3) === 0 ? effect() : this.#turns().then(effect)
  }

  read(offset: number, into: Uint8Array): number | Promise<number> {
    return this.#answer(() => readContent(this.#content, offset, into))
  }

  write(offset: number, from: Uint8Array): void | Promise<void> {
    const write = { sectors: new Map<number, Uint8Array>(), end: offset + from.length }
    for (let at = 0; at < from.length;) {
      const index = Math.floor((offset + at) / SECTOR), within = (offset + at) % SECTOR
      const part = from.subarray(at, at + SECTOR - within)
      const bytes = this.#content.sectors.get(index)?.slice() ?? new Uint8Array(SECTOR)
      bytes.set(part, within)
      write.sectors.set(index, bytes)
      at += part.length
    }
    // It may arrive before anybody hears of it.
    this.#journal.push({ kind: 'write', write })
    this.#since.push(offset)
    return this.#answer(() => {
      for (const [index, bytes] of write.sectors) this.#content.sectors.set(index, bytes)
      this.#content.size = Math.max(this.#content.size, write.end)
      this.#complete.push(write)
    })
  }

  /** A hole arrives as zeroes do. */
  async discard(offset: number, length: number): Promise<void> {
    const count = Math.min(length, this.size - offset)
    if (count > 0) await this.write(offset, new Uint8Array(count))
  }

  async flush(): Promise<void> {
    const sync = { index: this.#index, since: this.#since }
    this.#since = []
    if (this.#index >= 0) this.#index += 1
    if (this.#omit(sync)) return this.#turns()
    const writes = new Set(this.#complete)
    await this.#turns()
    this.#complete = this.#complete.filter((write) => !writes.has(write))
    this.#journal.push({ kind: 'stable', writes })
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  /**
   * Plays the journal up to the moments that are asked for, telling notes, and calls `visit` with what a loss of power at each could leave: of
   * what was not stable, any sectors. What did not arrive past the stable end of the file is zeroes, or remains of something else.
   */
  async replay(moments: ReadonlyMap<number, number>, visit: (found: Content) => Promise<void>): Promise<void> {
    const stable: Content = { sectors: new Map(this.#start.sectors), size: this.#start.size }
    let pending: Write[] = []
    for (const [index, event] of this.#journal.entries()) {
      if (event.kind === 'note') event.note()
      else if (event.kind === 'write') pending.push(event.write)
      else {
        for (const write of pending) if (event.writes.has(write)) put(stable, write, write.sectors.keys())
        pending = pending.filter((write) => !event.writes.has(write))
      }
      for (let count = moments.get(index) ?? 0; count > 0; count--) await visit(this.#crash(stable, pending))
    }
  }

  #crash(stable: Content, pending: readonly Write[]): Content {
    const random = this.#random
    const found: Content = { sectors: new Map(stable.sectors), size: stable.size }
    const garbage = random(2) === 0
    if (random(2) === 0) for (const { end } of pending) found.size = Math.max(found.size, end)
    const chosen = random(Math.max(1, pending.length))
    const arrives: readonly ((index: number) => boolean)[] = [
      () => false, () => true, () => random(2) === 0, (index) => index === chosen, (index) => index !== chosen, (index) => index < chosen, (index) => index > chosen,
    ]
    const mode = arrives[random(arrives.length + 1)]
    for (const [index, write] of pending.entries()) {
      const whole = mode?.(index)
      put(found, write, whole === true ? write.sectors.keys() : whole === false ? [] : [...write.sectors.keys()].filter(() => random(2) === 0))
      if (garbage && stable.size > 0) for (const sector of write.sectors.keys()) if (sector * SECTOR >= stable.size && !found.sectors.has(sector)) found.sectors.set(sector, remains)
    }
    if (this.#fragile !== undefined && random(2) === 0) {
      for (const write of pending) for (const sector of write.sectors.keys()) if (this.#fragile(sector * SECTOR) && random(2) === 0) found.sectors.set(sector, remains)
    }
    for (const sector of found.sectors.keys()) if (sector * SECTOR >= found.size) found.sectors.delete(sector)
    return found
  }
}

/** Neither zeroes nor anything that makes sense. */
const remains = new Uint8Array(SECTOR).map((_, index) => index * 37 + 129)

function put(content: Content, write: Write, sectors: Iterable<number>): void {
  for (const sector of sectors) {
    const bytes = write.sectors.get(sector)
    if (bytes === undefined) continue
    content.sectors.set(sector, bytes)
    content.size = Math.max(content.size, Math.min(write.end, (sector + 1) * SECTOR))
  }
}

/** Reads what a file holds; the number of bytes, which is less at its end. */
export function readContent(content: Content, offset: number, into: Uint8Array): number {
  const length = Math.max(0, Math.min(into.length, content.size - offset))
  for (let at = 0; at < length;) {
    const index = Math.floor((offset + at) / SECTOR), within = (offset + at) % SECTOR
    const count = Math.min(SECTOR - within, length - at)
    const bytes = content.sectors.get(index)
    if (bytes === undefined) into.fill(0, at, at + count)
    else into.set(bytes.subarray(within, within + count), at)
    at += count
  }
  return length
}
