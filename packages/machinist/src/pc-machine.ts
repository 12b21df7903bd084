import { pc, type PcOptions } from '@machinist/boards'
import { encodeUtf8 } from '@machinist/boot'
import { readWhole } from '@machinist/host-node'
import type { MachineBlueprint } from '@machinist/machine'
import { I386_MODEL, type Settled } from './architecture.ts'
import { openChoice } from './disk-option.ts'
import { preparePcFirmware, terminalProgress } from './guest/index.ts'
import { virtioDisks } from './pci-disks.ts'
import { SCREEN } from './screen/backends.ts'

/** RAM of a PC, unless the user says otherwise, in bytes. */
const PC_MEMORY = 1 << 30

/** What SeaBIOS calls a drive, by its place among those of the IDE controller: as Open Firmware does. */
const idePath = (index: number): string => `/pci@i0cf8/ide@1,1/drive@${index >> 1}/disk@${index & 1}`

/** A PC with Debian's SeaBIOS, or with the firmware of the user. */
export async function pcMachine(options: Settled, connected: Pick<PcOptions, 'console' | 'nets' | 'devices'>): Promise<MachineBlueprint> {
  const { progress, done } = terminalProgress(process.stderr)
  const debian = await preparePcFirmware(options.quiet ? {} : { progress }).finally(done)
  const ide = options.disks.filter(({ bus }) => bus === 'ide')
  const disks = await Promise.all(virtioDisks(options.disks).map(openChoice))
  const drives = [
    ...await Promise.all(ide.map(async (disk) => ({ drive: 'disk' as const, medium: await openChoice(disk) }))),
    // Nothing writes on them.
    ...await Promise.all((options.cdroms ?? []).map(async (disc) => ({ drive: 'cdrom' as const, medium: await openChoice({ ...disc, mode: 'ro' }) }))),
  ]
  return pc({
    ...connected,
    disks,
    ide: drives,
    firmware: options.firmware === undefined ? readWhole(debian.bios, 'firmware') : readWhole(options.firmware, '--firmware'),
    files: [
      { name: 'vgaroms/vgabios.bin', bytes: readWhole(debian.vgaBios, 'firmware') },
      ...options.cdroms === undefined ? [] : [{ name: 'bootorder', bytes: encodeUtf8(`${idePath(ide.length)}\n`) }],
    ],
    screen: SCREEN.screen,
    input: { keyboard: SCREEN.keyboard, mouse: SCREEN.mouse },
    memory: options.memory ?? PC_MEMORY,
    ...(options.harts !== undefined && { harts: options.harts }),
    ...(options.arch === 'i386' && { model: I386_MODEL }),
  })
}
