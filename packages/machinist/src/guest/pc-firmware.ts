import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { guestError } from './apt.ts'
import { cachedFolder, exists, used } from './cache.ts'
import { cacheFolder } from './cache-folder.ts'
import { openArchive, suiteOf, unpack } from './packages.ts'
import type { Progress } from './progress.ts'

const PACKAGE = 'seabios'
const FILES = { bios: 'bios-256k.bin', vgaBios: 'vgabios-stdvga.bin' } as const
/** Names the layout of the cached folder. */
const LAYOUT = 1

/** Firmware of a PC, as files. */
export interface PcFirmware {
  /** Path of SeaBIOS. */
  readonly bios: string
  /** Path of its VGA BIOS. */
  readonly vgaBios: string
  /** Version of Debian's package. */
  readonly version: string
}

/** Gets Debian's SeaBIOS once, as {@link prepareGuest} gets a kernel. @throws typed `guest-*` */
export async function preparePcFirmware(options: { readonly cache?: string | undefined; readonly progress?: Progress | undefined } = {}): Promise<PcFirmware> {
  const waiting = (): void => options.progress?.('Waiting for another machinist that is fetching Debian')
  const folder = await cachedFolder(options.cache ?? cacheFolder(), `debian-${suiteOf('amd64')}-${PACKAGE}-${LAYOUT}`, waiting, async (temporary) => {
    const work = join(temporary, 'work')
    await mkdir(work)
    const apt = await openArchive(join(work, 'apt'), options.progress, 'amd64')
    const fields = await apt.show(PACKAGE)
    if (fields === undefined) throw guestError('guest-package', `Debian ${suiteOf('amd64')} lacks a package`, 'Check the mirror in /etc/apt/sources.list.d', PACKAGE)
    const tree = join(work, 'tree')
    await unpack(apt, [PACKAGE], work, tree, options.progress, "Downloading Debian's SeaBIOS")
    for (const name of Object.values(FILES)) {
      const file = join(tree, 'usr/share/seabios', name)
      if (!(await exists(file))) throw guestError('guest-package', 'the package of SeaBIOS lacks a file', 'Try again later', name)
      await copyFile(file, join(temporary, name))
    }
    await writeFile(join(temporary, 'version'), fields.get('Version') ?? '')
    await rm(work, { recursive: true })
  })
  await used(folder)
  return { bios: join(folder, FILES.bios), vgaBios: join(folder, FILES.vgaBios), version: await readFile(join(folder, 'version'), 'utf8') }
}
