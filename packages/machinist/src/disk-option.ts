import type { Backend, BlockPort } from '@machinist/api'
import { Datastore, type DiskMode, type FileLock, type ImageFiles, openDisk, type SessionDisk } from '@machinist/host-node'
import { parseNumber } from '@machinist/machine'
import { type DiskLimits, limited } from '@machinist/storage'
import { usageError } from './usage.ts'

/** What a disk is on. */
export type DiskBus = 'ide' | 'nvme' | 'virtio'

/** A disk of `machinist run`, or its persistent memory. */
export interface DiskChoice {
  readonly path: string
  readonly mode: DiskMode
  readonly format?: string
  readonly files?: ImageFiles
  readonly snapshot?: string
  readonly lock?: FileLock
  readonly limits?: DiskLimits
  /** How the machine has it, if not as one of virtio. */
  readonly bus?: DiskBus
  /** The disk of a datastore, which is what the path names; and what becomes of writes that have no room there. */
  readonly datastoreDisk?: string
  readonly whenFull?: 'error' | 'wait'
  /** The disk, where it is open already: as it is kept in a tree of snapshots. */
  readonly opened?: SessionDisk
}

/** What limits are called behind a path. */
const LIMITS: Readonly<Record<string, Exclude<keyof DiskLimits, 'queue'>>> = {
  bps: 'bytesPerSecond', iops: 'operationsPerSecond', 'bps-burst': 'burstBytes', 'iops-burst': 'burstOperations',
}

const OPTION = new RegExp(`^(.*),(?:(rw|ro|overlay)|format=([a-z0-9]+)|files=(any|inside|none)|snapshot=([^,]+)|lock=(auto|on|off)|disk=([^,]+)|full=(error|wait)|bus=(virtio|ide|nvme)|(${Object.keys(LIMITS).join('|')})=([^,]*))$`)

/**
 * Understands `PATH`, and behind commas `ro` or `overlay`, `format=F`, `files=W`, `snapshot=S`, `lock=L`, limits (`bps=N`, `iops=N`, `bps-burst=N`,
 * `iops-burst=N`), and of a datastore `disk=NAME` and `full=W`. What stands before these belongs to the path. Two commas stand for one that is none of these: `a,,ro` is the path `a,ro`.
 *
 * @param flag - named in errors
 * @throws a typed error, `'usage'`
 */
export function parseDisk(value: string, flag = '--disk'): DiskChoice {
  let path = hideCommas(value)
  const found: { mode?: DiskMode; format?: string; files?: ImageFiles; snapshot?: string; lock?: FileLock; datastoreDisk?: string; whenFull?: 'error' | 'wait'; bus?: DiskBus } = {}
  const limits: { -readonly [Name in keyof DiskLimits]: DiskLimits[Name] } = {}
  for (let match = OPTION.exec(path); match !== null; match = OPTION.exec(path)) {
    const [, before = '', mode, format, files, snapshot, lock, disk, full, bus, limit, amount] = match
    path = before
    if (mode !== undefined) found.mode ??= mode as DiskMode
    if (format !== undefined) found.format ??= format
    if (files !== undefined) found.files ??= files as ImageFiles
    if (snapshot !== undefined) found.snapshot ??= showCommas(snapshot)
    if (lock !== undefined) found.lock ??= lock as FileLock
    if (disk !== undefined) found.datastoreDisk ??= showCommas(disk)
    if (full !== undefined) found.whenFull ??= full as 'error' | 'wait'
    if (bus !== undefined) found.bus ??= bus as DiskBus
    const name = LIMITS[limit ?? '']
    if (name !== undefined) limits[name] ??= parseLimit(`${limit ?? ''}=${amount ?? ''}`, amount ?? '', flag)
  }
  if (flag === '--cdrom' && ((found.mode ?? 'ro') !== 'ro' || found.bus !== undefined)) throw usageError(flag, 'a compact disc is read alone, and in a drive on IDE', 'Leave it out.', found.bus ?? found.mode)
  if (path === '') throw usageError(flag, 'no path is given', `Use ${flag} PATH, PATH,ro or PATH,overlay.`, value)
  const foreign = (['format', 'files', 'snapshot', 'lock'] as const).find((name) => found[name] !== undefined)
  if (found.datastoreDisk !== undefined && foreign !== undefined) throw usageError(flag, 'is not for a disk of a datastore', 'Leave it out.', `${foreign}=`)
  if (found.datastoreDisk !== undefined && flag === '--pmem') throw usageError(flag, 'a disk of a datastore cannot be persistent memory', 'Use --disk.', value)
  if (found.datastoreDisk === undefined && found.whenFull !== undefined) throw usageError(flag, 'is for a disk of a datastore', `Use ${flag} FOLDER,disk=NAME,full=${found.whenFull}.`, `full=${found.whenFull}`)
  for (const [burst, rate, use] of [['burstBytes', 'bytesPerSecond', 'bps'], ['burstOperations', 'operationsPerSecond', 'iops']] as const) {
    if (limits[burst] !== undefined && limits[rate] === undefined) throw usageError(flag, 'a burst of what has no limit', `Give ${use}= too.`, `${use}-burst=`)
  }
  return { path: showCommas(path), mode: found.snapshot === undefined ? 'rw' : 'ro', ...found, ...(Object.keys(limits).length > 0 && { limits }) }
}

/** What cannot be in a path, for commas that are doubled. */
const HIDDEN = '\0'

/** Hides the commas that are doubled, as QEMU has them, while those that separate are looked for. */
export function hideCommas(text: string): string {
  return text.replaceAll(',,', HIDDEN)
}

/** Puts the commas that were hidden, each for two. */
export function showCommas(text: string): string {
  return text.replaceAll(HIDDEN, ',')
}

function parseLimit(option: string, amount: string, flag: string): number {
  let value = 0
  try {
    value = parseNumber(amount, flag)
  } catch {
    // Said below.
  }
  if (value < 1) throw usageError(flag, 'not a limit', 'Use a number from 1 on, such as bps=20M or iops=500.', option)
  return value
}

/** Opens a disk of the command line. @throws typed errors, as `openDisk` */
export async function openChoice({ path, limits, opened, datastoreDisk, whenFull = 'error', bus: _, ...options }: DiskChoice): Promise<Backend<BlockPort>> {
  const disk = opened?.disk ?? (datastoreDisk === undefined
    ? await openDisk(path, { ...options, name: '--disk' })
    : await Datastore.open(path).openDisk(datastoreDisk, { mode: options.mode, whenFull, name: '--disk' }))
  return limits === undefined ? disk : limited(disk, limits)
}
