import { machinistError } from '@machinist/api'
import type { Ext4 } from './ext4/file-system.ts'

/** What a Linux system on a disk is started with. */
export interface LinuxDisk {
  /** Where it was found, without symbolic links: `/boot/vmlinux-6.12`. */
  readonly kernelPath: string
  readonly kernel: Uint8Array
  readonly initrdPath: string | null
  readonly initrd: Uint8Array | null
}

/** Symbolic links that Debian and others keep on the kernel that is to be started. */
const KERNEL_LINKS = ['/vmlinuz', '/vmlinux', '/boot/vmlinuz', '/boot/vmlinux', '/boot/Image'] as const
const INITRD_LINKS = ['/initrd.img', '/boot/initrd.img', '/boot/initrd'] as const
const VERSIONED = /^(?:vmlinu[xz]|Image)-(.+)$/

/** Orders versions as a person would: numbers as numbers. */
function compareVersions(a: string, b: string): number {
  const parts = (text: string): string[] => text.match(/\d+|\D+/g) ?? []
  const [left, right] = [parts(a), parts(b)]
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const [one = '', other = ''] = [left[index], right[index]]
    const difference = /^\d/.test(one) && /^\d/.test(other) ? Number(one) - Number(other) : Number(one > other) - Number(one < other)
    if (difference !== 0) return difference
  }
  return 0
}

async function firstOf(fs: Ext4, paths: readonly string[]): Promise<{ readonly path: string; readonly bytes: Uint8Array } | null> {
  for (const candidate of paths) {
    const path = await fs.resolve(candidate)
    const bytes = path === null ? null : await fs.read(path)
    if (path !== null && bytes !== null) return { path, bytes }
  }
  return null
}

/**
 * Finds the kernel of the system on a disk, and its initial file system: where the links `/vmlinuz` and `/initrd.img` lead, in `/` or
 * `/boot`; without such links, the newest `/boot/vmlinuz-VERSION`, with `/boot/initrd.img-VERSION`.
 *
 * @param part - how errors call the disk
 * @throws a typed error `'linux-disk'` when there is no kernel, or what `fs` throws
 */
export async function findLinux(fs: Ext4, part: string): Promise<LinuxDisk> {
  const names = await fs.list('/boot') ?? []
  const newest = names.filter((name) => VERSIONED.test(name)).sort((a, b) => compareVersions(VERSIONED.exec(b)?.[1] ?? '', VERSIONED.exec(a)?.[1] ?? ''))
  const kernel = await firstOf(fs, [...KERNEL_LINKS, ...newest.map((name) => `/boot/${name}`)])
  if (kernel === null) {
    throw machinistError(
      { code: 'linux-disk', part, value: '/boot', remedy: 'Give a kernel of your own beside the disk' },
      'the disk holds no kernel that could be started',
    )
  }
  const version = VERSIONED.exec(kernel.path.slice(kernel.path.lastIndexOf('/') + 1))?.[1]
  const folder = kernel.path.slice(0, kernel.path.lastIndexOf('/'))
  const initrd = await firstOf(fs, [...(version === undefined ? [] : [`${folder}/initrd.img-${version}`, `${folder}/initramfs-${version}.img`]), ...INITRD_LINKS])
  return { kernelPath: kernel.path, kernel: kernel.bytes, initrdPath: initrd?.path ?? null, initrd: initrd?.bytes ?? null }
}
