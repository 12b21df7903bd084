import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** How often somebody else's lock is looked at. */
const LOCK_POLL_MS = 250
const TEMPORARY = '.unfinished-'

/** Where downloads are kept: `$MACHINIST_CACHE`, else `$XDG_CACHE_HOME/machinist`, else `~/.cache/machinist`. */
export function cacheFolder(env: Readonly<Record<string, string | undefined>> = process.env): string {
  if (env['MACHINIST_CACHE']) return env['MACHINIST_CACHE']
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'machinist')
}

/** Whether something is at `path`. */
export async function exists(path: string): Promise<boolean> {
  return stat(path).then(() => true, () => false)
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/**
 * Holds a lock file while `work` runs, waiting for another process that has it. A lock whose process is gone is taken over. It spares
 * a second download and no more: what keeps the cache whole is that everything arrives in it by a rename.
 */
async function locked<T>(path: string, waiting: () => void, work: () => Promise<T>): Promise<T> {
  for (let told = false; ; ) {
    try {
      const file = await open(path, 'wx')
      await file.writeFile(String(process.pid))
      await file.close()
      break
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    }
    const owner = Number(await readFile(path, 'utf8').catch(() => ''))
    const age = Date.now() - (await stat(path).then((info) => info.mtimeMs, () => 0))
    // Between creation and the number there is a moment with an empty file.
    if (owner > 0 ? !alive(owner) : age > 10 * LOCK_POLL_MS) {
      await rm(path, { force: true })
      continue
    }
    if (!told) waiting()
    told = true
    await sleep(LOCK_POLL_MS)
  }
  try {
    return await work()
  } finally {
    await rm(path, { force: true })
  }
}

/**
 * The folder `name` in `cache`, made by `make` if it is not there yet. `make` fills a temporary folder, which then takes its final
 * name: an interrupted run leaves nothing that looks finished, and two processes at once make it once.
 *
 * @param waiting - called when another process is at it
 */
export async function cachedFolder(cache: string, name: string, waiting: () => void, make: (temporary: string) => Promise<void>): Promise<string> {
  const final = join(cache, name)
  if (await exists(final)) return final
  await mkdir(cache, { recursive: true })
  return locked(join(cache, `${name}.lock`), waiting, async () => {
    if (await exists(final)) return final
    const prefix = `${TEMPORARY}${name}-`
    for (const left of await readdir(cache)) if (left.startsWith(prefix)) await rm(join(cache, left), { recursive: true, force: true })
    const temporary = join(cache, `${prefix}${randomUUID()}`)
    await mkdir(temporary)
    try {
      await make(temporary)
      await rename(temporary, final).catch(async (error: unknown) => {
        if (!(await exists(final))) throw error
      })
    } finally {
      await rm(temporary, { recursive: true, force: true })
    }
    return final
  })
}

/** The file at `path`, with what `make` gives if it is not there yet; never seen half written. */
export async function cachedFile(path: string, make: () => Promise<Uint8Array>): Promise<string> {
  if (await exists(path)) return path
  const temporary = `${path}${TEMPORARY}${randomUUID()}`
  try {
    await writeFile(temporary, await make())
    await rename(temporary, path)
  } finally {
    await rm(temporary, { force: true })
  }
  return path
}
