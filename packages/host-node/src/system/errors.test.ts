import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMachinistError } from '@machinist/api'
import { statusOfError } from '@machinist/storage'
import { afterAll, expect, it } from 'vitest'
import { fileError, openFile } from '../index.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-errors-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

const system = (code: string, errno: number = -1): Error => Object.assign(new Error(`${code}: something`), { code, errno })

it('everything that a file may fail with has a remedy of its own', () => {
  // Those that have to do with files, of all that Node.js knows here.
  const others = /^(E2BIG|ECHILD|ECHRNG|EDOM|ERANGE|EFAULT|ESRCH|ENOEXEC|ENOTTY|EPIPE|EPROTO.*|E?SOCK.*|EAFNOSUPPORT|EADDR.*|EALREADY|EDESTADDRREQ|EIDRM|EINPROGRESS|EISCONN|EMSGSIZE|EMULTIHOP|ENETDOWN|ENETRESET|ENODATA|ENOLINK|ENOMSG|ENOPROTOOPT|ENOSR|ENOSTR|ENOTEMPTY|ENOTSOCK|ENOTUNIQ|ETIME|EWOULDBLOCK)$/
  const missing = Object.keys(constants.errno).filter((code) => !others.test(code) && /the system reports/.test(String(fileError(system(code), 'disk', '/x'))))
  expect(missing).toEqual([])
  expect(fileError(system('EFBIG'), 'disk', '/x')).toMatchObject({ code: 'file-efbig', message: expect.stringContaining('longer than its file system') })
  // Node.js has no names for these.
  expect(fileError(system('Unknown system error -117', -117), 'disk', '/x')).toMatchObject({ code: 'file-euclean' })
  expect(fileError(system('Unknown system error -999', -999), 'disk', '/x')).toMatchObject({ code: 'file-e999' })
  expect(fileError(system('ERR_OUT_OF_RANGE'), 'disk', '/x')).not.toSatisfy(isMachinistError)
})

it('whatever an open file fails with is typed, and a disk knows what it means', async () => {
  const path = join(folder, 'file')
  closeSync(openSync(path, 'w'))
  const file = openFile(path, true)
  // No file system of Linux has a file of 8 EiB.
  const failures = await Promise.all([
    file.truncate?.(2 ** 52).catch((error: unknown) => error),
    (async () => file.write(2 ** 52, new Uint8Array(512)))().catch((error: unknown) => error),
    (async () => file.write(2 ** 52, new Uint8Array(1 << 20)))().catch((error: unknown) => error),
  ])
  for (const error of failures) {
    expect(error).toSatisfy(isMachinistError)
    expect(error).toMatchObject({ code: expect.stringMatching(/^file-e(fbig|inval)$/) })
  }
  expect(['ENOSPC', 'EFBIG', 'EDQUOT', 'EROFS', 'EIO'].map((code) => statusOfError(fileError(system(code), 'disk', '/x')))).toEqual(['no-space', 'no-space', 'no-space', 'read-only', 'io-error'])
  await file.close()
})
