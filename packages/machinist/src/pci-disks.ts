import { nvme } from '@machinist/devices'
import { type DevicePart, part } from '@machinist/machine'
import { type DiskChoice, openChoice } from './disk-option.ts'

/** Opens the disks that are on PCI in another way than as those of virtio: parts of any machine that has PCI. @throws typed errors, as `openDisk` */
export async function pciDisks(disks: readonly DiskChoice[]): Promise<Readonly<Record<string, DevicePart>>> {
  const controllers = await Promise.all(disks.filter(({ bus }) => bus === 'nvme').map(async (choice) => part(nvme, { backends: { disk: await openChoice(choice) } })))
  return Object.fromEntries(controllers.map((each, index) => [`nvme${index}`, each]))
}

/** Those that are of virtio. */
export function virtioDisks(disks: readonly DiskChoice[]): readonly DiskChoice[] {
  return disks.filter(({ bus = 'virtio' }) => bus === 'virtio')
}
