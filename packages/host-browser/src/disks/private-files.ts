import { isMachinistError, machinistError, type MachinistError } from '@machinist/api'

/** A file that is written in place, by one worker at a time (File System, 2.6). */
export interface SyncHandle {
  read(into: Uint8Array, options: { readonly at: number }): number
  write(from: Uint8Array, options: { readonly at: number }): number
  truncate(size: number): void
  getSize(): number
  flush(): void
  close(): void
}

interface Writable {
  write(data: Blob): Promise<void>
  close(): Promise<void>
  abort(): Promise<void>
}

/** A file of the origin's private file system. */
interface FileHandle {
  readonly name: string
  getFile(): Promise<Blob>
  /** Not everywhere. */
  createWritable?(options: { readonly keepExistingData: boolean; readonly mode: 'exclusive' }): Promise<Writable>
  createSyncAccessHandle(): Promise<SyncHandle>
}

interface Folder {
  getDirectoryHandle(name: string, options: { readonly create: boolean }): Promise<Folder>
  getFileHandle(name: string, options: { readonly create: boolean }): Promise<FileHandle>
  removeEntry(name: string): Promise<void>
  values(): AsyncIterable<FileHandle>
}

/** Where disks are kept, and what their files are called. */
const FOLDER = 'machinist-disks'
const EXTENSION = '.qcow2'

/** Browsers tell apart what went wrong by the name of a DOMException. */
function refused(error: unknown, name: string): MachinistError {
  if (isMachinistError(error)) return error
  const kind = error instanceof Error ? error.name : String(error)
  const fail = (code: string, remedy: string, problem: string): MachinistError => machinistError({ code, part: name, value: kind, remedy }, problem)
  switch (kind) {
    case 'NoModificationAllowedError': return fail('file-locked', 'Close the other tab, or end the machine there.', 'another machine has the disk')
    case 'QuotaExceededError': return fail('file-enospc', 'Remove disks, or make room on this computer.', 'the browser gives no more room')
    case 'NotFoundError': return fail('file-enoent', 'Look at the list of disks.', 'there is no such disk')
    default: return fail('file-private', 'Open the page by https or from localhost, and not in a private window.', 'the browser does not let the page keep files')
  }
}

/** @throws a typed error `'disk-name'` */
function fileName(name: string): string {
  if (/^\w[\w.-]{0,63}$/.test(name)) return `${name}${EXTENSION}`
  throw machinistError({ code: 'disk-name', part: 'disk', value: name, remedy: 'Use up to 64 letters, digits, dots, dashes and underscores.' }, 'no name for a disk')
}

async function folder(): Promise<Folder> {
  const { storage } = (globalThis as unknown as { readonly navigator: { readonly storage: { getDirectory(): Promise<Folder> } } }).navigator
  return (await storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true })
}

async function handle(name: string, create: boolean): Promise<FileHandle> {
  const file = fileName(name)
  try {
    return await (await folder()).getFileHandle(file, { create })
  } catch (error) {
    throw refused(error, name)
  }
}

/** Opens the file of a kept disk, for this worker alone. @throws typed errors `'disk-name'`, `'file-…'` */
export async function openPrivate(name: string): Promise<SyncHandle> {
  const found = await handle(name, true)
  try {
    return await found.createSyncAccessHandle()
  } catch (error) {
    throw refused(error, name)
  }
}

/** A disk that the browser keeps for this origin. */
export interface KeptDisk {
  readonly name: string
  /** Bytes that it takes. */
  readonly size: number
}

/** The disks that machines of this origin keep here. @throws a typed error `'file-private'` */
export async function keptDisks(): Promise<readonly KeptDisk[]> {
  const found: KeptDisk[] = []
  try {
    for await (const each of (await folder()).values()) {
      if (!each.name.endsWith(EXTENSION)) continue
      const { size } = await each.getFile()
      // One that is being made.
      if (size > 0) found.push({ name: each.name.slice(0, -EXTENSION.length), size })
    }
  } catch (error) {
    throw refused(error, FOLDER)
  }
  return found.sort((one, other) => (one.name < other.name ? -1 : 1))
}

/** What takes the place of a file when it is closed, and nobody else can write to that meanwhile. @throws typed errors `'file-locked'`, `'file-private'` */
async function replacement(name: string, found: FileHandle, keepExistingData: boolean): Promise<Writable> {
  if (found.createWritable === undefined) throw machinistError({ code: 'file-private', part: name, remedy: 'Use a newer browser.' }, 'the browser does not let the page write files')
  try {
    return await found.createWritable({ keepExistingData, mode: 'exclusive' })
  } catch (error) {
    throw refused(error, name)
  }
}

/**
 * A kept disk as a file: a qcow2 image, which other programs open. One that was made over another disk has what differs from that, and names it.
 *
 * @throws typed errors `'file-enoent'`, `'file-private'`; `'file-locked'` while a machine has it
 */
export async function exportDisk(name: string): Promise<Blob> {
  const found = await handle(name, false)
  // Fails while a machine has it: what it writes next would not be in what one reads.
  await (await replacement(name, found, true)).abort()
  return await found.getFile()
}

/** What an image of qcow2 begins with, and the versions that there are. */
const MAGIC = [0x51, 0x46, 0x49, 0xfb, 0, 0, 0]
const HEADER = 72

async function isQcow2(image: Blob): Promise<boolean> {
  const head = new Uint8Array(await image.slice(0, HEADER).arrayBuffer())
  return head.length === HEADER && MAGIC.every((byte, at) => head[at] === byte) && (head[7] === 2 || head[7] === 3)
}

/**
 * Puts an image of qcow2 in the place of a kept disk, or makes one of it: the whole of it, or, when that fails, nothing.
 *
 * @throws typed errors `'image-format'` for what is no such image; as {@link exportDisk}
 */
export async function importDisk(name: string, image: Blob): Promise<void> {
  fileName(name)
  const readable = await isQcow2(image).catch((error: unknown) => { throw refused(error, name) })
  if (!readable) throw machinistError({ code: 'image-format', part: name, value: `${image.size} bytes`, remedy: 'Convert it: qemu-img convert -O qcow2.' }, 'it is no image of qcow2')
  const isNew = await handle(name, false).then(async (known) => (await known.getFile()).size === 0, (error: unknown) => {
    if (isMachinistError(error) && error.code === 'file-enoent') return true
    throw error
  })
  const found = await handle(name, true)
  try {
    const writable = await replacement(name, found, false)
    try {
      await writable.write(image)
      await writable.close()
    } catch (error) {
      // It has failed already where its stream did.
      await writable.abort().catch(() => undefined)
      throw refused(error, name)
    }
  } catch (error) {
    if (isNew) await removeDisk(name).catch(() => undefined)
    throw error
  }
}

/** Forgets a kept disk. @throws as {@link exportDisk} */
export async function removeDisk(name: string): Promise<void> {
  const file = fileName(name)
  try {
    await (await folder()).removeEntry(file)
  } catch (error) {
    throw refused(error, name)
  }
}
