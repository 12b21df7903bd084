import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMachinistError } from '@machinist/api'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { concatInitrds, cpio, readCpio } from './index.ts'

function code(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (isMachinistError(error)) return error.code
    throw error
  }
  return 'none'
}

function hasCpio(): boolean {
  try {
    execFileSync('cpio', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const sample = (): Uint8Array =>
  cpio()
    .file('/init', '#!/bin/sh\n', 0o755)
    .file('a/b/c', Uint8Array.from({ length: 1001 }, (_, i) => i & 255), 0o4600)
    .symlink('bin/sh', 'busybox')
    .directory('tmp', 0o1777)
    .device('dev/console', 'character', 5, 1, 0o620)
    .device('dev/sda', 'block', 8, 300)
    .toBytes()

// Without the program cpio the comparison with it is skipped.
it.skipIf(!hasCpio())('is read by cpio', () => {
  const listing = execFileSync('cpio', ['-itv', '--quiet'], { input: sample(), env: { ...process.env, TZ: 'UTC', LC_ALL: 'C' } }).toString().trim().split('\n')
  expect(listing.map((line) => line.replace(/\s+/g, ' ').replace(/ Jan 1 1970/, ''))).toEqual([
    '-rwxr-xr-x 1 root root 10 init',
    'drwxr-xr-x 2 root root 0 a',
    'drwxr-xr-x 2 root root 0 a/b',
    '-rwS------ 1 root root 1001 a/b/c',
    'drwxr-xr-x 2 root root 0 bin',
    'lrwxrwxrwx 1 root root 7 bin/sh -> busybox',
    'drwxrwxrwt 2 root root 0 tmp',
    'drwxr-xr-x 2 root root 0 dev',
    'crw--w---- 1 root root 5, 1 dev/console',
    'brw------- 1 root root 8, 300 dev/sda',
  ])
  const folder = mkdtempSync(join(tmpdir(), 'machinist-cpio-'))
  try {
    execFileSync('cpio', ['-id', '--quiet', '--no-preserve-owner', 'a/b/c', 'bin/sh', 'init'], { cwd: folder, input: sample() })
    expect(readFileSync(join(folder, 'a/b/c'))).toHaveLength(1001)
    expect(readlinkSync(join(folder, 'bin/sh'))).toBe('busybox')
    expect(statSync(join(folder, 'init')).mode & 0o777).toBe(0o755)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

it.skipIf(!hasCpio())('reads what cpio writes', () => {
  const theirs = execFileSync('cpio', ['-o', '-H', 'newc', '--quiet'], { input: 'package.json\nsrc\n', cwd: join(import.meta.dirname, '..') })
  const [file, folder] = readCpio(theirs)
  expect(file).toMatchObject({ path: 'package.json', kind: 'file' })
  expect(Buffer.from(file?.bytes ?? []).equals(readFileSync(join(import.meta.dirname, '../package.json')))).toBe(true)
  expect(folder).toMatchObject({ path: 'src', kind: 'directory' })
})

it('reads back what it writes, also several in a row', () => {
  const name = fc.stringMatching(/^[a-zß漢]{1,6}$/)
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(name, fc.uint8Array({ maxLength: 40 }), fc.nat(0o7777)), { selector: ([n]) => n, maxLength: 8 }), (files) => {
      const writer = cpio()
      for (const [path, bytes, mode] of files) writer.file(path, bytes, mode)
      const one = writer.toBytes()
      expect(writer.toBytes()).toEqual(one)
      const expected = files.map(([path, bytes, mode]) => ({ path, kind: 'file', mode, bytes, major: 0, minor: 0 }))
      expect(readCpio(concatInitrds([one, one])).map((entry) => ({ ...entry, bytes: entry.bytes.slice() }))).toEqual([...expected, ...expected])
    }),
  )
})

it('refuses bad input with typed errors', () => {
  expect(code(() => cpio().file('../x', ''))).toBe('cpio-path')
  expect(code(() => cpio().file('/', ''))).toBe('cpio-path')
  expect(code(() => cpio().file('x', '').file('/x', ''))).toBe('cpio-duplicate')
  expect(code(() => cpio().file('x', '').file('x/y', ''))).toBe('cpio-parent')
  expect(code(() => cpio().file('x', '', 0o10000))).toBe('cpio-value')
  expect(code(() => readCpio(new Uint8Array(0)))).toBe('cpio-truncated')
  const good = sample()
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length - 1), (at, byte, length) => {
      const bad = good.slice()
      bad[at] = byte
      expect(code(() => readCpio(bad))).toMatch(/^(none|cpio-.*)$/)
      expect(code(() => readCpio(good.subarray(0, length)))).toMatch(/^cpio-(truncated|malformed)$|^none$/)
    }),
    { numRuns: 1000 },
  )
})
