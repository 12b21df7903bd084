/**
 * 9P2000.L as Linux speaks it (Documentation/filesystems/9p.rst, and diod's protocol.md), over virtio device 9.
 * Numbers are little-endian, strings a 16-bit length and bytes.
 */

/** Feature bit: the configuration holds a mount tag. */
export const mountTagFeature: number = 0
/** Offsets of the configuration: length of the tag, then its bytes. */
export const p9Config = { tagLength: 0, tag: 2 } as const

/** Size, type and tag of every message. */
export const headerSize: number = 7
/** What a message holds besides the data of a read or write: at most this, to be taken off `msize`. */
export const readOverhead: number = 11
/** Least and most bytes of a message that we agree to. */
export const messageSize: { readonly least: number, readonly most: number } = { least: 4096, most: (512 << 10) + 4096 }

/** Requests; the answer's type is one more. */
export const messageType = {
  lerror: 6, statfs: 8, lopen: 12, lcreate: 14, symlink: 16, mknod: 18, rename: 20, readlink: 22, getattr: 24, setattr: 26,
  xattrwalk: 30, xattrcreate: 32, readdir: 40, fsync: 50, lock: 52, getlock: 54, link: 70, mkdir: 72, renameat: 74, unlinkat: 76,
  version: 100, auth: 102, attach: 104, flush: 108, walk: 110, read: 116, write: 118, clunk: 120, remove: 122,
} as const

/** Most names in one walk. */
export const maximumWalk: number = 16
/** The fid that is none. */
export const noFid = 0xffff_ffff

/** Types of a qid. */
export const qidType = { folder: 0x80, link: 0x02, file: 0x00 } as const

/** Flags of `open`: Linux's own, those of its generic architecture. */
export const openFlag = { accessMode: 3, writeOnly: 1, readWrite: 2, exclusive: 0o200, truncate: 0o1000, append: 0o2000, folder: 0o200000 } as const
/** Flag of `unlinkat`. */
export const removeFolder = 0x200
/** Fields of `getattr` that are always filled in: all but birth time, generation and data version. */
export const attributesValid = 0x7ff
/** What `setattr` is to change. */
export const changeBit = { mode: 1, user: 2, group: 4, size: 8, accessed: 0x10, modified: 0x20, accessedSet: 0x80, modifiedSet: 0x100 } as const
/** Type of a file in the mode of Linux. */
export const fileType = { fifo: 0o010000, character: 0o020000, folder: 0o040000, block: 0o060000, file: 0o100000, link: 0o120000, socket: 0o140000, mask: 0o170000 } as const
/** Type of a file in an entry of a folder (DT_…): that of its mode, shifted. */
export const entryTypeShift = 12
/** What `statfs` calls the file system (V9FS_MAGIC). */
export const fileSystemType = 0x0102_1997
/** Answers about locks: granted, and no lock in the way. */
export const lock = { success: 0, unlocked: 2 } as const

/** Error numbers of Linux, by their names. */
const errorNumbers: Readonly<Record<string, number>> = {
  EPERM: 1, ENOENT: 2, EINTR: 4, EIO: 5, ENXIO: 6, E2BIG: 7, EBADF: 9, EAGAIN: 11, ENOMEM: 12, EACCES: 13, EBUSY: 16, EEXIST: 17, EXDEV: 18,
  ENODEV: 19, ENOTDIR: 20, EISDIR: 21, EINVAL: 22, ENFILE: 23, EMFILE: 24, ETXTBSY: 26, EFBIG: 27, ENOSPC: 28, ESPIPE: 29, EROFS: 30, EMLINK: 31,
  ENAMETOOLONG: 36, ENOTEMPTY: 39, ELOOP: 40, EPROTO: 71, EOVERFLOW: 75, EMSGSIZE: 90, EOPNOTSUPP: 95, ENOTSUP: 95, ESTALE: 116, EDQUOT: 122,
}

/** The error number for what a tree of files rejected with. */
export function errorNumber(error: unknown): number {
  const code: unknown = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  const number = typeof code === 'string' && Object.hasOwn(errorNumbers, code) ? errorNumbers[code] : undefined
  return number ?? 5
}
