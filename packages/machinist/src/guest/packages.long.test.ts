/** Fetches packages. Needs the network and apt. */
import { lstatSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseElf } from '@machinist/boot'
import { afterAll, expect, it } from 'vitest'
import { extractDebian } from './packages.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-packages-'))
afterAll(() => rmSync(folder, { recursive: true }))

it('extracts a program with all that it needs', async () => {
  const tree = join(folder, 'tree')
  const packages = await extractDebian(['dash'], tree)
  expect(Object.keys(packages)).toEqual(expect.arrayContaining(['base-files', 'dash', 'libc6']))
  expect(lstatSync(join(tree, 'bin')).isSymbolicLink()).toBe(true)
  const interpreter = parseElf(readFileSync(join(tree, 'bin/dash')), 'dash').sections.find(({ name }) => name === '.interp')
  const loader = Buffer.from(interpreter?.bytes ?? []).toString().replace(/\0$/, '')
  expect(readFileSync(join(tree, loader)).subarray(1, 4).toString()).toBe('ELF')
  // Of apt's own files nothing is left.
  expect(readdirSync(folder)).toEqual(['tree'])
})

it('says which package there is not', async () => {
  const attempt = extractDebian(['no-such-package-as-this'], join(folder, 'none'))
  await expect(attempt).rejects.toThrow(/no-such-package-as-this/)
})
