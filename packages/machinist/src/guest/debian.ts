import { createHash } from 'node:crypto'
import { copyFile, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isLinuxImage } from '@machinist/boot'
import { guestError } from './apt.ts'
import { cacheFolder, cachedFile, cachedFolder, exists } from './cache.ts'
import { buildInitramfs, initramfsRecipe } from './initramfs.ts'
import { collectModules, withDependencies } from './modules.ts'
import type { KernelModule } from './modules.ts'
import { ARCHITECTURE, openArchive, SUITE, unpack } from './packages.ts'
import type { Progress } from './progress.ts'

/** Depends on the current kernel of the release. */
const KERNEL_METAPACKAGE = 'linux-image-riscv64'
const BUSYBOX_PACKAGE = 'busybox-static'
/** What the guest carries of the kernel's modules, where they are not built in. */
const MODULES = ['virtio_mmio', 'virtio_blk', 'virtio_console', 'virtio_rng', 'virtio_net', 'crc32c_generic', 'ext4', '9pnet_virtio', '9p', 'vmw_vsock_virtio_transport'] as const
/** What is at hand for those who ask: {@link PrepareGuestOptions.modules}. */
const MODULES_AT_HAND: readonly string[] = ['virtio_balloon', 'virtio_pmem', 'nd_pmem']
/** Names the layout of the cached folder. */
const LAYOUT = 6

/** How to prepare a guest. */
export interface PrepareGuestOptions {
  /** Where to keep it; {@link cacheFolder} unless given. */
  readonly cache?: string | undefined
  /**
   * Further modules of Debian's kernel by name, with all that they depend on. `virtio_balloon`, `virtio_pmem` and `nd_pmem` are at hand; a guest
   * with others, drivers of devices that Machinist does not have, is fetched and kept apart from that without.
   */
  readonly modules?: readonly string[] | undefined
  readonly progress?: Progress | undefined
}

/** A guest that is ready to boot. */
export interface PreparedGuest {
  /** Path of the kernel, a flat Image. */
  readonly kernel: string
  /** Path of the initial root file system. */
  readonly initrd: string
  /** What `uname -r` says. */
  readonly release: string
  /** Versions of the packages it was made of. */
  readonly packages: Readonly<Record<string, string>>
}

interface GuestFile {
  readonly release: string
  readonly packages: Readonly<Record<string, string>>
  readonly modules: readonly KernelModule[]
}

/** A name for a text. */
function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

async function fetchGuest(folder: string, further: readonly string[], progress: Progress | undefined): Promise<void> {
  const work = join(folder, 'work')
  await mkdir(work)
  const apt = await openArchive(join(work, 'apt'), progress)
  const depends = (await apt.show(KERNEL_METAPACKAGE))?.get('Depends') ?? ''
  const kernelPackage = /\b(linux-image-[0-9][^\s,(]*)/.exec(depends)?.[1]
  if (kernelPackage === undefined) {
    throw guestError('guest-package', `Debian ${SUITE} offers no kernel for ${ARCHITECTURE}`, 'Check the mirror in /etc/apt/sources.list.d', KERNEL_METAPACKAGE)
  }
  const packages: Record<string, string> = {}
  let bytes = 0
  for (const name of [kernelPackage, BUSYBOX_PACKAGE]) {
    const fields = await apt.show(name)
    if (fields === undefined) {
      throw guestError('guest-package', `Debian ${SUITE} lacks a package for ${ARCHITECTURE}`, 'Check the mirror in /etc/apt/sources.list.d', name)
    }
    packages[name] = fields.get('Version') ?? ''
    bytes += Number(fields.get('Size') ?? 0)
  }
  const tree = join(work, 'tree')
  await unpack(apt, [kernelPackage, BUSYBOX_PACKAGE], work, tree, progress, `Downloading Debian's kernel and busybox (${Math.round(bytes / 1e6)} MB)`)

  const images = (await readdir(join(tree, 'boot')).catch(() => [])).filter((name) => name.startsWith('vmlinux-'))
  const image = images[0]
  if (image === undefined) throw guestError('guest-package', 'the kernel package holds no kernel', 'Try again later', kernelPackage)
  const release = image.slice('vmlinux-'.length)
  if (!isLinuxImage(await readFile(join(tree, 'boot', image)))) {
    throw guestError('guest-package', 'the kernel of the package is not a flat Image', 'Try again later', image)
  }
  await copyFile(join(tree, 'boot', image), join(folder, 'Image'))
  for (const place of ['usr/bin/busybox', 'bin/busybox']) {
    if (!(await exists(join(folder, 'busybox'))) && (await exists(join(tree, place)))) await copyFile(join(tree, place), join(folder, 'busybox'))
  }
  progress?.('Preparing the kernel modules')
  const moduleTree = (await exists(join(tree, 'usr/lib/modules', release))) ? join(tree, 'usr/lib/modules', release) : join(tree, 'lib/modules', release)
  await mkdir(join(folder, 'modules'))
  const modules = await collectModules(moduleTree, join(folder, 'modules'), [...MODULES, ...MODULES_AT_HAND, ...further])
  const about: GuestFile = { release, packages, modules }
  await writeFile(join(folder, 'guest.json'), `${JSON.stringify(about, null, 2)}\n`)
  await rm(join(folder, 'modules', 'decompress.deb'), { force: true })
  await rm(work, { recursive: true })
}

/**
 * Gets Debian's current kernel and a small user land for a RISC-V guest, once: later calls find them in the cache and touch neither
 * network nor apt. The packages come from the mirror in the machine's own apt configuration; apt checks them against Debian's keys.
 *
 * @throws typed `guest-*`: no apt on this system, no entry for Debian, no network, no room; each says what to do instead
 */
export async function prepareGuest(options: PrepareGuestOptions = {}): Promise<PreparedGuest> {
  const cache = options.cache ?? cacheFolder()
  const waiting = (): void => options.progress?.('Waiting for another machinist that is fetching Debian')
  try {
    const asked = [...new Set(options.modules)].sort()
    const atHand = asked.filter((module) => MODULES_AT_HAND.includes(module))
    const further = asked.filter((module) => !MODULES_AT_HAND.includes(module))
    const name = [`debian-${SUITE}-${ARCHITECTURE}-${LAYOUT}`, ...further.length === 0 ? [] : [hash(further.join())]].join('-')
    const folder = await cachedFolder(cache, name, waiting, (temporary) => fetchGuest(temporary, further, options.progress))
    const about = JSON.parse(await readFile(join(folder, 'guest.json'), 'utf8')) as GuestFile
    const prefix = ['initrd', ...atHand].join('+')
    const initrd = await cachedFile(join(folder, `${prefix}-${hash(initramfsRecipe())}.cpio`), async () => {
      // Those of earlier versions of this program.
      for (const name of await readdir(folder)) if (name.startsWith(`${prefix}-`) && name.endsWith('.cpio')) await rm(join(folder, name), { force: true })
      const modules = withDependencies(about.modules, [...MODULES, ...asked])
      return buildInitramfs({ kernelRelease: about.release, busybox: join(folder, 'busybox'), moduleFolder: join(folder, 'modules'), modules })
    })
    return { kernel: join(folder, 'Image'), initrd, release: about.release, packages: about.packages }
  } catch (error) {
    // Everything else that can go wrong here is the disk's doing.
    const system = error instanceof Error && 'code' in error && 'syscall' in error ? error : null
    if (system === null) throw error
    throw guestError('guest-cache', 'the cache cannot be used', 'Make room there or name another folder with MACHINIST_CACHE', system.message)
  }
}
