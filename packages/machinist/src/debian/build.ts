import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { machinistError } from '@machinist/api'
import { openDiskImage } from '@machinist/host-node'
import { type DiskFormat, formatForNew, rawFormat } from '@machinist/storage'
import { convertDisk } from '../disk/create.ts'
import { configuredSources, step } from '../guest/apt.ts'
import { type GuestArchitecture, prepareGuest } from '../guest/index.ts'
import { undoneWhenInterrupted } from '../guest/interruption.ts'
import { ARCHITECTURE, suiteOf } from '../guest/packages.ts'
import type { Progress } from '../guest/progress.ts'
import { guestSources, ownFiles } from './files.ts'
import { runJob } from './machine.ts'
import { SETTLE } from './scripts.ts'
import { baseSystem } from './system.ts'
import { copyDisk, fileSystemTool } from './tools.ts'

/** What disk is to be made. */
export interface DebianDiskOptions {
  /** Where it goes, in the format that the name ends with, or else raw. What is there is replaced. */
  readonly output: string
  /** `'riscv64'` unless given. */
  readonly architecture?: GuestArchitecture | undefined
  /** Bytes; 4 GiB unless given. The file takes what is in it. */
  readonly size?: number | undefined
  /** Packages besides those of every such disk. */
  readonly packages?: readonly string[] | undefined
  /** `debian` unless given. */
  readonly hostname?: string | undefined
  /** Of root. Without it root logs in at the console without a password, and nowhere else. */
  readonly rootPassword?: string | undefined
  /** Public keys that may log in as root with ssh: lines of `authorized_keys`. */
  readonly sshKeys?: readonly string[] | undefined
  /** Installs everything anew instead of taking what is in the cache. */
  readonly fresh?: boolean | undefined
  /** Where downloads and the installed system are kept; as for `prepareGuest` unless given. */
  readonly cache?: string | undefined
  readonly progress?: Progress | undefined
}

/** A disk that was made. */
export interface DebianDisk {
  readonly path: string
  /** Versions of its packages, by name. */
  readonly packages: Readonly<Record<string, string>>
}

const DEFAULT_SIZE = 4 * 2 ** 30

/** Puts a finished raw image where it should be, in the format that is wanted there. `work` is a folder on the same file system. */
async function deliver(disk: string, output: string, format: DiskFormat, work: string, progress: Progress | undefined): Promise<void> {
  let made = disk
  if (format.name !== rawFormat.name) {
    // Under its own name, for formats that write this into the image.
    made = join(await mkdtemp(join(work, 'made-')), basename(output))
    const source = await openDiskImage(disk, { format: rawFormat.name })
    try {
      await convertDisk(source, disk, made, format, { force: false, progress: step(progress, `Writing it as ${format.name}`) })
    } finally {
      await source.close()
    }
  }
  await rename(made, output).catch((error: unknown) => {
    throw machinistError({ code: 'debian-output', part: '--output', value: output, remedy: 'Name a file in a folder that may be written' }, String(error))
  })
}

/**
 * Makes a disk with Debian 13 for riscv64 or amd64, or Debian 12 for i386, which has no later kernels: an ext4 file system without partitions, with a kernel in `/boot`, which `machinist DISK` boots
 * to a login. The packages come from the mirror of the machine's own apt configuration and are installed by their own scripts, in a guest of
 * our own machine; the host needs no privileges for it. What takes long is done once and kept in the cache.
 *
 * @throws typed errors `guest-*` (packages) and `debian-*` (the disk)
 */
export async function buildDebian(options: DebianDiskOptions): Promise<DebianDisk> {
  const { progress, cache, architecture = ARCHITECTURE } = options
  const format = formatForNew(options.output)
  const work = await mkdtemp(join(dirname(options.output), '.debian-')).catch((error: unknown) => {
    throw machinistError({ code: 'debian-output', part: '--output', value: options.output, remedy: 'Name a file in a folder that may be written' }, String(error))
  })
  return undoneWhenInterrupted(() => { rmSync(work, { recursive: true, force: true }) }, async () => {
    const guest = await prepareGuest({ architecture, cache, progress })
    const { archive, all } = await configuredSources()
    const sources = guestSources(archive, all, suiteOf(architecture))
    // What the guest's apt needs to trust such a mirror.
    const trust = /\bhttps:/.test(sources) ? ['ca-certificates'] : []
    const base = await baseSystem(guest, { architecture, packages: [...(options.packages ?? []), ...trust], fresh: options.fresh, cache, progress })
    progress?.('Making the disk')
    const disk = join(work, 'disk.img')
    await copyDisk(base.disk, disk)
    // What follows insists on a file system that was just checked.
    await fileSystemTool('e2fsck', ['-fp', disk])
    await fileSystemTool('tune2fs', ['-U', randomUUID(), disk])
    await fileSystemTool('resize2fs', [disk, `${Math.floor((options.size ?? DEFAULT_SIZE) / 1024)}K`])
    await runJob({
      guest, architecture, script: SETTLE,
      files: ownFiles({ hostname: options.hostname ?? 'debian', sources, sshKeys: options.sshKeys ?? [] }),
      ...(options.rootPassword !== undefined && { inputs: [['password', `root:${options.rootPassword}\n`, 0o600]] }),
      disks: [{ path: disk }],
    })
    await deliver(disk, options.output, format, work, progress)
    return { path: options.output, packages: base.packages }
  }).finally(() => rm(work, { recursive: true, force: true }))
}
