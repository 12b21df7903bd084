/** Debian's kernel on a PC, by SeaBIOS and ISOLINUX from a compact disc; its disk and its disc are on IDE. */
import { createHash } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pc } from '@machinist/boards'
import { inputSource, memoryDisplay, textOf } from '@machinist/display'
import { collector, nodeHost } from '@machinist/host-node'
import { createMachine } from '@machinist/machine'
import { prepareGuest, preparePcFirmware } from '@machinist/machinist'
import { afterAll, expect, it } from 'vitest'
import { cachedFolder } from '../src/guest/cache.ts'
import { cacheFolder } from '../src/guest/cache-folder.ts'
import { openArchive, suiteOf, unpack } from '../src/guest/packages.ts'
import { bootDisc } from './pc/boot-disc.ts'

const folder = await mkdtemp(join(tmpdir(), 'machinist-pc-linux-'))
afterAll(() => rm(folder, { recursive: true }))
const read = async (path: string): Promise<Uint8Array> => new Uint8Array(await readFile(path))

/** Debian's ISOLINUX, fetched once. */
const isolinux = await cachedFolder(cacheFolder(), `debian-${suiteOf('amd64')}-isolinux-1`, () => {}, async (temporary) => {
  const work = join(temporary, 'work')
  await mkdir(work)
  const apt = await openArchive(join(work, 'apt'), undefined, 'amd64')
  await unpack(apt, ['isolinux', 'syslinux-common'], work, join(work, 'tree'), undefined, 'ISOLINUX')
  await copyFile(join(work, 'tree/usr/lib/ISOLINUX/isolinux.bin'), join(temporary, 'isolinux.bin'))
  await copyFile(join(work, 'tree/usr/lib/syslinux/modules/bios/ldlinux.c32'), join(temporary, 'ldlinux.c32'))
  await rm(work, { recursive: true })
})

it('it boots a disc, reads and writes a disk, and reads the disc again', async () => {
  const { bios, vgaBios } = await preparePcFirmware()
  const guest = await prepareGuest({ architecture: 'amd64', modules: ['ata_piix', 'sd_mod', 'sr_mod', 'isofs'] })
  const noise = new Uint8Array(4 * 2 ** 20)
  for (let at = 0, seed = 1; at < noise.length; at++) {
    seed = Math.imul(seed, 1_103_515_245) + 12_345 >>> 0
    noise[at] = seed >>> 16
  }
  const config = ['DEFAULT linux', 'LABEL linux', ' KERNEL vmlinuz', ' INITRD initrd', ' APPEND console=ttyS0 machinist.console=ttyS0', ''].join('\n')
  const [disc, disk] = [join(folder, 'disc.iso'), join(folder, 'disk.img')]
  await writeFile(disc, bootDisc([
    { name: 'isolinux.bin', bytes: await read(join(isolinux, 'isolinux.bin')) }, { name: 'ldlinux.c32', bytes: await read(join(isolinux, 'ldlinux.c32')) },
    { name: 'isolinux.cfg', bytes: new TextEncoder().encode(config) }, { name: 'vmlinuz', bytes: await read(guest.kernel) }, { name: 'initrd', bytes: await read(guest.initrd) }, { name: 'noise', bytes: noise },
  ]))
  await writeFile(disk, new Uint8Array(16 * 2 ** 20))
  const [console, screen] = [collector(), memoryDisplay()]
  const machine = createMachine(pc({
    firmware: await read(bios), files: [{ name: 'vgaroms/vgabios.bin', bytes: await read(vgaBios) }, { name: 'bootorder', bytes: new TextEncoder().encode('/pci@i0cf8/ide@1,1/drive@0/disk@1\n') }],
    console, screen, input: { keyboard: inputSource(), mouse: inputSource() }, memory: 512 * 2 ** 20,
    ide: [{ drive: 'disk', medium: { type: 'disk', path: disk } }, { drive: 'cdrom', medium: { type: 'disk', path: disc, mode: 'ro' } }],
  }), nodeHost())
  machine.start()
  const until = (what: string): Promise<void> => expect.poll(() => console.text(), { timeout: 600_000, interval: 200 }).toContain(what)
  await expect.poll(() => textOf(screen.screens[0]?.text ?? { columns: 0, rows: 0, cells: new Uint16Array(0), cursor: null, colors: [], blinks: false }).join('\n'), { timeout: 600_000, interval: 50 }).toContain('ISOLINUX')
  await until('machinist:~#')
  console.type([
    'modprobe -a ata_piix sd_mod sr_mod isofs', 'until [ -e /dev/sr0 ] && [ -e /dev/sda ]; do sleep 1; done', 'mkdir /disc; mount -t iso9660 -o ro /dev/sr0 /disc', 'sha256sum /disc/noise | cut -c-64 | sed s/^/disc:/',
    'dd if=/disc/noise of=/dev/sda bs=4096 seek=1000; sync; echo 3 > /proc/sys/vm/drop_caches', 'dd if=/dev/sda bs=4096 skip=1000 count=1024 | sha256sum | cut -c-64 | sed s/^/disk:/', 'dmesg | grep ata1; grep ata_piix /proc/interrupts', 'echo th"e e"nd', '',
  ].join('\n'))
  await until('the end')
  const sum = createHash('sha256').update(noise).digest('hex')
  for (const line of [`disc:${sum}`, `disk:${sum}`, 'ata1.00: ATA-6: MACHINIST HARDDISK', 'ata1.01: ATAPI: MACHINIST CD-ROM']) expect(console.text()).toContain(line)
  machine.dispose()
  const bytes = await read(disk)
  expect(Buffer.compare(bytes.subarray(1000 * 4096, 1000 * 4096 + noise.length), noise)).toBe(0)
})
