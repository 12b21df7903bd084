/** Debian's kernel on a PC, by SeaBIOS and GRUB from a disk, whatever bus that is on. */
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pc, type PcOptions } from '@machinist/boards'
import { nvme } from '@machinist/devices'
import { inputSource, memoryDisplay, textOf } from '@machinist/display'
import { collector, nodeHost } from '@machinist/host-node'
import { createMachine, part } from '@machinist/machine'
import { prepareGuest, preparePcFirmware } from '@machinist/machinist'
import { afterAll, expect, it } from 'vitest'
import { grubDisk } from './pc/grub-disk.ts'

const folder = await mkdtemp(join(tmpdir(), 'machinist-pc-grub-'))
afterAll(() => rm(folder, { recursive: true }))
const read = async (path: string): Promise<Uint8Array> => new Uint8Array(await readFile(path))
const ENTER = 28
const DOWN = 108

const noise = new Uint8Array(2 ** 21)
for (let at = 0, seed = 1; at < noise.length; at++) {
  seed = Math.imul(seed, 1_103_515_245) + 12_345 >>> 0
  noise[at] = seed >>> 16
}
const sum = createHash('sha256').update(noise).digest('hex')

/** A disk on each bus; what Linux calls its partition, and its driver. */
const buses: readonly { readonly bus: string; readonly partition: string; readonly modules: readonly string[]; readonly says: string; options(path: string): Partial<PcOptions> }[] = [
  { bus: 'ide', partition: 'sda1', modules: ['ata_piix', 'sd_mod'], says: 'ata1.00: ATA-6: MACHINIST HARDDISK', options: (path) => ({ ide: [{ drive: 'disk', medium: { type: 'disk', path } }] }) },
  { bus: 'virtio', partition: 'vda1', modules: ['virtio_blk'], says: 'virtio_blk', options: (path) => ({ disks: [{ type: 'disk', path }] }) },
  { bus: 'nvme', partition: 'nvme0n1p1', modules: ['nvme'], says: 'nvme nvme0: pci function', options: (path) => ({ devices: { nvme0: part(nvme, { backends: { disk: { type: 'disk', path } } }) } }) },
]

it.each(buses)('SeaBIOS starts GRUB from a disk of $bus, whose menu starts Linux, which finds that disk', async ({ bus, partition, modules, says, options }) => {
  const { bios, vgaBios } = await preparePcFirmware()
  const guest = await prepareGuest({ architecture: 'amd64', modules: ['ext4', ...modules] })
  const disk = join(folder, `${bus}.img`)
  await grubDisk(disk, 48 * 2 ** 20, { kernel: guest.kernel, initrd: guest.initrd, append: 'console=ttyS0 machinist.console=ttyS0', files: { noise } })
  const [console, screen, keyboard] = [collector(), memoryDisplay(), inputSource()]
  const machine = createMachine(pc({
    firmware: await read(bios), files: [{ name: 'vgaroms/vgabios.bin', bytes: await read(vgaBios) }],
    console, screen, input: { keyboard, mouse: inputSource() }, memory: 256 * 2 ** 20, ...options(disk),
  }), nodeHost())
  machine.start()
  const shown = (): string => {
    const text = screen.screens[0]?.text ?? null
    return text === null ? '' : textOf(text).join('\n')
  }
  await expect.poll(shown, { timeout: 300_000, interval: 50 }).toContain('Linux from the disk')
  expect(shown()).toContain('GNU GRUB')
  for (const key of [DOWN, ENTER]) for (const down of [true, false]) keyboard.key(key, down)
  const until = (what: string): Promise<void> => expect.poll(() => console.text(), { timeout: 600_000, interval: 100 }).toContain(what)
  await until('machinist:~#')
  console.type([
    `modprobe -a ext4 ${modules.join(' ')}`, `until [ -e /dev/${partition} ]; do sleep 1; done`, `mount -t ext4 /dev/${partition} /mnt`, 'sha256sum /mnt/boot/noise | cut -c-64 | sed s/^/read:/',
    'cp /mnt/boot/noise /mnt/copy; umount /mnt; echo 3 > /proc/sys/vm/drop_caches', `mount -t ext4 /dev/${partition} /mnt; sha256sum /mnt/copy | cut -c-64 | sed s/^/written:/; umount /mnt`, 'dmesg | grep -v "Command line"', 'echo th"e e"nd', '',
  ].join('\n'))
  await until('the end')
  for (const line of [`read:${sum}`, `written:${sum}`, says]) expect(console.text()).toContain(line)
  machine.dispose()
})
