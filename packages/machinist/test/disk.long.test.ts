/** Disks, with real file systems on them. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { expect, it } from 'vitest'
import { blank, CLI, inGuest, scratch, start } from './support.ts'

const folder = scratch()
const MIB = 2 ** 20

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

function ext4(name: string, size: number = 64 * MIB): string {
  const path = blank(join(folder, name), size)
  execFileSync('mkfs.ext4', ['-q', '-F', path])
  return path
}

const clean = (path: string): void => { execFileSync('e2fsck', ['-fn', path], { stdio: 'pipe' }) }

it('what is written to ext4 is there after power-off, and the file system is clean', async () => {
  const disk = ext4('ext4.img')
  const write = await inGuest(
    'mount /dev/vda /mnt && cp -r /bin /mnt/tree && seq 1 300000 >/mnt/numbers && ln -s numbers /mnt/link && mkfifo /mnt/fifo && cd /mnt && find tree numbers -type f | xargs md5sum | sort | md5sum',
    ['--disk', disk])
  expect(write).toMatchObject({ status: 0, stderr: '' })
  clean(disk)
  const read = await inGuest('mount /dev/vda /mnt && cd /mnt && find tree numbers -type f | xargs md5sum | sort | md5sum; readlink link; tail -n 1 numbers; [ -p fifo ]', ['--disk', disk, '--harts', '4'])
  expect(read).toMatchObject({ status: 0, stderr: '' })
  expect(read.stdout.toString()).toBe(`${write.stdout.toString()}numbers\n300000\n`)
  clean(disk)
  const numbers = Array.from({ length: 300_000 }, (_, index) => `${index + 1}\n`).join('')
  expect(execFileSync('debugfs', ['-R', 'cat numbers', disk], { stdio: 'pipe', maxBuffer: 2 ** 24 }).toString()).toBe(numbers)
})

it('several disks: read-only refuses writes, an overlay forgets them, raw sectors arrive', async () => {
  const [ro, over] = [ext4('ro.img'), ext4('over.img')]
  const raw = blank(join(folder, 'raw.img'), MIB + 512)
  const before = [await digest(ro), await digest(over)]
  const { status, stdout, stderr } = await inGuest(
    [
      'cat /sys/block/vd[abc]/ro /sys/block/vdc/size',
      'dd if=/dev/zero of=/dev/vda bs=512 count=1 conv=fsync 2>/dev/null || echo refused',
      'mount -o ro,noload /dev/vda /mnt && echo mounted; umount /mnt',
      'mount /dev/vdb /mnt && echo kept >/mnt/f && umount /mnt && mount /dev/vdb /mnt && cat /mnt/f; umount /mnt',
      'printf "the last sector" | dd of=/dev/vdc bs=512 seek=2048 conv=fsync 2>/dev/null; printf first | dd of=/dev/vdc conv=fsync 2>/dev/null',
    ].join('\n'),
    ['--disk', `${ro},ro`, '--disk', `${over},overlay`, '--disk', raw])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout.toString()).toBe('1\n0\n0\n2049\nrefused\nmounted\nkept\n')
  expect([await digest(ro), await digest(over)]).toEqual(before)
  const bytes = readFileSync(raw)
  expect(bytes.length).toBe(MIB + 512)
  expect(bytes.subarray(0, 6).toString('latin1')).toBe('first\0')
  expect(bytes.subarray(MIB, MIB + 15).toString()).toBe('the last sector')
})

it('what was synced survives the sudden death of the host process', async () => {
  const disk = ext4('killed.img')
  const machine = start(process.execPath, [CLI, 'run', '--disk', disk, '--exec',
    'mount /dev/vda /mnt && seq 1 200000 >/mnt/synced && sync && echo synced && while :; do seq 1 50000 >>/mnt/more; done'], { input: '' })
  await machine.wait('synced\n')
  await new Promise((resolve) => { setTimeout(resolve, 1500) })
  machine.kill('SIGKILL')
  expect((await machine.ended).status).toBe('SIGKILL')
  const again = await inGuest('mount /dev/vda /mnt && seq 1 200000 | cmp - /mnt/synced && umount /mnt', ['--disk', disk])
  expect(again).toMatchObject({ status: 0, stderr: '' })
  clean(disk)
})

// Only root may mount a small file system to fill.
it.skipIf(process.getuid?.() !== 0)('a full host disk is an I/O error to the guest, and the machine lives on', async () => {
  const place = join(folder, 'full')
  execFileSync('mkdir', ['-p', place])
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'machinist-test', place])
  try {
    const disk = blank(join(place, 'disk.img'), 32 * MIB)
    writeFileSync(join(place, 'ballast'), Buffer.alloc(4 * MIB))
    const { status, stdout } = await inGuest(
      'dd if=/dev/zero of=/dev/vda bs=1M count=24 conv=fsync 2>/dev/null; echo "status $?"; dmesg | grep -c "I/O error, dev vda" | sed "s/[1-9][0-9]*/some/"; dd if=/dev/vda bs=1M count=32 2>/dev/null | wc -c; echo alive',
      ['--disk', disk])
    expect(stdout.toString()).toBe(`status 1\nsome\n${32 * MIB}\nalive\n`)
    expect(status).toBe(0)
  } finally {
    execFileSync('umount', [place])
  }
})
