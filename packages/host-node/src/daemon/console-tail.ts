import { appendFileSync, readFileSync, renameSync, statSync } from 'node:fs'

/** Bytes of a console that are kept. */
const KEPT: number = 64 << 10
/** Milliseconds after which output is on the disk. */
const LATE = 200

function contentOf(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch {
    return Buffer.alloc(0)
  }
}

/** The last output of a machine, in a file too. There are two files, of which one has the older. */
export class ConsoleTail {
  readonly #path: string
  #bytes = 0
  #waiting: Uint8Array[] = []
  #length = 0
  #timer: NodeJS.Timeout | null = null
  /** The output of hypervisors before; nothing when as much has come since. */
  before: Uint8Array
  #since = 0

  constructor(path: string) {
    this.#path = path
    try {
      this.#bytes = statSync(path).size
    } catch {
      this.#bytes = 0
    }
    this.before = Buffer.concat([contentOf(`${path}.old`), contentOf(path)]).subarray(-KEPT)
  }

  push(bytes: Uint8Array): void {
    this.#waiting.push(bytes.slice(-KEPT))
    this.#length += bytes.length
    this.#since += bytes.length
    if (this.#since >= KEPT) this.before = new Uint8Array(0)
    if (this.#length >= KEPT) this.flush()
    else this.#timer ??= setTimeout(() => { this.flush() }, LATE)
  }

  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#length === 0) return
    const bytes = Buffer.concat(this.#waiting)
    this.#waiting = []
    this.#length = 0
    try {
      if (this.#bytes > KEPT) {
        renameSync(this.#path, `${this.#path}.old`)
        this.#bytes = 0
      }
      appendFileSync(this.#path, bytes, { mode: 0o600 })
      this.#bytes += bytes.length
    } catch {
      // A full disk ends no machine.
    }
  }

  /** Nothing is written any more. */
  close(): void {
    this.flush()
  }

  /** Forgets what waits. */
  drop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#waiting = []
    this.#length = 0
  }
}
