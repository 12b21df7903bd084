import { createHash } from 'node:crypto'
import { rename, rm, writeFile, truncate, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { step } from '../guest/apt.ts'
import { cachedFolder } from '../guest/cache.ts'
import { cacheFolder } from '../guest/cache-folder.ts'
import type { PreparedGuest } from '../guest/index.ts'
import { type GuestArchitecture, openArchive, SUITE, suiteOf } from '../guest/packages.ts'
import type { Progress } from '../guest/progress.ts'
import { LABEL, systemFiles } from './files.ts'
import { runJob } from './machine.ts'
import { packageDisk, packagesOf, select } from './packages.ts'
import { installScript, SECOND } from './scripts.ts'
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
  readonly architecture: GuestArchitecture
  /** Packages besides those of every system. */
  readonly packages: readonly string[]
  /** Installs it anew, with what the mirror has now. */
  readonly fresh?: boolean | undefined
  readonly cache?: string | undefined
  readonly progress?: Progress | undefined
}

/** What is done in the guest. */
const installOf = (architecture: GuestArchitecture): string => installScript(suiteOf(architecture) !== SUITE)

async function install(guest: PreparedGuest, architecture: GuestArchitecture, names: readonly string[], folder: string, progress: Progress | undefined): Promise<void> {
  const work = join(folder, 'packages.img')
  const apt = await openArchive(join(folder, 'apt'), progress, architecture)
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
    guest, architecture, script: installOf(architecture),
    files: systemFiles(architecture),
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
 * @param guest - of the same architecture
 * @throws typed errors `guest-*` and `debian-*`
 */
export async function baseSystem(guest: PreparedGuest, options: BaseSystemOptions): Promise<BaseSystem> {
  const cache = options.cache ?? cacheFolder()
  const { architecture } = options
  const names = [...new Set([...packagesOf(architecture), ...options.packages])].sort()
  const recipe = JSON.stringify([suiteOf(architecture), architecture, names, systemFiles(architecture), installOf(architecture), SECOND, SIZE])
  const name = `debian-disk-${createHash('sha256').update(recipe).digest('hex').slice(0, 12)}`
  if (options.fresh === true) {
    // Out of the way first: somebody may be reading it.
    const old = join(cache, `${name}.old-${process.pid}`)
    await rename(join(cache, name), old).catch(() => undefined)
    await rm(old, { recursive: true, force: true })
  }
  const waiting = (): void => options.progress?.('Waiting for another machinist that is installing Debian')
  const folder = await cachedFolder(cache, name, waiting, (temporary) => install(guest, architecture, names, temporary, options.progress))
  return {
    disk: join(folder, 'disk.img'),
    packages: JSON.parse(await readFile(join(folder, 'packages.json'), 'utf8')) as Readonly<Record<string, string>>,
  }
}
