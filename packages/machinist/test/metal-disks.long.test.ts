import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { concatInitrds } from '@machinist/boot'
import { diskFormats } from '@machinist/storage'
import { openDiskImage } from '@machinist/host-node'
import { afterAll, expect, it } from 'vitest'
import { convertDisk } from '../src/disk/create.ts'
import { loadFleet } from '../src/fleet/file/fleet.ts'
import { execRequest, guestCommandLine, prepareGuest } from '../src/guest/index.ts'
import { buildMetal } from '../src/metal/build.ts'
import { makeDatastore } from '../src/metal/datastore.ts'
import { metalDisks } from '../src/metal/disks.ts'
import { hardware, talk } from './hardware.ts'

const MiB = 2 ** 20
const folder = mkdtempSync(join(tmpdir(), 'machinist-metal-disks-'))
const path = (name: string): string => join(folder, name)
afterAll(() => { rmSync(folder, { recursive: true }) })
const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`

const withStore = (image: string): ReturnType<typeof hardware> => hardware(image, '-drive', `file=${path('store')},if=none,id=store,format=raw`, '-device', 'virtio-blk-device,drive=store')

/** What a guest does at each start: looks whether what it wrote the last time is whole, and writes more. */
const WORK = 'mount -t ext4 /dev/vda /mnt && cd /mnt && { [ ! -e sums ] || sha256sum -c sums; } && dd if=/dev/urandom of=file$(ls | grep -c file) bs=64k count=40 && sha256sum file* > sums && echo written >> log; cd /; umount /mnt'

it('Debian guests on bare metal have the disks of their machine file, whose content is on the datastore after the hardware was off', async () => {
  for (const name of ['one.img', 'two.raw']) {
    writeFileSync(path(name), '')
    truncateSync(path(name), 24 * MiB)
    execFileSync('mkfs.ext4', ['-q', '-F', path(name)], { env: { ...process.env, PATH } })
  }
  const raw = await openDiskImage(path('two.raw'), { format: 'raw' })
  await convertDisk(raw, 'two', path('two.qcow2'), diskFormats.find(({ name }) => name === 'qcow2')!, { force: false })
  await raw.close()
  const { kernel, initrd } = await prepareGuest()
  const work = path('work.cpio')
  writeFileSync(work, concatInitrds([readFileSync(initrd), execRequest(WORK).initrd]))
  const append = guestCommandLine({ console: 'ttyS0', quiet: true })
  const guest = { kernel, initrd, append, memory: '128M', net: 'none' }
  const file = path('machines.json')
  writeFileSync(file, JSON.stringify({ machines: {
    one: { ...guest, disk: 'one.img', resources: { disk: { limit: '200M' } } }, two: { ...guest, initrd: work, disk: 'two.qcow2' }, lost: { ...guest, disk: 'lost.img' },
  } }))
  const { disks } = await metalDisks(await loadFleet(file))
  await makeDatastore(path('store'), disks.filter(({ name }) => name !== 'lost.img'))
  const image = await buildMetal({ file, output: path('image') })
  const shell = [/:[~/]# /, `${WORK}; echo end$((6 * 7))\n`] as const
  const first = await talk(withStore(image.path), [
    shell, [/end42\s[^]*:[~/]# /, '\u0001x'], [/machinist> /, 'images\r'], [/partition 2[^]*machinist> /, 'set one disk.limit=300M disk.shares=3000\r'], [/machinist> /, 'table\r'],
    [/machinist> $/, 'start lost\r'], [/machinist> $/, 'console one\r'], [/\[one\. Ctrl-A X/, '\n'], [/:[~/]# /, 'poweroff\n'],
  ])
  expect(first).toMatch(/\[lost was not started\. [^\]]*there is no such image[^\]]*one\.img, two\.qcow2/)
  expect(first).toMatch(/one\.img +24M +yes? /)
  expect(first).toMatch(/\bone +3000 [^\n]*300M/)
  const second = await talk(withStore(image.path), [shell, [/end42\s[^]*:[~/]# /, 'poweroff\n']])
  for (const text of [first, second]) {
    for (const name of ['one', 'two']) expect(text).toContain(`[${name}: off, its guest switched it off with status 0]`)
    expect(text).not.toMatch(/I\/O error|FAILED/)
  }
  expect(second).toMatch(/file0: OK/)
  // Debian's tools find it whole.
  const { partitiontable } = JSON.parse(execFileSync('sfdisk', ['--json', path('store')], { encoding: 'utf8', env: { ...process.env, PATH } })) as { readonly partitiontable: { readonly partitions: readonly { readonly start: number; readonly size: number; readonly name: string }[] } }
  expect(partitiontable.partitions.map(({ name }) => name)).toEqual(['one.img', 'two.qcow2'])
  const store = openSync(path('store'), 'r')
  for (const { start, size, name } of partitiontable.partitions) {
    const bytes = new Uint8Array(512 * size)
    readSync(store, bytes, 0, bytes.length, 512 * start)
    writeFileSync(path('partition'), bytes)
    execFileSync('e2fsck', ['-f', '-n', path('partition')], { env: { ...process.env, PATH }, stdio: 'pipe' })
    const show = (what: string): string => execFileSync('debugfs', ['-R', what, path('partition')], { encoding: 'utf8', env: { ...process.env, PATH }, stdio: ['ignore', 'pipe', 'ignore'] })
    expect(show('cat /log'), name).toBe('written\nwritten\n')
    expect(show('cat /sums').match(/ file[01]$/gm)).toEqual([' file0', ' file1'])
  }
  closeSync(store)
})
