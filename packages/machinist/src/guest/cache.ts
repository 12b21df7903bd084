import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdir, open, readFile, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { undoneWhenInterrupted } from './interruption.ts'

/** How often somebody else's lock is looked at. */
const LOCK_POLL_MS = 250
const TEMPORARY = '.unfinished-'
const LOCK = '.lock'
const DAY = 86_400_000

/** Removes something with all that is in it, even while a program that was just killed may still be writing there. */
function removeNow(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
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
    return await undoneWhenInterrupted(() => { removeNow(path) }, work)
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
  return locked(join(cache, `${name}${LOCK}`), waiting, async () => {
    if (await exists(final)) return final
    const prefix = `${TEMPORARY}${name}-`
    for (const left of await readdir(cache)) if (left.startsWith(prefix)) await rm(join(cache, left), { recursive: true, force: true })
    const temporary = join(cache, `${prefix}${randomUUID()}`)
    await mkdir(temporary)
    try {
      await undoneWhenInterrupted(() => { removeNow(temporary) }, () => make(temporary))
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
    await undoneWhenInterrupted(() => { removeNow(temporary) }, async () => {
      await writeFile(temporary, await make())
      await rename(temporary, path)
    })
  } finally {
    await rm(temporary, { force: true })
  }
  return path
}

/** Whether a lock is held by a process that lives. */
async function held(path: string): Promise<boolean> {
  const owner = await readFile(path, 'utf8').then(Number, () => null)
  return owner !== null && (owner === 0 || alive(owner))
}

async function sizeOf(path: string): Promise<number> {
  const info = await stat(path)
  if (!info.isDirectory()) return info.size
  const sizes = await Promise.all((await readdir(path)).map((name) => sizeOf(join(path, name)).catch(() => 0)))
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** Notes that something in the cache was used just now: its time of modification. */
export async function used(path: string): Promise<void> {
  const now = new Date()
  // A cache that cannot be written serves all the same.
  await utimes(path, now, now).catch(() => undefined)
}

/** Something that was removed. */
export interface Pruned {
  readonly name: string
  /** Bytes. */
  readonly size: number
}

/**
 * Removes from a folder of the cache what nobody needs any more, and what was left by processes that were killed.
 *
 * @param old - days for which something must not have been used to be removed, by its name; null keeps it
 * @returns what was removed
 */
export async function prune(folder: string, old: (name: string) => number | null): Promise<readonly Pruned[]> {
  const pruned: Pruned[] = []
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name)
    const [, of] = new RegExp(`^\\${TEMPORARY}(.+)-[0-9a-f-]{36}$`).exec(name) ?? []
    const days = of === undefined ? old(name) : 0
    if (days === null || (of !== undefined && await held(join(folder, `${of}${LOCK}`)))) continue
    const age = await stat(path).then(({ mtimeMs }) => Date.now() - mtimeMs, () => -1)
    if (age < days * DAY) continue
    const size = await sizeOf(path).catch(() => 0)
    await rm(path, { recursive: true, force: true })
    pruned.push({ name, size })
  }
  return pruned
}
