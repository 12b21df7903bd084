import { machinistError } from '@machinist/api'
import { alignUp, concatBytes } from './bytes.ts'
import { decodeUtf8, encodeUtf8 } from './text.ts'

/**
 * The "newc" archive that Linux unpacks as its initial root file system (Documentation/driver-api/early-userspace/
 * buffer-format.rst): a header of hexadecimal text, the name, the content, each padded to four bytes.
 */
const MAGIC = '070701'
/** The same with a checksum in `c_chksum`, which nothing here needs; read, not written. */
const MAGIC_CRC = '070702'
const TRAILER = 'TRAILER!!!'
const HEADER_SIZE = 110
/** The order of the 8-digit fields after the magic. */
const FIELDS = ['ino', 'mode', 'uid', 'gid', 'nlink', 'mtime', 'filesize', 'devmajor', 'devminor', 'rdevmajor', 'rdevminor', 'namesize', 'check'] as const
/** Linux reads names up to PATH_MAX. */
const MAX_NAME = 4096

/** File types in `c_mode`. */
const TYPE = { fifo: 0o010000, character: 0o020000, directory: 0o040000, block: 0o060000, file: 0o100000, symlink: 0o120000 } as const
const TYPE_MASK = 0o170000

/** What kind of file an entry is. */
export type CpioKind = keyof typeof TYPE

/** Builds a cpio archive; {@link cpio} begins one. Missing parent directories are added, with mode 755. */
export interface CpioWriter {
  /** A regular file. `mode` is its permissions, 0o644 unless given. */
  file(path: string, bytes: Uint8Array | string, mode?: number): CpioWriter
  /** A directory, 0o755 unless given. */
  directory(path: string, mode?: number): CpioWriter
  /** A symbolic link at `path` that says `target`. */
  symlink(path: string, target: string): CpioWriter
  /** A device node, 0o600 unless given. */
  device(path: string, kind: 'character' | 'block', major: number, minor: number, mode?: number): CpioWriter
  /** The archive. Equal calls give equal bytes: times are zero, the owner is root. */
  toBytes(): Uint8Array
}

/** An entry of an archive, as {@link readCpio} gives it. */
export interface CpioEntry {
  readonly path: string
  readonly kind: CpioKind
  /** Permissions: the low 12 bits of `c_mode`. */
  readonly mode: number
  /** Content; the target of a symbolic link. */
  readonly bytes: Uint8Array
  /** Of a device node. */
  readonly major: number
  readonly minor: number
}

function normalise(path: string): string {
  const names = path.split('/').filter((name) => name !== '' && name !== '.')
  const joined = names.join('/')
  if (joined === '' || joined === TRAILER || names.includes('..') || path.includes('\0') || joined.length >= MAX_NAME / 3) {
    throw machinistError({ code: 'cpio-path', part: 'cpio', value: JSON.stringify(path), remedy: 'Give a path inside the archive' }, 'not a usable path')
  }
  return joined
}

function checkNumber(path: string, what: string, value: number, limit: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= limit) return value
  throw machinistError({ code: 'cpio-value', part: path, value, remedy: `Give an integer from 0 to ${limit}` }, `impossible ${what}`)
}

/** Begins an archive. */
export function cpio(): CpioWriter {
  const chunks: Uint8Array[] = []
  const seen = new Map<string, CpioKind>()

  const add = (path: string, kind: CpioKind, mode: number, content: Uint8Array, major: number = 0, minor: number = 0): void => {
    const values: Record<(typeof FIELDS)[number], number> = {
      ino: path === TRAILER ? 0 : seen.size + 1,
      mode: path === TRAILER ? 0 : TYPE[kind] | mode,
      uid: 0,
      gid: 0,
      nlink: kind === 'directory' ? 2 : 1,
      mtime: 0,
      filesize: content.length,
      devmajor: 0,
      devminor: 0,
      rdevmajor: major,
      rdevminor: minor,
      namesize: 0,
      check: 0,
    }
    const name = encodeUtf8(`${path}\0`)
    values.namesize = name.length
    const header = MAGIC + FIELDS.map((field) => values[field].toString(16).padStart(8, '0').toUpperCase()).join('')
    const head = new Uint8Array(alignUp(HEADER_SIZE + name.length, 4))
    head.set(encodeUtf8(header))
    head.set(name, HEADER_SIZE)
    chunks.push(head, content, new Uint8Array(alignUp(content.length, 4) - content.length))
  }

  const entry = (given: string, kind: CpioKind, mode: number, content: Uint8Array, major?: number, minor?: number): CpioWriter => {
    const path = normalise(given)
    checkNumber(path, 'mode', mode, 0o7777)
    if (seen.has(path)) {
      throw machinistError({ code: 'cpio-duplicate', part: 'cpio', value: path, remedy: 'Add each path once' }, 'already in the archive')
    }
    const parent = path.slice(0, Math.max(0, path.lastIndexOf('/')))
    if (parent !== '') {
      const parentKind = seen.get(parent)
      if (parentKind === undefined) entry(parent, 'directory', 0o755, new Uint8Array(0))
      else if (parentKind !== 'directory') {
        throw machinistError({ code: 'cpio-parent', part: 'cpio', value: path, remedy: 'Give the path without symbolic links' }, `${parent} is not a directory`)
      }
    }
    add(path, kind, mode, content, major, minor)
    seen.set(path, kind)
    return writer
  }

  const writer: CpioWriter = {
    file: (path: string, bytes: Uint8Array | string, mode: number = 0o644): CpioWriter =>
      entry(path, 'file', mode, typeof bytes === 'string' ? encodeUtf8(bytes) : bytes.slice()),
    directory: (path: string, mode: number = 0o755): CpioWriter => entry(path, 'directory', mode, new Uint8Array(0)),
    symlink: (path: string, target: string): CpioWriter => entry(path, 'symlink', 0o777, encodeUtf8(target)),
    device(path: string, kind: 'character' | 'block', major: number, minor: number, mode: number = 0o600): CpioWriter {
      checkNumber(path, 'major number', major, 0xfff)
      checkNumber(path, 'minor number', minor, 0xfffff)
      return entry(path, kind, mode, new Uint8Array(0), major, minor)
    },
    toBytes(): Uint8Array {
      const kept = chunks.length
      add(TRAILER, 'file', 0, new Uint8Array(0))
      const archive = concatBytes(chunks)
      chunks.length = kept
      return archive
    },
  }
  return writer
}

/**
 * Joins initial root file systems: Linux unpacks one after the other, later files over earlier ones. Each may be
 * compressed; all begin at a multiple of four bytes, as the kernel wants it.
 */
export function concatInitrds(parts: readonly Uint8Array[]): Uint8Array {
  return concatBytes(parts.flatMap((part) => [part, new Uint8Array(alignUp(part.length, 4) - part.length)]))
}

/**
 * Reads an uncompressed newc archive, or several in a row.
 *
 * @param bytes - the archive
 * @param part - what to call it in errors
 * @throws typed `cpio-truncated` or `cpio-malformed`
 */
export function readCpio(bytes: Uint8Array, part: string = 'initrd'): CpioEntry[] {
  const fail = (code: string, problem: string, value?: string | number): Error =>
    machinistError({ code, part, value, remedy: 'Give an uncompressed archive as `cpio -H newc -o` writes it' }, problem)
  const entries: CpioEntry[] = []
  let at = 0
  let open = false
  for (;;) {
    // Between archives there may be zeros.
    while (!open && at < bytes.length && bytes[at] === 0) at++
    if (at === bytes.length && !open && entries.length + at > 0) return entries
    if (at + HEADER_SIZE > bytes.length) throw fail('cpio-truncated', 'ends without a trailer', at)
    const magic = decodeUtf8(bytes.subarray(at, at + MAGIC.length))
    if (magic !== MAGIC && magic !== MAGIC_CRC) throw fail('cpio-malformed', 'not a newc header', at)
    const start = at
    const field = (name: (typeof FIELDS)[number]): number => {
      const from = start + MAGIC.length + FIELDS.indexOf(name) * 8
      const digits = decodeUtf8(bytes.subarray(from, from + 8))
      if (!/^[0-9A-Fa-f]{8}$/.test(digits)) throw fail('cpio-malformed', `${name} is not a number`, start)
      return Number.parseInt(digits, 16)
    }
    const nameSize = field('namesize')
    const fileSize = field('filesize')
    if (nameSize < 1 || nameSize > MAX_NAME) throw fail('cpio-malformed', 'impossible length of a name', nameSize)
    const content = alignUp(start + HEADER_SIZE + nameSize, 4)
    if (content + fileSize > bytes.length) throw fail('cpio-truncated', 'ends inside a file', start)
    const path = decodeUtf8(bytes.subarray(start + HEADER_SIZE, start + HEADER_SIZE + nameSize - 1))
    at = Math.min(alignUp(content + fileSize, 4), bytes.length)
    open = path !== TRAILER
    if (!open) continue
    const mode = field('mode')
    const kind = kindOf(mode)
    if (kind === null) throw fail('cpio-malformed', 'unknown type of file', path)
    entries.push({
      path,
      kind,
      mode: mode & 0o7777,
      bytes: bytes.subarray(content, content + fileSize),
      major: field('rdevmajor'),
      minor: field('rdevminor'),
    })
  }
}

function kindOf(mode: number): CpioKind | null {
  const type = mode & TYPE_MASK
  switch (type) {
    case TYPE.fifo: return 'fifo'
    case TYPE.character: return 'character'
    case TYPE.directory: return 'directory'
    case TYPE.block: return 'block'
    case TYPE.file: return 'file'
    case TYPE.symlink: return 'symlink'
    default: return null
  }
}
