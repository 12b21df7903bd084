/** Debian's stock driver of persistent memory: a file system in memory of the machine, whose image is a file of the host. Needs mkfs.ext4, e2fsck and debugfs (Debian's e2fsprogs). */
import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { blank, inGuest, scratch } from './support.ts'

const MIB = 2 ** 20

it.each(['mmio', 'pci'])('a file system in persistent memory on %s outlives its machine', async (virtio) => {
  const path = blank(join(scratch(), 'pmem.img'), 64 * MIB)
  execFileSync('mkfs.ext4', ['-q', '-F', '-b', '4096', path])
  const args = ['--virtio', virtio, '--pmem', path]
  const first = await inGuest(
    'mount -t ext4 -o dax /dev/pmem0 /mnt && head -c 5000000 /dev/urandom >/mnt/random && mkdir /mnt/folder && md5sum </mnt/random; grep -o dax=always /proc/mounts; sync; grep -c "System RAM" /proc/iomem', args)
  expect({ status: first.status, stderr: first.stderr }).toEqual({ status: 0, stderr: '' })
  const [sum, dax, ram] = first.stdout.toString().split('\n')
  expect([dax, ram]).toEqual(['dax=always', '1'])
  execFileSync('e2fsck', ['-fp', path])
  const second = await inGuest('mount -t ext4 /dev/pmem0 /mnt && md5sum </mnt/random; ls -d /mnt/folder; echo kept >/mnt/kept; sync; poweroff -nf', args)
  expect(second.stdout.toString()).toBe(`${String(sum)}\n/mnt/folder\n`)
  // Without unmounting, what was flushed is there; the journal is still to be replayed, which is 1.
  expect(spawnSync('e2fsck', ['-fy', path]).status).toBeLessThan(2)
  expect(execFileSync('debugfs', ['-R', 'cat /kept', path], { encoding: 'utf8', stdio: 'pipe' })).toBe('kept\n')
})
