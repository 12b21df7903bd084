import { machinistError, type MachinistError } from '@machinist/api'

/** What system errors mean to somebody who named a file, and what to do. */
const MEANING: Readonly<Record<string, readonly [problem: string, remedy: string]>> = {
  ENOENT: ['there is no such file', 'Check the path.'],
  ENOTDIR: ['a part of its path is not a directory', 'Check the path.'],
  EISDIR: ['it is a directory', 'Name a file.'],
  EACCES: ['permission is denied', 'Change its permissions, or run as a user who has access.'],
  EPERM: ['the operation is not permitted', 'Change its permissions, or run as a user who has access.'],
  EROFS: ['its file system is read-only', 'Use it with mode ro or overlay, or copy it elsewhere.'],
  ENOSPC: ['the file system is full', 'Make room.'],
  EDQUOT: ['the quota is used up', 'Make room.'],
  EMFILE: ['too many files are open', 'Raise the limit with ulimit -n.'],
  ENAMETOOLONG: ['its name is too long', 'Check the path.'],
  ELOOP: ['its path goes in circles', 'Check its symbolic links.'],
  ETXTBSY: ['it is a program that runs', 'Copy it elsewhere.'],
}

/** The POSIX name of a system error, if it is one: `'ENOENT'`. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/**
 * A typed error for a system error at a file: `code` is `'file-'` and the POSIX name in lower case, such as
 * `'file-enoent'`. Errors of any other sort come back as they are.
 *
 * @param part - what the user calls the file: `'--kernel'`
 */
export function fileError(error: unknown, part: string, path: string): MachinistError | Error {
  const code = systemCode(error)
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) return error instanceof Error ? error : new Error(String(error))
  const [problem, remedy] = MEANING[code] ?? [`the system reports ${code}`, 'Check the path and the file.']
  return machinistError({ code: `file-${code.toLowerCase()}`, part, value: path, remedy }, problem)
}
