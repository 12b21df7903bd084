import { rmSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { extractPackage, privateApt, step } from './apt.ts'
import type { PrivateApt } from './apt.ts'
import { undoneWhenInterrupted } from './interruption.ts'
import type { Progress } from './progress.ts'

/** What guests can be built for, by Debian's names. */
export type GuestArchitecture = 'riscv64' | 'amd64' | 'i386'

/** The release of the guest, and its architecture unless another is asked for. */
export const SUITE = 'trixie'
/** The last release with kernels for i386. */
const I386_SUITE = 'bookworm'
export const suiteOf = (architecture: GuestArchitecture): string => architecture === 'i386' ? I386_SUITE : SUITE
export const ARCHITECTURE: GuestArchitecture = 'riscv64'
/** Holds the links from `/bin`, `/lib` and `/sbin` to `/usr`, which must be there before a package writes to them. */
const LAYOUT_PACKAGE = 'base-files'

/** Sets up apt for the guest's release in `folder`, and reads the package lists. */
export async function openArchive(folder: string, progress: Progress | undefined, architecture: GuestArchitecture = ARCHITECTURE): Promise<PrivateApt> {
  const apt = await privateApt(folder, suiteOf(architecture), architecture)
  await apt.update(step(progress, `Reading the package lists of Debian ${suiteOf(architecture)} (${architecture})`))
  return apt
}

/** Downloads packages by way of the folder `work`, and extracts them into `tree`, in this order; `what` tells the user of the download. */
export async function unpack(apt: PrivateApt, names: readonly string[], work: string, tree: string, progress: Progress | undefined, what: string): Promise<void> {
  const debs = join(work, 'debs')
  await mkdir(debs)
  await mkdir(tree, { recursive: true })
  const files = await apt.download(names, debs, step(progress, what))
  progress?.('Extracting the packages')
  for (const file of files) {
    await extractPackage(file, tree)
    await rm(file)
  }
}

/** Options of {@link extractDebian}. */
export interface ExtractDebianOptions {
  readonly progress?: Progress | undefined
}

/**
 * Extracts packages of the guest's Debian, and all that they depend on, into `folder`: the files of a root file system, which
 * `mke2fs -d` can make a disk of. It is not an installed system: no package's own scripts have run. The packages come from the mirror
 * in the machine's own apt configuration; apt checks them against Debian's keys.
 *
 * @param folder - made if it is not there. What is downloaded goes beside it meanwhile
 * @returns the versions of all packages, by name
 * @throws typed `guest-*`: no apt on this system, no entry for Debian, no network, no such package, no room
 */
export async function extractDebian(names: readonly string[], folder: string, options: ExtractDebianOptions = {}): Promise<Readonly<Record<string, string>>> {
  await mkdir(folder, { recursive: true })
  const work = await mkdtemp(`${folder}.apt-`)
  const undo = (): void => { rmSync(work, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }) }
  return undoneWhenInterrupted(undo, async () => {
    const apt = await openArchive(work, options.progress)
    const packages = await apt.closure([LAYOUT_PACKAGE, ...names])
    const order = [LAYOUT_PACKAGE, ...packages.map(({ name }) => name).filter((name) => name !== LAYOUT_PACKAGE)]
    const bytes = packages.reduce((sum, { size }) => sum + size, 0)
    await unpack(apt, order, work, folder, options.progress, `Downloading ${packages.length} packages of Debian (${Math.round(bytes / 1e6)} MB)`)
    return Object.fromEntries(packages.map(({ name, version }) => [name, version]))
  }).finally(() => rm(work, { recursive: true, force: true }))
}
