import { createHash } from 'node:crypto'
import { rename, rm, writeFile, truncate, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { step } from '../guest/apt.ts'
import { cachedFolder } from '../guest/cache.ts'
import { cacheFolder } from '../guest/cache-folder.ts'
import type { PreparedGuest } from '../guest/index.ts'
import { ARCHITECTURE, openArchive, SUITE } from '../guest/packages.ts'
import type { Progress } from '../guest/progress.ts'
import { LABEL, SYSTEM_FILES } from './files.ts'
import { runJob } from './machine.ts'
import { packageDisk, PACKAGES, select } from './packages.ts'
import { INSTALL, SECOND } from './scripts.ts'
import { fileSystemTool } from './tools.ts'

/** Room while packages are installed; every disk made of it gets the size that it should have. */
const SIZE = 4 * 2 ** 30
/** Lines of dpkg that tell of work, of which each package has two. */
const WORK = /^(?:Unpacking|Setting up) /

/** A system that is installed, and nobody's yet. */
export interface BaseSystem {
  /** Path of its disk, which must not be written. */
  readonly disk: string
  /** Versions of its packages, by name. */
  readonly packages: Readonly<Record<string, string>>
}

/** Options of {@link baseSystem}. */
export interface BaseSystemOptions {
  /** Packages besides {@link PACKAGES}. */
  readonly packages: readonly string[]
  /** Installs it anew, with what the mirror has now. */
  readonly fresh?: boolean | undefined
  readonly cache?: string | undefined
  readonly progress?: Progress | undefined
}

async function install(guest: PreparedGuest, names: readonly string[], folder: string, progress: Progress | undefined): Promise<void> {
  const work = join(folder, 'packages.img')
  const apt = await openArchive(join(folder, 'apt'), progress)
  const selection = await select(apt, names)
  await packageDisk(apt, selection, folder, progress)
  const disk = join(folder, 'disk.img')
  await writeFile(disk, '')
  await truncate(disk, SIZE)
  // Tables that are zero already need not be written by the guest, in the background, for hours.
  await fileSystemTool('mke2fs', ['-q', '-F', '-t', 'ext4', '-L', LABEL, '-E', 'lazy_itable_init=0,lazy_journal_init=0', disk])
  let told = step(progress, 'Starting Machinist to install the packages')
  let done = 0
  await runJob({
    guest, script: INSTALL,
    files: SYSTEM_FILES,
    inputs: [['second', SECOND]],
    disks: [{ path: disk }, { path: work, readOnly: true }],
    onLine: (line) => {
      if (line.startsWith('@')) told = step(progress, line.slice(1))
      if (!WORK.test(line)) return
      if (++done === 1) told = step(progress, 'Installing the packages')
      told(Math.min(1, done / (2 * selection.all.length)))
    },
  })
  await rm(work)
  await rm(join(folder, 'apt'), { recursive: true })
  await writeFile(join(folder, 'packages.json'), `${JSON.stringify(selection.versions, null, 2)}\n`)
}

/**
 * Installs Debian with the given packages, once: in the cache it has a name made of everything that decides what it is, but for the
 * versions that the mirror had.
 *
 * @throws typed errors `guest-*` and `debian-*`
 */
export async function baseSystem(guest: PreparedGuest, options: BaseSystemOptions): Promise<BaseSystem> {
  const cache = options.cache ?? cacheFolder()
  const names = [...new Set([...PACKAGES, ...options.packages])].sort()
  const recipe = JSON.stringify([SUITE, ARCHITECTURE, names, SYSTEM_FILES, INSTALL, SECOND, SIZE])
  const name = `debian-disk-${createHash('sha256').update(recipe).digest('hex').slice(0, 12)}`
  if (options.fresh === true) {
    // Out of the way first: somebody may be reading it.
    const old = join(cache, `${name}.old-${process.pid}`)
    await rename(join(cache, name), old).catch(() => undefined)
    await rm(old, { recursive: true, force: true })
  }
  const waiting = (): void => options.progress?.('Waiting for another machinist that is installing Debian')
  const folder = await cachedFolder(cache, name, waiting, (temporary) => install(guest, names, temporary, options.progress))
  return {
    disk: join(folder, 'disk.img'),
    packages: JSON.parse(await readFile(join(folder, 'packages.json'), 'utf8')) as Readonly<Record<string, string>>,
  }
}
