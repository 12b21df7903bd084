import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isBzImage, isLinuxImage } from '@machinist/boot'
import { guestError } from './apt.ts'
import { cachedFile, cachedFolder, exists, prune, used } from './cache.ts'
import { cacheFolder } from './cache-folder.ts'
import { buildInitramfs, initramfsRecipe } from './initramfs.ts'
import { undoneWhenInterrupted } from './interruption.ts'
import { checkModules, collectModules, kernelName } from './modules.ts'
import { ARCHITECTURE, type GuestArchitecture, openArchive, suiteOf, unpack } from './packages.ts'
import type { Progress } from './progress.ts'

/** What differs between architectures. */
interface Flavour {
  /** Depends on the current kernel of the release. */
  readonly metapackage: string
  /** What the kernel's file is called, before its release, whether one is of the kind that machines start, and what it is called here. */
  readonly prefix: string
  readonly known: (bytes: Uint8Array) => boolean
  readonly file: string
  /** Modules besides those of all. */
  readonly modules: readonly string[]
}

const FLAVOURS: Readonly<Record<GuestArchitecture, Flavour>> = {
  riscv64: { metapackage: 'linux-image-riscv64', prefix: 'vmlinux-', known: isLinuxImage, file: 'Image', modules: [] },
  // The power button is ACPI's.
  amd64: { metapackage: 'linux-image-amd64', prefix: 'vmlinuz-', known: isBzImage, file: 'vmlinuz', modules: ['button'] },
  i386: { metapackage: 'linux-image-686', prefix: 'vmlinuz-', known: isBzImage, file: 'vmlinuz', modules: ['virtio_pci', 'button'] },
}
/** The package that depends on the current kernel of a release. */
export const kernelMetapackage = (architecture: GuestArchitecture): string => FLAVOURS[architecture].metapackage
const BUSYBOX_PACKAGE = 'busybox-static'
/** What the guest carries of the kernel's modules, where they are not built in. */
const MODULES: readonly string[] = ['virtio_mmio', 'virtio_blk', 'virtio_console', 'virtio_rng', 'virtio_net', 'crc32c_generic', 'ext4', '9pnet_virtio', '9p', 'vmw_vsock_virtio_transport', 'virtio_input', 'evdev']
/** Names the layout of the cached folder. */
const LAYOUT = 7
/** What an earlier version of this program kept goes after so many days, and a file system that nobody asked for again after so many. */
const OLD_LAYOUT_DAYS = 1
const OLD_INITRD_DAYS = 30

/** How to prepare a guest. */
export interface PrepareGuestOptions {
  /** `'riscv64'` unless given; `'amd64'` and `'i386'` are for x86 machines. */
  readonly architecture?: GuestArchitecture | undefined
  /** Where to keep it; `$MACHINIST_CACHE`, else `machinist` in `$XDG_CACHE_HOME` or `~/.cache`, unless given. */
  readonly cache?: string | undefined
  /**
   * Further modules of Debian's kernel by name, with all that they depend on. Any will do, such as `virtio_balloon`: the kernel's package is kept
   * whole, so that nothing is fetched again.
   */
  readonly modules?: readonly string[] | undefined
  readonly progress?: Progress | undefined
}

/** A guest that is ready to boot. */
export interface PreparedGuest {
  /** Path of the kernel: a flat Image, or for x86 a bzImage. */
  readonly kernel: string
  /** Path of the initial root file system. */
  readonly initrd: string
  /** What `uname -r` says. */
  readonly release: string
  /** Versions of the packages it was made of. */
  readonly packages: Readonly<Record<string, string>>
}

/** Where the kernel's modules are in the cached folder. */
const MODULE_TREE = 'modules'

interface GuestFile {
  readonly release: string
  readonly packages: Readonly<Record<string, string>>
}

/** A name for a text. */
function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

async function fetchGuest(folder: string, architecture: GuestArchitecture, progress: Progress | undefined): Promise<void> {
  const { metapackage, prefix, known, file } = FLAVOURS[architecture]
  const work = join(folder, 'work')
  await mkdir(work)
  const apt = await openArchive(join(work, 'apt'), progress, architecture)
  const depends = (await apt.show(metapackage))?.get('Depends') ?? ''
  const kernelPackage = /\b(linux-image-[0-9][^\s,(]*)/.exec(depends)?.[1]
  if (kernelPackage === undefined) {
    throw guestError('guest-package', `Debian ${suiteOf(architecture)} offers no kernel for ${architecture}`, 'Check the mirror in /etc/apt/sources.list.d', metapackage)
  }
  const packages: Record<string, string> = {}
  let bytes = 0
  for (const name of [kernelPackage, BUSYBOX_PACKAGE]) {
    const fields = await apt.show(name)
    if (fields === undefined) {
      throw guestError('guest-package', `Debian ${suiteOf(architecture)} lacks a package for ${architecture}`, 'Check the mirror in /etc/apt/sources.list.d', name)
    }
    packages[name] = fields.get('Version') ?? ''
    bytes += Number(fields.get('Size') ?? 0)
  }
  const tree = join(work, 'tree')
  await unpack(apt, [kernelPackage, BUSYBOX_PACKAGE], work, tree, progress, `Downloading Debian's kernel and busybox (${Math.round(bytes / 1e6)} MB)`)

  const images = (await readdir(join(tree, 'boot')).catch(() => [])).filter((name) => name.startsWith(prefix))
  const image = images[0]
  if (image === undefined) throw guestError('guest-package', 'the kernel package holds no kernel', 'Try again later', kernelPackage)
  const release = image.slice(prefix.length)
  if (!known(await readFile(join(tree, 'boot', image)))) {
    throw guestError('guest-package', 'the kernel of the package is of another kind', 'Try again later', image)
  }
  await copyFile(join(tree, 'boot', image), join(folder, file))
  for (const place of ['usr/bin/busybox', 'bin/busybox']) {
    if (!(await exists(join(folder, 'busybox'))) && (await exists(join(tree, place)))) await copyFile(join(tree, place), join(folder, 'busybox'))
  }
  const moduleTree = (await exists(join(tree, 'usr/lib/modules', release))) ? join(tree, 'usr/lib/modules', release) : join(tree, 'lib/modules', release)
  // As they come, compressed: each initial file system takes its own out of them.
  await rename(moduleTree, join(folder, MODULE_TREE))
  const about: GuestFile = { release, packages }
  await writeFile(join(folder, 'guest.json'), `${JSON.stringify(about, null, 2)}\n`)
  await rm(work, { recursive: true })
}

/** The initial file system with some modules, from the cached folder or made anew. */
async function initrdWith(folder: string, release: string, own: readonly string[], further: readonly string[]): Promise<string> {
  const path = join(folder, `initrd-${hash(`${initramfsRecipe()}${[...own, ...further].join()}`)}.cpio`)
  await cachedFile(path, async () => {
    const tree = join(folder, MODULE_TREE)
    await checkModules(tree, further)
    const work = await mkdtemp(join(tmpdir(), 'machinist-modules-'))
    try {
      const modules = await undoneWhenInterrupted(() => { rmSync(work, { recursive: true, force: true }) }, () => collectModules(tree, work, [...own, ...further]))
      return await buildInitramfs({ kernelRelease: release, busybox: join(folder, 'busybox'), moduleFolder: work, modules })
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  })
  await used(path)
  return path
}

/** Removes what earlier versions of this program kept, and what was not used for long; tells of it. */
async function pruneCache(cache: string, folder: string, progress: Progress | undefined): Promise<void> {
  const guests = new RegExp(`^debian-(?:${Object.keys(FLAVOURS).map((each) => `${suiteOf(each as GuestArchitecture)}-${each}`).join('|')})-([0-9]+)(?:-[0-9a-f]{12})?$`)
  const pruned = [
    ...await prune(cache, (name) => Number(guests.exec(name)?.[1] ?? LAYOUT) < LAYOUT ? OLD_LAYOUT_DAYS : null),
    ...await prune(folder, (name) => name.startsWith('initrd-') ? OLD_INITRD_DAYS : null),
  ]
  if (pruned.length > 0) progress?.(`Removed from the cache what is not needed any more: ${pruned.map(({ name, size }) => `${name} (${Math.round(size / 1e6)} MB)`).join(', ')}`)
}

/**
 * Gets Debian's current kernel and a small user land for a guest, once: later calls find them in the cache and touch neither
 * network nor apt. The packages come from the mirror in the machine's own apt configuration; apt checks them against Debian's keys.
 *
 * Signals that end the process in the middle of it leave nothing half done.
 *
 * @throws typed `guest-*`: no apt on this system, no entry for Debian, no network, no room, no such module; each says what to do instead
 */
export async function prepareGuest(options: PrepareGuestOptions = {}): Promise<PreparedGuest> {
  const cache = options.cache ?? cacheFolder()
  const waiting = (): void => options.progress?.('Waiting for another machinist that is fetching Debian')
  try {
    const architecture = options.architecture ?? ARCHITECTURE
    const { file, modules } = FLAVOURS[architecture]
    const own = [...MODULES, ...modules]
    const asked = [...new Set(options.modules?.map(kernelName))].filter((name) => !own.includes(name)).sort()
    const folder = await cachedFolder(cache, `debian-${suiteOf(architecture)}-${architecture}-${LAYOUT}`, waiting, (temporary) => fetchGuest(temporary, architecture, options.progress))
    await used(folder)
    await pruneCache(cache, folder, options.progress)
    const about = JSON.parse(await readFile(join(folder, 'guest.json'), 'utf8')) as GuestFile
    return { kernel: join(folder, file), initrd: await initrdWith(folder, about.release, own, asked), release: about.release, packages: about.packages }
  } catch (error) {
    // Everything else that can go wrong here is the disk's doing.
    const system = error instanceof Error && 'code' in error && 'syscall' in error ? error : null
    if (system === null) throw error
    throw guestError('guest-cache', 'the cache cannot be used', 'Make room there or name another folder with MACHINIST_CACHE', system.message)
  }
}
