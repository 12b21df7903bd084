import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cacheFolder, cachedFile, cachedFolder } from './cache.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'machinist-cache-'))
})
afterEach(() => rm(folder, { recursive: true }))

const quiet = (): void => undefined

describe('the cache', () => {
  it('is where the environment says', () => {
    expect(cacheFolder({ MACHINIST_CACHE: '/a', XDG_CACHE_HOME: '/b' })).toBe('/a')
    expect(cacheFolder({ XDG_CACHE_HOME: '/b' })).toBe('/b/machinist')
    expect(cacheFolder({})).toMatch(/\.cache\/machinist$/)
  })

  it('makes a folder once, however many want it at once', async () => {
    let made = 0
    let waited = 0
    const make = async (temporary: string): Promise<void> => {
      made++
      await new Promise((resolve) => setTimeout(resolve, 50))
      await writeFile(join(temporary, 'x'), 'content')
    }
    const all = await Promise.all([1, 2, 3].map(() => cachedFolder(folder, 'thing', () => waited++, make)))
    expect(new Set(all).size).toBe(1)
    expect(made).toBe(1)
    expect(waited).toBe(2)
    expect(await readFile(join(all[0] ?? '', 'x'), 'utf8')).toBe('content')
    expect(await readdir(folder)).toEqual(['thing'])
  })

  it('keeps nothing of what failed, and clears what was interrupted', async () => {
    await expect(cachedFolder(folder, 'thing', quiet, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await readdir(folder)).toEqual([])
    // A process that was killed leaves its lock and its half of the work.
    const { pid } = spawnSync('true')
    await writeFile(join(folder, 'thing.lock'), String(pid))
    await mkdir(join(folder, '.unfinished-thing-abc', 'deep'), { recursive: true })
    await cachedFolder(folder, 'thing', quiet, (temporary) => writeFile(join(temporary, 'x'), ''))
    expect(await readdir(folder)).toEqual(['thing'])
  })

  it('keeps a file', async () => {
    let made = 0
    const make = (): Promise<Uint8Array> => Promise.resolve(Uint8Array.of(++made))
    const path = join(folder, 'file')
    await cachedFile(path, make)
    await cachedFile(path, make)
    expect([...(await readFile(path))]).toEqual([1])
    expect(await readdir(folder)).toEqual(['file'])
  })
})
