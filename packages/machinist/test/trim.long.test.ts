/** What Linux discards goes back to the host: its image takes less room than before. */
import { execFileSync } from 'node:child_process'
import { closeSync, openSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { openFile } from '@machinist/host-node'
import { describe, expect, it } from 'vitest'
import { blank, CLI, inGuest, scratch } from './support.ts'

const MIB = 2 ** 20
const folder = scratch()

/** Whether files here can have holes that are made later. */
async function canPunch(): Promise<boolean> {
  const path = join(folder, 'try')
  closeSync(openSync(path, 'w'))
  const file = openFile(path, true)
  await file.close()
  return file.discard !== undefined
}

/** What an image takes of the host's disk, in MiB, as `du` says it. */
const used = (path: string): number => statSync(path).blocks / 2048

describe.skipIf(!await canPunch())('fstrim', () => {
  it.each(['img', 'qcow2', 'vdi'])('makes an image smaller: .%s', async (extension) => {
    const plain = blank(join(folder, `plain-${extension}.img`), 256 * MIB)
    execFileSync('mkfs.ext4', ['-q', '-F', plain])
    let disk = plain
    if (extension !== 'img') {
      disk = join(folder, `disk.${extension}`)
      execFileSync(process.execPath, [CLI, 'disk', 'convert', plain, disk, '--quiet'])
    }
    const fill = await inGuest('mount /dev/vda /mnt && dd if=/dev/urandom of=/mnt/big bs=1M count=100 2>/dev/null && seq 1 1000 >/mnt/kept && umount /mnt', ['--disk', disk])
    expect(fill).toMatchObject({ status: 0, stderr: '' })
    const full = used(disk)
    expect(full).toBeGreaterThan(100)
    const trim = await inGuest('mount /dev/vda /mnt && rm /mnt/big && sync && fstrim /mnt && umount /mnt', ['--disk', disk])
    expect(trim).toMatchObject({ status: 0, stderr: '' })
    expect(used(disk)).toBeLessThan(full - 95)
    const again = await inGuest(
      'mount /dev/vda /mnt && seq 1 1000 | cmp - /mnt/kept && dd if=/dev/urandom of=/mnt/big bs=1M count=100 2>/dev/null && umount /mnt', ['--disk', disk])
    expect(again).toMatchObject({ status: 0, stderr: '' })
    // What became free is used again.
    expect(used(disk)).toBeLessThan(full + 10)
    const back = join(folder, `back-${extension}.img`)
    execFileSync(process.execPath, [CLI, 'disk', 'convert', disk, back, '--quiet'])
    execFileSync('e2fsck', ['-fn', back], { stdio: 'pipe' })
  })
})
