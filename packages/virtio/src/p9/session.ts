import { type FileKind, machinistError, posixError } from '@machinist/api'
import { Fid, mostSaved, Place, type Path, type StandsFor } from './fid.ts'
import { checkComponent } from './codec.ts'
import { KnownSizes } from './known-sizes.ts'
import { plainData } from '@machinist/registers'
import type { PlainData } from '@machinist/registers'

/** Most fids of a client: its kernel has one for each name that it remembers. */
const mostFids = 65536
/** Deepest place. */
const deepest = 200

/** A fid as saved: its number, where it is, and for what it was opened. */
export interface FidState {
  readonly fid: number
  readonly path: readonly (readonly number[])[]
  readonly open: number
  /** How long the client believes the file to be; 0 when that was never said. */
  readonly size: number
  /** What was there, and its id in the tree; `'unknown'` and null when nobody had looked, or in states of before. */
  readonly kind: FileKind | 'unknown'
  readonly id: bigint | null
}

const kinds: readonly FidState['kind'][] = ['unknown', 'file', 'folder', 'link', 'fifo', 'socket', 'character', 'block']

/** What a client has between one `version` and the next. */
export class Session {
  /** Bytes of the largest message, as agreed on. */
  readonly messageSize: number
  readonly sizes: KnownSizes
  readonly #fids = new Map<number, Fid>()
  #closed = false

  constructor(messageSize: number, sizes: KnownSizes = new KnownSizes()) {
    this.messageSize = messageSize
    this.sizes = sizes
  }

  /** The same session, with what stands for the files that are open. No request is under way. */
  copy(standsFor: StandsFor): Session {
    const copy = new Session(this.messageSize, this.sizes.copy())
    const places = new Map<Place, Place>()
    for (const [number, fid] of this.#fids) {
      const place = places.get(fid.place) ?? fid.place.copy(standsFor)
      places.set(fid.place, place)
      copy.#fids.set(number, fid.copy(place, standsFor).hold())
    }
    return copy
  }

  /** The fid with a number; `'EBADF'`. */
  get(number: number): Fid {
    const fid = this.#fids.get(number)
    if (fid === undefined) throw posixError('EBADF')
    return fid
  }

  /** Refuses a number that is taken. */
  vacant(number: number): void {
    if (this.#fids.has(number)) throw posixError('EBADF')
    if (this.#fids.size >= mostFids) throw posixError('ENFILE')
  }

  /** Gives a place a number. If the session is over or the number was taken meanwhile, the place is dropped. */
  add(number: number, place: Place): void {
    const fid = new Fid(place).hold()
    try {
      this.vacant(number)
    } catch (error) {
      fid.drop()
      throw error
    }
    if (this.#closed) fid.drop()
    else this.#fids.set(number, fid)
  }

  /** After a walk from fid `from`: `to`, which may be the same number, stands for `place`. */
  point(from: number, to: number, place: Place): void {
    place.hold()
    try {
      if (from === to) this.remove(from)
      this.add(to, place)
    } finally {
      place.drop()
    }
  }

  remove(number: number): void {
    const fid = this.get(number)
    this.#fids.delete(number)
    fid.drop()
  }

  /** What was at `from`, and below, is at `to` now. */
  moved(from: Path, to: Path): void {
    const places = new Set([...this.#fids.values()].map(({ place }) => place))
    for (const place of places) if (begins(place.path, from)) place.path = [...to, ...place.path.slice(from.length)]
  }

  close(): void {
    this.#closed = true
    for (const fid of this.#fids.values()) fid.drop()
    this.#fids.clear()
  }

  save(): readonly FidState[] {
    return [...this.#fids].map(([fid, each]) => ({ fid, path: each.place.path.map((name) => [...name]), open: each.save(), size: this.sizes.of(each.place.id, each.place.believed), ...each.place.identity }))
  }

  /** A session like the one that {@link save} was called of, whose fids are the field `fids` of `state`. Throws a typed error (`state`). */
  static restore(part: string, messageSize: number, state: PlainData): Session {
    const session = new Session(messageSize)
    state.list('fids', mostFids, (data) => {
      const number = data.integer('fid', 0, 0xffff_ffff)
      const open = data.integer('open', 0, mostSaved)
      const size = data.integer('size', 0, Number.MAX_SAFE_INTEGER, 0)
      const kind = data.oneOf('kind', kinds, 'unknown')
      const id = data.unknown('id') ?? null
      if (id !== null && (typeof id !== 'bigint' || id !== BigInt.asUintN(64, id))) throw bad(part, id, 'not the id of a file')
      const path = pathOf(part, data.unknown('path'))
      session.#fids.get(number)?.drop()
      session.#fids.set(number, new Fid(new Place(path, { believed: size, kind, id }), open).hold())
    })
    return session
  }
}

function bad(part: string, value: unknown, problem: string): Error {
  return machinistError({ code: 'state', part: `${part}.fids`, value: String(value).slice(0, 80), remedy: 'Restore what a device saved.' }, problem)
}

/** A path of a saved state: its names are believed no more than those of a client, since they lead into a folder of the host. */
function pathOf(part: string, value: unknown): Path {
  if (!Array.isArray(value) || value.length > deepest) throw bad(part, typeof value, 'not a path')
  return value.map((each: unknown) => {
    const name = Uint8Array.from(plainData(`${part}.fids`, { name: each }, 'state').bytes('name', 255))
    try {
      checkComponent(name)
    } catch {
      throw bad(part, String.fromCharCode(...name), 'not one name of a path')
    }
    return name
  })
}

/** The path of an entry. `'ENAMETOOLONG'`. */
export function below(path: Path, name: Uint8Array): Path {
  if (path.length >= deepest) throw posixError('ENAMETOOLONG')
  return [...path, name]
}

function begins(path: Path, prefix: Path): boolean {
  return path.length >= prefix.length && prefix.every((name, index) => same(name, path[index]))
}

function same(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && a.length === b.length && a.every((byte, index) => byte === b[index])
}
