import { resolve } from 'node:path'
import { isUrl, openDiskImage } from '@machinist/host-node'
import { type BackendDescriptor, type DevicePart, type ImageSource, type MachineDefinition, part } from '@machinist/machine'
import { virtio9p, virtio9pPci, virtioBalloon, virtioBalloonPci, virtioPmem, virtioPmemPci, virtioVsock, virtioVsockPci } from '@machinist/virtio'
import { board, type BoardOptions, type Settled, settle } from '../../architecture.ts'
import { NO_FIRMWARE, type RunOptions } from '../../arguments.ts'
import { bootDisk, type DiskBoot, diskCommandLine } from '../../debian/index.ts'
import type { DiskChoice } from '../../disk-option.ts'
import { guestCommandLine, prepareGuest, terminalProgress } from '../../guest/index.ts'
import { DISK_MEMORY, freePlaces, networks } from '../../run.ts'
import { keptFile } from './plain.ts'

/** The console of a machine that a hypervisor runs: it goes to whoever listens. */
export const CONSOLE: BackendDescriptor = 'console'

type Images = Pick<BoardOptions, 'kernel' | 'initrd' | 'firmware' | 'append'>

/** What is booted: files of the user, of a disk's own system, or of the prepared guest. */
async function images(options: Settled, boot: DiskBoot | null, folder: string): Promise<Images> {
  const { kernel, initrd, firmware, console, arch: architecture } = options
  const file = (path: string): ImageSource => ({ file: resolve(folder, path) })
  const further: Images = { ...(initrd !== undefined && { initrd: file(initrd) }), ...(firmware !== undefined && firmware !== NO_FIRMWARE && { firmware: file(firmware) }) }
  if (kernel !== undefined) {
    return { ...(kernel === 'none' ? {} : { [firmware === NO_FIRMWARE ? 'firmware' : 'kernel']: file(kernel) }), ...further, append: options.append ?? `console=${console ?? 'ttyS0'}` }
  }
  if (boot !== null) {
    return { kernel: await keptFile(boot.kernel), ...(boot.initrd !== null && { initrd: await keptFile(boot.initrd) }), ...further, append: diskCommandLine(boot.root, { ...options, architecture }) }
  }
  const { progress, done } = terminalProgress(process.stderr)
  const guest = await prepareGuest({
    progress, architecture,
    modules: [...options.balloon === undefined ? [] : ['virtio_balloon'] as const, ...options.pmems === undefined ? [] : ['virtio_pmem', 'nd_pmem'] as const],
  }).finally(done)
  return { kernel: { file: guest.kernel }, initrd: { file: guest.initrd }, ...further, append: guestCommandLine({ architecture, console: 'ttyS0', shell: console, append: options.append }) }
}

/** What the disk that is to be booted has for that. */
async function diskBoot({ bootDisk: disk }: RunOptions, folder: string): Promise<DiskBoot | null> {
  if (disk === undefined) return null
  const { path, mode: _, limits: __, ...image } = disk
  return bootDisk(isUrl(path) ? path : resolve(folder, path), image)
}

function diskDescriptor({ path, opened: _, datastoreDisk, ...choice }: DiskChoice, folder: string): BackendDescriptor {
  if (datastoreDisk !== undefined) return { type: 'disk', datastore: resolve(folder, path), name: datastoreDisk, ...choice }
  return { type: 'disk', path: isUrl(path) ? path : resolve(folder, path), ...choice }
}

/** Persistent memory, as large as its image. */
async function pmemPart(choice: DiskChoice, folder: string, pci: boolean): Promise<DevicePart> {
  const { path, mode: _, limits: __, ...rest } = choice
  const image = await openDiskImage(isUrl(path) ? path : resolve(folder, path), rest)
  const { size } = image
  await image.close()
  return part(pci ? virtioPmemPci : virtioPmem, { config: { size }, backends: { disk: diskDescriptor(choice, folder) } })
}

/** A machine that shares the memory of its host has a balloon, where there is a place for it. */
function withBalloon(options: Settled): Settled {
  if (options.balloon !== undefined || options.virtio === 'mmio-legacy' || freePlaces(options) < 1) return options
  return { ...options, balloon: { target: 0, config: {} } }
}

/**
 * The machine that options of `machinist run` ask for, as plain data: what it is connected to is described, and its images are files.
 *
 * @param folder - what relative paths are relative to
 * @throws typed errors
 */
export async function describeMachine(given: RunOptions, folder: string): Promise<MachineDefinition> {
  const boot = await diskBoot(given, folder)
  const settled = settle(given, boot?.architecture)
  const options = withBalloon({ ...settled, nets: networks(settled) })
  const { arch, memory, harts, virtio, interrupts, shares, balloon, vsock, pmems = [], console } = options
  const pci = virtio === 'pci'
  const devices: Record<string, DevicePart> = {}
  shares.forEach(({ path, tag, readOnly }, index) => {
    devices[`share${index}`] = part(pci ? virtio9pPci : virtio9p, { config: { tag }, backends: { files: { type: 'folder', path: resolve(folder, path), readOnly } } })
  })
  if (balloon !== undefined) devices['balloon'] = part(pci ? virtioBalloonPci : virtioBalloon, { config: balloon.config, backends: { host: { type: 'balloon', target: balloon.target } } })
  for (const [index, pmem] of pmems.entries()) devices[`pmem${index}`] = await pmemPart(pmem, folder, pci)
  if (vsock !== undefined) devices['vsock'] = part(pci ? virtioVsockPci : virtioVsock, { backends: { host: { type: 'unix', path: resolve(folder, vsock) } } })
  return board(arch, {
    ...await images(options, boot, folder),
    ...(memory !== undefined ? { memory } : options.bootDisk !== undefined && { memory: DISK_MEMORY }),
    ...(harts !== undefined && { harts }), virtio, ...(interrupts !== undefined && { interrupts }),
    nets: (options.nets ?? []).map((net) => ({ net, config: {} })),
    disks: options.disks.map((disk) => diskDescriptor(disk, folder)),
    ...(console === 'hvc0' ? { virtioConsole: CONSOLE, console: { type: 'share', with: 'hvc.console' } } : { console: CONSOLE }),
    devices,
  }).definition
}
