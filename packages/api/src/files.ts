/**
 * A tree of files that a host shares with a machine. A host implements {@link FileTree}: over a folder, the private
 * files of a browser, or memory. Names and the targets of links are bytes; nobody says that they are text.
 *
 * Every promise may reject with an error whose `code` is a POSIX name (`'ENOENT'`, `'EACCES'`, …), as those of
 * {@link posixError} and of Node are. Any other error is an I/O error to the guest.
 */

/** What a file is. */
export type FileKind = 'file' | 'folder' | 'link' | 'fifo' | 'socket' | 'character' | 'block'

/** What is known of a file without opening it. */
export interface FileAttributes {
  readonly kind: FileKind
  /** Unsigned, below 2^64: the same for all names of one file, and no two files of a tree have the same. */
  readonly id: bigint
  /** Permissions and the bits above them: 0 to 0o7777. */
  readonly mode: number
  readonly user: number
  readonly group: number
  readonly links: number
  /** Bytes. */
  readonly size: number
  /** Storage used, in units of 512 bytes. */
  readonly blocks: number
  /** Nanoseconds since 1970-01-01T00:00:00Z. */
  readonly accessed: bigint
  readonly modified: bigint
  readonly changed: bigint
}

/** What of a file is to be changed; what is absent stays. */
export interface AttributeChanges {
  readonly mode?: number
  readonly user?: number
  readonly group?: number
  /** The file is cut off there, or grows by zeroes. */
  readonly size?: number
  readonly accessed?: bigint | 'now'
  readonly modified?: bigint | 'now'
}

/** For what a file is opened. At least one of `read` and `write`. */
export interface OpenMode {
  readonly read: boolean
  readonly write: boolean
  /** Every write goes to the end. */
  readonly append?: boolean
  /** Drops the content first. */
  readonly truncate?: boolean
}

/** A file that was found or made. */
export interface FoundNode {
  readonly node: FileNode
  readonly attributes: FileAttributes
}

/** A file that was opened. */
export interface FoundFile {
  readonly file: OpenFile
  readonly attributes: FileAttributes
}

/** An entry of a folder. */
export interface FolderEntry {
  readonly name: Uint8Array
  readonly attributes: FileAttributes
}

/** Space in a tree, in blocks of `blockSize` bytes. */
export interface TreeStatistics {
  readonly blockSize: number
  readonly blocks: number
  readonly free: number
  readonly available: number
  readonly files: number
  readonly filesFree: number
  readonly nameLength: number
}

/** A tree of files. */
export interface FileTree {
  root(): Promise<FoundNode>
  statistics(): Promise<TreeStatistics>
}

/**
 * A file or folder that was found at a place in the tree. Renames through the tree take it along. It never comes to stand for
 * what somebody else puts in its place: then operations are refused with `'ENOENT'`, except that while a file of the tree is
 * open its nodes still know and change its attributes, and open it. Names given to it are single components, neither empty
 * nor `.` or `..`, without `/` and NUL: whoever takes them from a guest checks that. A link is never followed.
 */
export interface FileNode {
  attributes(): Promise<FileAttributes>
  change(changes: AttributeChanges): Promise<void>
  /** The entry `name` of this folder. `'ENOENT'`, `'ENOTDIR'`. */
  lookup(name: Uint8Array): Promise<FoundNode>
  /** Makes and opens a file. `'EEXIST'` for one that is there, if `exclusive`; otherwise that is opened. */
  create(name: Uint8Array, mode: number, how: OpenMode & { readonly exclusive: boolean }): Promise<FoundNode & FoundFile>
  makeFolder(name: Uint8Array, mode: number): Promise<FoundNode>
  makeLink(name: Uint8Array, target: Uint8Array): Promise<FoundNode>
  /** A further name in this folder for `node`, of the same tree. */
  link(name: Uint8Array, node: FileNode): Promise<void>
  /** Removes a name: of an empty folder if `folder`, of anything else if not. `'ENOTDIR'`, `'EISDIR'`, `'ENOTEMPTY'`. */
  unlink(name: Uint8Array, folder: boolean): Promise<void>
  /** Moves the entry `name` to `newName` of the folder `into`, of the same tree, in place of what is there (POSIX `rename`). */
  rename(name: Uint8Array, into: FileNode, newName: Uint8Array): Promise<void>
  readLink(): Promise<Uint8Array>
  /** Opens a regular file. `'EISDIR'`, and `'ELOOP'` for a link. */
  open(how: OpenMode): Promise<FoundFile>
  /** Opens this folder to list it. `'ENOTDIR'`. */
  list(): Promise<FolderList>
  /** Nobody uses this object any more. Called once; files opened by it stay open. */
  release(): void
}

/**
 * A file or folder that is open. Whatever becomes of its names and its mode, this is the one that was opened, and what it was
 * opened for can be done.
 */
export interface OpenNode {
  attributes(): Promise<FileAttributes>
  /** Changes attributes; the size of a file that was opened to write can always be changed. */
  change(changes: AttributeChanges): Promise<void>
  /** Makes what was written stable; of a folder, its entries. */
  flush(): Promise<void>
  close(): void
}

/** A regular file, open. Buffers belong to it until the promise settles. */
export interface OpenFile extends OpenNode {
  /** Fills `into` from byte `offset` on; fewer bytes only at the end of the file. */
  read(offset: number, into: Uint8Array): Promise<number>
  /** Writes all of `from`. A gap reads as zeroes. */
  write(offset: number, from: Uint8Array): Promise<void>
}

/** A folder, open, that is listed without `.` and `..`. An entry that comes or goes meanwhile may be there or not. */
export interface FolderList extends OpenNode {
  /** The next entries, at most `count`; none at the end. */
  next(count: number): Promise<readonly FolderEntry[]>
  /** Begins anew. */
  rewind(): Promise<void>
}

/** What a device gets: the tree, and the way back from it. */
export interface FilesPort {
  /** Promises of the tree settle outside the machine's order: what they bring is used in `done` of {@link settle} only. */
  readonly tree: FileTree
  /** Whether the tree refuses changes, with `'EROFS'`. */
  readonly readOnly: boolean
  /** Hands what became of `work` to the device, through the gate. */
  settle<T>(work: Promise<T>, done: (outcome: FilesOutcome<T>) => void): void
}

/** How an operation ended. */
export type FilesOutcome<T> = { readonly value: T } | { readonly error: unknown }

/** An error by its POSIX name. */
export function posixError(code: string): Error & { readonly code: string } {
  return Object.assign(new Error(code), { code })
}

/** Whether an error has a POSIX name. */
export function isPosixError(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
