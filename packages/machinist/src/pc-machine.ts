import { pc, type PcOptions } from '@machinist/boards'
import { readWhole } from '@machinist/host-node'
import type { MachineBlueprint } from '@machinist/machine'
import { I386_MODEL, type Settled } from './architecture.ts'
import { preparePcFirmware, terminalProgress } from './guest/index.ts'
import { SCREEN } from './screen/backends.ts'

/** RAM of a PC, unless the user says otherwise, in bytes. */
const PC_MEMORY = 1 << 30

/** A PC with Debian's SeaBIOS, or with the firmware of the user. */
export async function pcMachine(options: Settled, connected: Pick<PcOptions, 'console' | 'nets' | 'disks' | 'devices'>): Promise<MachineBlueprint> {
  const { progress, done } = terminalProgress(process.stderr)
  const debian = await preparePcFirmware(options.quiet ? {} : { progress }).finally(done)
  return pc({
    ...connected,
    firmware: options.firmware === undefined ? readWhole(debian.bios, 'firmware') : readWhole(options.firmware, '--firmware'),
    files: [{ name: 'vgaroms/vgabios.bin', bytes: readWhole(debian.vgaBios, 'firmware') }],
    screen: SCREEN.screen,
    input: { keyboard: SCREEN.keyboard, mouse: SCREEN.mouse },
    memory: options.memory ?? PC_MEMORY,
    ...(options.harts !== undefined && { harts: options.harts }),
    ...(options.arch === 'i386' && { model: I386_MODEL }),
  })
}
