/** As much of Node's `fs`, `path` and `os` as tests of portable packages use: files in memory. */
interface File {
  bytes: Uint8Array
  size: number
}

const files = new Map<string, File>()
const open: (File | null)[] = []
let folders = 0

const absolute = (path: string): string => {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}
const missing = (path: string): Error => Object.assign(new Error(`ENOENT: no such file or directory, open '${path}'`), { code: 'ENOENT' })
const named = (path: string): File => {
  const file = files.get(absolute(path))
  if (file === undefined) throw missing(path)
  return file
}
const numbered = (fd: number): File => {
  const file = open[fd] ?? null
  if (file === null) throw Object.assign(new Error('EBADF: bad file descriptor'), { code: 'EBADF' })
  return file
}
const resize = (file: File, size: number): void => {
  if (size > file.bytes.length) {
    const bytes = new Uint8Array(Math.max(size, 2 * file.bytes.length))
    bytes.set(file.bytes.subarray(0, file.size))
    file.bytes = bytes
  } else if (size < file.size) file.bytes.fill(0, size, file.size)
  file.size = size
}

export const join = (...parts: readonly string[]): string => {
  const path = parts.filter((part) => part !== '').join('/')
  return path.startsWith('/') ? absolute(path) : absolute(path).slice(1)
}
export const resolve = (...parts: readonly string[]): string => absolute(parts.reduce((path, part) => part.startsWith('/') ? part : `${path}/${part}`, ''))
export const dirname = (path: string): string => path.slice(0, Math.max(1, path.lastIndexOf('/')))
export const basename = (path: string, end: string = ''): string => {
  const name = path.slice(path.lastIndexOf('/') + 1)
  return end !== '' && name.endsWith(end) ? name.slice(0, -end.length) : name
}
export const tmpdir = (): string => '/tmp'

export const existsSync = (path: string): boolean => files.has(absolute(path))
export const mkdtempSync = (prefix: string): string => `${prefix}${folders++}`
export const readdirSync = (folder: string): string[] => [...files.keys()].filter((path) => dirname(path) === absolute(folder)).map((path) => basename(path)).sort()
export function rmSync(path: string): void {
  const from = absolute(path)
  for (const each of [...files.keys()]) if (each === from || each.startsWith(`${from}/`)) files.delete(each)
}
export function renameSync(from: string, to: string): void {
  const file = named(from)
  files.delete(absolute(from))
  files.set(absolute(to), file)
}

export function openSync(path: string, mode: string = 'r'): number {
  const name = absolute(path)
  if (mode.startsWith('w')) files.set(name, { bytes: new Uint8Array(0), size: 0 })
  return open.push(named(path)) - 1
}
export function closeSync(fd: number): void {
  numbered(fd)
  open[fd] = null
}
export function readSync(fd: number, into: Uint8Array, start: number, length: number, at: number): number {
  const { bytes, size } = numbered(fd)
  const part = bytes.subarray(Math.min(at, size), Math.min(at + length, size))
  into.set(part, start)
  return part.length
}
export function writeSync(fd: number, from: Uint8Array, start: number, length: number, at: number): number {
  const file = numbered(fd)
  if (at + length > file.size) resize(file, at + length)
  file.bytes.set(from.subarray(start, start + length), at)
  return length
}
export const fstatSync = (fd: number): { readonly size: number } => ({ size: numbered(fd).size })
export const statSync = (path: string): { readonly size: number } => ({ size: named(path).size })
export const ftruncateSync = (fd: number, size: number): void => { resize(numbered(fd), size) }
export const truncateSync = (path: string, size: number): void => { resize(named(path), size) }
export const fdatasyncSync = (fd: number): void => { numbered(fd) }

export function readFileSync(path: string, encoding?: BufferEncoding): unknown {
  const { bytes, size } = named(path)
  const content = Buffer.from(bytes.subarray(0, size))
  return encoding === undefined ? content : content.toString(encoding)
}
export function writeFileSync(path: string, content: string | Uint8Array): void {
  const bytes = typeof content === 'string' ? Uint8Array.from(content, (letter) => letter.charCodeAt(0)) : content.slice()
  files.set(absolute(path), { bytes, size: bytes.length })
}
