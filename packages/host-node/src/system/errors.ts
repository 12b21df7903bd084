import { machinistError, type MachinistError } from '@machinist/api'

/** What system errors mean to somebody who named a file, and what to do: all that Linux, macOS and Windows give for a file, as Node.js names them. */
const MEANING: Readonly<Record<string, readonly [problem: string, remedy: string]>> = {
  ENOENT: ['there is no such file', 'Check the path.'],
  ENOTDIR: ['a part of its path is not a directory', 'Check the path.'],
  EISDIR: ['it is a directory', 'Name a file.'],
  EEXIST: ['the file exists', 'Choose another name.'],
  EACCES: ['permission is denied', 'Change its permissions, or run as a user who has access.'],
  EPERM: ['the operation is not permitted', 'Change its permissions, or run as a user who has access; look whether it is immutable (lsattr).'],
  EROFS: ['its file system is read-only', 'Use it with mode ro or overlay, or copy it elsewhere.'],
  ENOSPC: ['the file system is full', 'Make room.'],
  EDQUOT: ['the quota is used up', 'Make room.'],
  EFBIG: ['it would be longer than its file system, or a limit of this process, allows', 'Choose a smaller size, keep it on another file system (ext4 allows 16 TiB, XFS 8 EiB), or look at ulimit -f.'],
  EOVERFLOW: ['it is longer than this system can say', 'Use a system of 64 bits.'],
  EMFILE: ['too many files are open', 'Raise the limit with ulimit -n.'],
  ENFILE: ['too many files are open on this system', 'End programs, or raise the limit with sysctl fs.file-max.'],
  ENAMETOOLONG: ['its name is too long', 'Check the path.'],
  EILSEQ: ['its name has characters that its file system does not', 'Choose another name.'],
  ELOOP: ['its path goes in circles', 'Check its symbolic links.'],
  EXDEV: ['it is on another file system', 'Copy it there.'],
  EMLINK: ['it has too many links', 'Copy it.'],
  ETXTBSY: ['it is a program that runs', 'Copy it elsewhere.'],
  EBUSY: ['something else uses it', 'End what uses it; look with fuser or lsof.'],
  EAGAIN: ['something else has it locked', 'End what uses it; look with lslocks.'],
  EDEADLK: ['something else has it locked, and waits for us', 'End what uses it; look with lslocks.'],
  ENOLCK: ['its file system has no locks to give', 'Open it without a lock (lock=off), if nobody else uses it.'],
  EIO: ['the disk that it is on failed', "Look at the system's log (dmesg) and the health of that disk, and restore a copy."],
  EREMOTEIO: ['the disk that it is on failed, elsewhere', 'Look at the server that has it.'],
  EUCLEAN: ['the file system that it is on is damaged', 'Have that checked with fsck.'],
  EBADMSG: ['the file system that it is on found damage in it', 'Have that checked with fsck, and restore a copy.'],
  ENOTBLK: ['it is no disk', 'Name a regular file.'],
  ENXIO: ['it is a device or a pipe that nobody serves', 'Name a regular file.'],
  ENODEV: ['its device is gone', 'Attach the device again.'],
  ENOMEDIUM: ['its drive is empty', 'Insert the medium.'],
  ESPIPE: ['it has no places to read from', 'Name a regular file, not a pipe.'],
  EINVAL: ['its file system refuses that', 'Keep it on another file system.'],
  ENOTSUP: ['its file system cannot do that', 'Keep it on another file system.'],
  EOPNOTSUPP: ['its file system cannot do that', 'Keep it on another file system.'],
  ENOSYS: ['this system cannot do that', 'Use it on another system.'],
  ENOMEM: ['this system has no memory left', 'End programs, or add memory.'],
  ENOBUFS: ['this system has no memory left', 'End programs, or add memory.'],
  EINTR: ['it was interrupted', 'Try again.'],
  ECANCELED: ['it was interrupted', 'Try again.'],
  EBADF: ['it was closed, or not opened for this', 'Open it anew.'],
  ENOKEY: ['it is encrypted, and its key is not here', 'Unlock its folder.'],
  ESTALE: ['the server that has it has replaced it', 'Open it anew.'],
  ETIMEDOUT: ['the server that has it does not answer', 'Check the network and the server.'],
  EHOSTDOWN: ['the server that has it does not answer', 'Check the network and the server.'],
  EHOSTUNREACH: ['the server that has it cannot be reached', 'Check the network and the server.'],
  ENETUNREACH: ['the server that has it cannot be reached', 'Check the network and the server.'],
  ECONNREFUSED: ['the server that has it refuses', 'Check the server.'],
  ECONNRESET: ['the server that has it ended the connection', 'Check the server.'],
  ECONNABORTED: ['what serves its file system has ended', 'Mount it again.'],
  ENOTCONN: ['what serves its file system has ended', 'Mount it again.'],
}

/** Those that Node.js has no name for, by their numbers on Linux. */
const UNNAMED: Readonly<Record<number, string>> = { 117: 'EUCLEAN', 121: 'EREMOTEIO', 123: 'ENOMEDIUM', 126: 'ENOKEY', 74: 'EBADMSG', 35: 'EDEADLK', 37: 'ENOLCK', 15: 'ENOTBLK', 105: 'ENOBUFS' }

/** The POSIX name of a system error, if it is one: `'ENOENT'`. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

function posixName(error: unknown): string | undefined {
  const code = systemCode(error)
  if (code === undefined || /^E[A-Z0-9]+$/.test(code)) return code
  const number = error instanceof Error && 'errno' in error && typeof error.errno === 'number' ? -error.errno : 0
  return /^Unknown system error/.test(code) ? UNNAMED[number] ?? `E${number}` : undefined
}

/**
 * A typed error for a system error at a file: `code` is `'file-'` and the POSIX name in lower case, such as
 * `'file-enoent'`. Errors of any other sort come back as they are.
 *
 * @param part - what the user calls the file: `'--kernel'`
 */
export function fileError(error: unknown, part: string, path: string): MachinistError | Error {
  const code = posixName(error)
  if (code === undefined) return error instanceof Error ? error : new Error(String(error))
  const [problem, remedy] = MEANING[code] ?? [`the system reports ${code}`, 'Check the path and the file.']
  return machinistError({ code: `file-${code.toLowerCase()}`, part, value: path, remedy }, problem)
}
