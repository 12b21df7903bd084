/** Debian's stock kernel with its virtio devices on PCI: found, assigned, driven, interrupted, taken away and found again. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { blank, inGuest, scratch } from './support.ts'

const folder = scratch()
const MIB = 2 ** 20

it('more disks than MMIO has room for, an entropy device and a console, with shared interrupts', async () => {
  const paths = Array.from({ length: 10 }, (_, index) => blank(join(folder, `disk${index}.img`), MIB))
  const { status, stdout, stderr } = await inGuest([
    'cd /sys/bus/pci/devices',
    'for d in *; do echo $d $(cat $d/vendor $d/device $d/class) $(readlink $d/driver | sed "s/.*\\///"); done',
    'head -c 1048576 /dev/urandom >/tmp/random',
    'for d in a b c d e f g h i j; do dd if=/tmp/random of=/dev/vd$d bs=64k conv=fsync 2>/dev/null || echo failed; done',
    'echo 3 >/proc/sys/vm/drop_caches',
    'for d in a b c d e f g h i j; do md5sum </dev/vd$d; done | sort -u; md5sum </tmp/random',
    'head -c 16 /dev/hwrng | wc -c',
    'grep virtio /proc/interrupts',
  ].join('\n'), ['--virtio', 'pci', '--net', 'none', ...paths.flatMap((path) => ['--disk', path])])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  const lines = stdout.toString().trimEnd().split('\n')
  expect(lines.splice(0, 13)).toEqual([
    '0000:00:00.0 0x1b36 0x0008 0x060000',
    ...Array.from({ length: 10 }, (_, index) => `0000:00:0${(index + 1).toString(16)}.0 0x1af4 0x1042 0x010000 virtio-pci`),
    '0000:00:0b.0 0x1af4 0x1044 0x00ff00 virtio-pci',
    '0000:00:0c.0 0x1af4 0x1043 0x078000 virtio-pci',
  ])
  const [disks, random, entropy] = lines.splice(0, 3)
  expect(disks).toBe(random)
  expect(entropy).toBe('16')
  for (const path of paths) expect(`${createHash('md5').update(readFileSync(path)).digest('hex')}  -`).toBe(random)
  // Twelve devices on the four inputs of the PLIC, every one of which has interrupted.
  const inputs = lines.map((line) => /^ *\d+: +(\d+) +SiFive PLIC +(\d+) Edge +(.*)$/.exec(line)).map((match) => ({ count: Number(match?.[1]), input: Number(match?.[2]), who: match?.[3]?.split(', ').map((name) => Number(name.slice(6))).sort((a, b) => a - b) }))
  expect(inputs.map(({ input, who }) => ({ input, who })).sort((a, b) => a.input - b.input)).toEqual([
    { input: 32, who: [3, 7, 11] }, { input: 33, who: [0, 4, 8] },
    { input: 34, who: [1, 5, 9] }, { input: 35, who: [2, 6, 10] },
  ])
  for (const { count } of inputs) expect(count).toBeGreaterThan(10)
})

it('a device that is switched off, taken away and found again works as before, elsewhere', async () => {
  const path = blank(join(folder, 'again.img'), MIB)
  const { status, stdout, stderr } = await inGuest([
    'cd /sys/bus/pci/devices',
    'printf first | dd of=/dev/vda conv=fsync,notrunc 2>/dev/null',
    'head -n 1 0000:00:01.0/resource; devmem 0x30008004 16',
    'echo 0000:00:01.0 >/sys/bus/pci/drivers/virtio-pci/unbind; ls /sys/block | grep -c vda; cat 0000:00:01.0/enable; devmem 0x30008004 16',
    'echo 1 >0000:00:01.0/remove; ls | grep -c 00:01.0',
    // A BAR that a stranger moves: the old place is empty at once, and the new one is not.
    'devmem 0x30008010 32 0x50000004; devmem 0x30008014 32 0; devmem 0x30008004 16 2; devmem 0x50000012 16; devmem 0x30008010 32 0x60000004; devmem 0x50000012 16; devmem 0x60000012 16',
    'echo 1 >/sys/bus/pci/rescan; until [ -b /dev/vda ]; do sleep 0.1; done; head -c 5 /dev/vda; echo',
    'printf again | dd of=/dev/vda conv=fsync,notrunc 2>/dev/null',
  ].join('\n'), ['--virtio', 'pci', '--harts', '2', '--disk', path, '--append', 'iomem=relaxed'])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout.toString().trimEnd().split('\n')).toEqual([
    '0x0000000400000000 0x0000000400003fff 0x0000000000140204', '0x0006', '0', '0', '0x0002', '0', '0x0001', '0xFFFF', '0x0001', 'first',
  ])
  expect(readFileSync(path).subarray(0, 6).toString('latin1')).toBe('again\0')
})
