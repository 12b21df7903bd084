import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { compiledScript } from './compiled-script.ts'

let folder = ''
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'machinist-script-')) })
afterEach(() => { rmSync(folder, { recursive: true }) })

/** Writes a script of always the same length that gives `answer`, one digit. */
function write(answer: number): string {
  const path = join(folder, 'script.cjs')
  writeFileSync(path, `(function () { function later() { return ${answer} } return later() })`)
  return path
}

/** What the script gives, and whether V8 took what was kept. */
function run(path: string, id: string, folders: readonly string[]): { answer: unknown; kept: boolean } {
  const script = compiledScript({ path, id, folders })
  return { answer: (script.runInThisContext() as () => unknown)(), kept: script.cachedDataRejected === false }
}

const codes = (of: string): string[] => readdirSync(of).filter((name) => name.includes('.code'))

test('a script is compiled once, and another one again', () => {
  const path = write(1)
  expect(run(path, 'one', [folder])).toEqual({ answer: 1, kept: false })
  expect(run(path, 'one', [folder])).toEqual({ answer: 1, kept: true })
  expect(codes(folder)).toEqual([`command-one-${process.version}-${process.arch}.code`])
  write(2)
  expect(run(path, 'two', [folder])).toEqual({ answer: 2, kept: false })
  expect(run(path, 'two', [folder])).toEqual({ answer: 2, kept: true })
  expect(codes(folder)).toEqual([`command-two-${process.version}-${process.arch}.code`])
})

test('what is kept is in the first folder that can be written, and nowhere when there is none', () => {
  const path = write(3)
  // A file is no folder, not even to root.
  const none = join(folder, 'script.cjs/none')
  const cache = join(folder, 'cache/command')
  expect(run(path, 'three', [none, cache])).toEqual({ answer: 3, kept: false })
  expect(codes(cache)).toHaveLength(1)
  expect(run(path, 'three', [none, cache])).toEqual({ answer: 3, kept: true })
  expect(run(path, 'three', [none])).toEqual({ answer: 3, kept: false })
})

test.each([
  ['damaged', (bytes: Buffer) => { bytes[bytes.length - 9]! ^= 0x10; return bytes }],
  ['cut off', (bytes: Buffer) => bytes.subarray(0, bytes.length >> 1)],
  ['empty', () => Buffer.alloc(0)],
  ['of a V8 that never was', (bytes: Buffer) => bytes.fill(0, 4, 8)],
])('code that is %s is made anew', (_, spoil) => {
  const path = write(4)
  run(path, 'four', [folder])
  const code = join(folder, codes(folder)[0]!)
  const whole = readFileSync(code)
  writeFileSync(code, spoil(Buffer.from(whole)))
  expect(run(path, 'four', [folder])).toEqual({ answer: 4, kept: false })
  expect(run(path, 'four', [folder])).toEqual({ answer: 4, kept: true })
})

test.runIf(process.geteuid !== undefined)('code that others can write is not believed', () => {
  const path = write(5)
  mkdirSync(join(folder, 'shared'))
  run(path, 'five', [join(folder, 'shared')])
  chmodSync(join(folder, 'shared', codes(join(folder, 'shared'))[0]!), 0o666)
  expect(run(path, 'five', [join(folder, 'shared')])).toEqual({ answer: 5, kept: false })
})
