import { extname } from 'node:path'
import { machinistError } from '@machinist/api'
import { findLinux } from '@machinist/boot'
import { type DiskImageOptions, openDiskImage } from '@machinist/host-node'
import { diskFormats, type DiskImage, openExt4, readerOf, readPartitions } from '@machinist/storage'
import { kernelArchitecture } from '../architecture.ts'
import { earlyConsole, type GuestArchitecture } from '../guest/index.ts'

/** What a machine needs to start the system of a disk. */
export interface DiskBoot {
  readonly kernel: Uint8Array
  readonly initrd: Uint8Array | null
  /** Words for the kernel's command line that name its root file system. */
  readonly root: string
  /** What the kernel is for; null when it does not tell. */
  readonly architecture: GuestArchitecture | null
  /** Where the kernel was found on the disk. */
  readonly kernelPath: string
}

/** What the files of disks end with: those of every format, and of a file system by itself. */
const EXTENSIONS: readonly string[] = [...diskFormats.flatMap(({ extensions }) => extensions), 'ext4']

/** Whether a file given in the place of a machine file is the image of a disk, by its name. */
export function isDiskImage(path: string): boolean {
  return EXTENSIONS.includes(extname(path).slice(1).toLowerCase())
}

/**
 * Takes the kernel and its initial file system from a disk that is an ext4 file system, or has one in a partition, in an image of any format.
 *
 * @param path - a file, or the URL of one
 * @param options - of the image; `name` is how errors call the disk, its path unless given
 * @throws typed errors `'file-…'`, `'image-…'`, `'disk-read'`, `'ext4'`, `'linux-disk'`
 */
export async function bootDisk(path: string, options: DiskImageOptions = {}): Promise<DiskBoot> {
  const image = await openDiskImage(path, options)
  try {
    return await bootImage(image, path, options.name)
  } finally {
    await image.close()
  }
}

/** The same for an image that is open, and stays so. */
export async function bootImage(image: DiskImage, path: string, part: string = path): Promise<DiskBoot> {
  const table = await readPartitions(readerOf(image, undefined, part), image.size)
  let failed: unknown = machinistError(
    { code: 'linux-disk', part, value: path, remedy: 'Give its kernel with --kernel, and the disk with --disk' },
    'the disk is no ext4 file system and has none in a partition, so its kernel cannot be found',
  )
  for (const partition of [undefined, ...table?.partitions ?? []]) {
    try {
      const fs = await openExt4(readerOf(image, partition, part))
      if (fs === null) continue
      const { kernel, initrd, kernelPath } = await findLinux(fs, part)
      return { kernel, initrd, kernelPath, architecture: kernelArchitecture(kernel), root: `root=UUID=${fs.uuid} ro` }
    } catch (error) {
      failed = error
    }
  }
  throw failed
}

/** How long systemd waits for a device, in seconds. Its own 90 may pass before udev has come to the console, where the host is busy. */
const DEVICE_TIMEOUT = 900

/**
 * The kernel's command line for the system of a disk at the terminal of this process. systemd is told the terminal's size: it would ask
 * the terminal, and wait for an answer where there is none.
 */
export function diskCommandLine(root: string, { append, quiet, console: tty = 'ttyS0', architecture }: { readonly architecture?: GuestArchitecture; readonly append?: string; readonly quiet: boolean; readonly console?: string }): string {
  const { isTTY, rows = 24, columns = 80 } = process.stdout
  const term = isTTY && /^[\w.+-]{1,40}$/.test(process.env['TERM'] ?? '') ? process.env['TERM'] ?? 'dumb' : 'dumb'
  return [
    root, `console=${tty}`, `systemd.default_device_timeout_sec=${DEVICE_TIMEOUT}`, ...(quiet ? ['quiet'] : []), earlyConsole(architecture), `TERM=${term}`,
    ...['console', tty].flatMap((name) => [
      // A virtio console knows its size, and hears when it changes.
      `systemd.tty.term.${name}=${term}`, ...(tty === 'hvc0' ? [] : [`systemd.tty.rows.${name}=${rows}`, `systemd.tty.columns.${name}=${columns}`]),
    ]),
    ...(append ? [append] : []),
  ].join(' ')
}
