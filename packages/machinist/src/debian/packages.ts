import { mkdir, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { programError } from '../guest/apt.ts'
import type { PrivateApt } from '../guest/apt.ts'
import { debPackage } from '../guest/deb.ts'
import { runProgram } from '../guest/process.ts'
import { step } from '../guest/apt.ts'
import type { Progress } from '../guest/progress.ts'
import { kernelMetapackage } from '../guest/debian.ts'
import { type GuestArchitecture, SUITE, suiteOf } from '../guest/packages.ts'
import { fileSystemTool } from './tools.ts'

/** apt's pattern for what every Debian system has. */
const ESSENTIAL = '?essential'

/**
 * What is installed besides a kernel: initial file system, systemd with the network and names it looks after, a shell from elsewhere, and what a person at
 * the console misses first. What these merely recommend is left out.
 */
const PACKAGES: readonly string[] = [
  'initramfs-tools', 'zstd', 'kmod', 'e2fsprogs', 'systemd-sysv', 'systemd-resolved', 'udev', 'dbus', 'apt', 'netbase',
  'iproute2', 'iputils-ping', 'openssh-server', 'login', 'procps', 'less', 'nano',
]

/** Before trixie, who asks for merged folders gets a program that merges them, and Perl for it, unless they are said to be. */
const MERGED = 'usr-is-merged'

/** The packages of every system of an architecture, besides the essential ones. */
export const packagesOf = (architecture: GuestArchitecture): readonly string[] =>
  [kernelMetapackage(architecture), ...PACKAGES, ...(suiteOf(architecture) === SUITE ? [] : [MERGED])]

/** The packages of a system. */
export interface Selection {
  /** Those that must be there before dpkg can run in the system. */
  readonly essential: readonly string[]
  /** All, with the essential ones, in apt's order. */
  readonly all: readonly string[]
  /** Bytes to download. */
  readonly bytes: number
  /** Versions by name. */
  readonly versions: Readonly<Record<string, string>>
}

/** Lets apt find all that a system of `names` needs. */
export async function select(apt: PrivateApt, names: readonly string[]): Promise<Selection> {
  const essential = (await apt.closure([ESSENTIAL, ...names.filter((name) => name === MERGED)])).map(({ name }) => name)
  const packages = await apt.closure([ESSENTIAL, ...names])
  return {
    essential,
    all: packages.map(({ name }) => name),
    bytes: packages.reduce((sum, { size }) => sum + size, 0),
    versions: Object.fromEntries(packages.map(({ name, version }) => [name, version])),
  }
}

/**
 * Rewrites a package without compression, its two archives byte for byte: the host decompresses many times as fast as the guest.
 *
 * @returns the size of the result
 */
async function store(deb: string, to: string): Promise<number> {
  const parts: Buffer[] = []
  for (const option of ['--ctrl-tarfile', '--fsys-tarfile']) {
    const result = await runProgram('dpkg-deb', [option, deb])
    if (result.status !== 0) throw programError('guest-extract', `the package ${basename(deb)} could not be read`, 'Empty the cache and try again', result.stderr, result.status)
    parts.push(result.stdout)
  }
  const [control = Buffer.alloc(0), data = Buffer.alloc(0)] = parts
  await writeFile(to, debPackage(control, 'data.tar', data))
  return (await stat(to)).size
}

/**
 * Downloads the packages, and makes a disk of them: `debs/NAME.deb`, and the lists `essential` and `all`.
 *
 * @param work - a folder; nothing but the disk is left in it
 * @returns the path of the disk
 */
export async function packageDisk(apt: PrivateApt, selection: Selection, work: string, progress: Progress | undefined): Promise<string> {
  const [downloads, tree, disk] = [join(work, 'downloads'), join(work, 'packages'), join(work, 'packages.img')]
  await mkdir(downloads)
  await mkdir(join(tree, 'debs'), { recursive: true })
  const told = step(progress, `Downloading ${selection.all.length} packages of Debian (${Math.round(selection.bytes / 1e6)} MB)`)
  const files = await apt.download(selection.all, downloads, told)
  const unpacking = step(progress, 'Decompressing the packages')
  let bytes = 0
  for (const [index, file] of files.entries()) {
    bytes += await store(file, join(tree, 'debs', `${selection.all[index] ?? ''}.deb`))
    await rm(file)
    unpacking((index + 1) / files.length)
  }
  await writeFile(join(tree, 'essential'), `${selection.essential.join('\n')}\n`)
  await writeFile(join(tree, 'all'), `${selection.all.join('\n')}\n`)
  await writeFile(disk, '')
  // A twentieth for the file system's own tables.
  await truncate(disk, Math.ceil((bytes * 1.05) / 2 ** 20 + 16) * 2 ** 20)
  await fileSystemTool('mke2fs', ['-q', '-F', '-t', 'ext4', '-O', '^has_journal', '-m', '0', '-d', tree, disk])
  await rm(downloads, { recursive: true })
  await rm(tree, { recursive: true })
  return disk
}
