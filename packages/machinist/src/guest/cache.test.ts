import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { cachedFile, cachedFolder, prune, used } from './cache.ts'
import { cacheFolder } from './cache-folder.ts'

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
      await vi.waitUntil(() => waited === 2, 60_000)
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

  it('is rid of what is old, and of what was left half made', async () => {
    const make = async (name: string, days: number): Promise<void> => {
      await mkdir(join(folder, name))
      await writeFile(join(folder, name, 'x'), '12345')
      const time = new Date(Date.now() - days * 86_400_000)
      await utimes(join(folder, name), time, time)
    }
    const uuid = '01234567-89ab-cdef-0123-456789abcdef'
    const { pid } = spawnSync('true')
    for (const [name, days] of [['old-1', 9], ['old-2', 1], ['kept', 100], [`.unfinished-a-${uuid}`, 0], [`.unfinished-b-${uuid}`, 0], [`.unfinished-c-${uuid}`, 0]] as const) await make(name, days)
    await writeFile(join(folder, 'b.lock'), String(process.pid))
    await writeFile(join(folder, 'c.lock'), String(pid))
    const pruned = await prune(folder, (name) => name.startsWith('old') ? 2 : null)
    expect(pruned.map(({ name, size }) => [name, size]).sort()).toEqual([[`.unfinished-a-${uuid}`, 5], [`.unfinished-c-${uuid}`, 5], ['old-1', 5]])
    expect((await readdir(folder)).sort()).toEqual([`.unfinished-b-${uuid}`, 'b.lock', 'c.lock', 'kept', 'old-2'])
    await used(join(folder, 'kept'))
    expect(await prune(folder, () => 50)).toEqual([])
  })

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP', 'exit'] as const)('holds nothing of what %s interrupted, nor do its programs go on', async (end) => {
    const bundle = join(folder, 'bundle.mjs')
    const program = `
      import { cachedFolder } from './cache.ts'
      import { runProgram } from './process.ts'
      await cachedFolder(process.argv[2], 'thing', () => {}, async (temporary) => {
        const work = runProgram('sh', ['-c', 'echo $$ > pid; exec sleep 60'], { cwd: temporary })
        console.log('started')
        ${end === 'exit' ? "process.stdin.once('data', () => process.exit(3))" : ''}
        await work
      })`
    await build({ stdin: { contents: program, resolveDir: import.meta.dirname, loader: 'ts' }, bundle: true, platform: 'node', format: 'esm', outfile: bundle })
    const cache = join(folder, 'cache')
    const child = spawn(process.execPath, [bundle, cache], { stdio: ['pipe', 'pipe', 'inherit'] })
    const ended = once(child, 'exit')
    await once(child.stdout, 'data')
    const pidFile = async (): Promise<string> => {
      for (;;) {
        const [name = ''] = (await readdir(cache)).filter((each) => each.startsWith('.unfinished-'))
        const text = await readFile(join(cache, name, 'pid'), 'utf8').catch(() => '')
        if (text.endsWith('\n')) return text
      }
    }
    const pid = Number(await pidFile())
    if (end === 'exit') child.stdin.end('now')
    else child.kill(end)
    expect(await ended).toEqual(end === 'exit' ? [3, null] : [null, end])
    expect(await readdir(cache)).toEqual([])
    // Killed, and then taken over by who looks after orphans.
    await vi.waitFor(() => { expect(() => process.kill(pid, 0)).toThrow() }, 60_000)
  })
})
