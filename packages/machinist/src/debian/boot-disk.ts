import { machinistError } from '@machinist/api'
import { findLinux, openExt4 } from '@machinist/boot'
import { openFile } from '@machinist/host-node'

/** What a machine needs to start the system of a disk. */
export interface DiskBoot {
  readonly kernel: Uint8Array
  readonly initrd: Uint8Array | null
  /** Words for the kernel's command line that name its root file system. */
  readonly root: string
  /** Where the kernel was found on the disk. */
  readonly kernelPath: string
}

/** Whether a file given in the place of a machine file is the image of a disk. */
export function isDiskImage(path: string): boolean {
  return /\.(?:img|raw|ext4)(?:,(?:rw|ro|overlay))?$/.test(path)
}

/**
 * Takes the kernel and its initial file system from a disk that is an ext4 file system.
 *
 * @param part - how errors call the disk
 * @throws typed errors `'file-…'`, `'ext4'`, `'linux-disk'`
 */
export async function bootDisk(path: string, part: string = path): Promise<DiskBoot> {
  const file = openFile(path, false, { name: part })
  try {
    const fs = await openExt4(async (offset, length) => {
      const bytes = new Uint8Array(Math.max(0, Math.min(length, file.size - offset)))
      return bytes.subarray(0, await file.read(offset, bytes))
    })
    if (fs === null) {
      throw machinistError(
        { code: 'linux-disk', part, value: path, remedy: 'Give its kernel with --kernel, and the disk with --disk' },
        'the disk is no ext4 file system without partitions, so its kernel cannot be found',
      )
    }
    const { kernel, initrd, kernelPath } = await findLinux(fs, part)
    return { kernel, initrd, kernelPath, root: `root=UUID=${fs.uuid} ro` }
  } finally {
    await file.close()
  }
}

/** How long systemd waits for a device, in seconds. Its own 90 may pass before udev has come to the console, where the host is busy. */
const DEVICE_TIMEOUT = 900

/**
 * The kernel's command line for the system of a disk at the terminal of this process. systemd is told the terminal's size: it would ask
 * the terminal, and wait for an answer where there is none.
 */
export function diskCommandLine(root: string, { append, quiet }: { readonly append?: string; readonly quiet: boolean }): string {
  const { isTTY, rows = 24, columns = 80 } = process.stdout
  const term = isTTY && /^[\w.+-]{1,40}$/.test(process.env['TERM'] ?? '') ? process.env['TERM'] ?? 'dumb' : 'dumb'
  return [
    root, 'console=ttyS0', `systemd.default_device_timeout_sec=${DEVICE_TIMEOUT}`, ...(quiet ? ['quiet'] : []), 'earlycon=sbi', `TERM=${term}`,
    ...['console', 'ttyS0'].flatMap((tty) => [`systemd.tty.term.${tty}=${term}`, `systemd.tty.rows.${tty}=${rows}`, `systemd.tty.columns.${tty}=${columns}`]),
    ...(append ? [append] : []),
  ].join(' ')
}
