/** Disks and networks with several queues: Debian's drivers use one for each hart, and on PCI each has an interrupt of its own. */
import { createHash } from 'node:crypto'
import { virt } from '@machinist/boards'
import { concatInitrds } from '@machinist/boot'
import { nodeHost, readWhole, stream } from '@machinist/host-node'
import { createMachine, part } from '@machinist/machine'
import { memoryDisk } from '@machinist/storage'
import { virtioBlock, virtioBlockPci, virtioNet, virtioNetPci } from '@machinist/virtio'
import { expect, it } from 'vitest'
import { execRequest, guestCommandLine, prepareGuest } from '../src/guest/index.ts'

const HARTS = 4
const QUARTER = 2 ** 19

// Each hart reads its quarter of the disk, writes it back turned about, all at once, and pings.
const command = `
cat /sys/block/vda/mq/*/cpu_list; ls /sys/class/net/eth0/queues
work() { taskset $((1 << $1)) sh -c "dd if=/dev/vda bs=4096 skip=$(($1 * 128)) count=128 iflag=direct of=/tmp/$1 2>/dev/null; dd if=/tmp/$1 bs=4096 seek=$(((3 - $1) * 128)) of=/tmp/all conv=notrunc 2>/dev/null; ping -c 20 -i 0.01 10.0.2.2 | grep -o '[0-9]* packets received'"; }
for hart in 0 1 2 3; do work $hart & done; wait
write() { taskset $((1 << $1)) dd if=/tmp/all of=/dev/vda bs=4096 skip=$(($1 * 128)) seek=$(($1 * 128)) count=128 oflag=direct conv=fsync,notrunc 2>/dev/null; }
for hart in 0 1 2 3; do write $hart & done; wait
md5sum </tmp/all
sed -n 's/.*[0-9]: *\\([0-9]*\\) *\\([0-9]*\\) *\\([0-9]*\\) *\\([0-9]*\\) *PCI-MSIX.* virtio[0-9]*-\\(.*[0-9]\\)$/INT \\5 \\1 \\2 \\3 \\4/p' /proc/interrupts
`

it.each([['mmio', 'split'], ['pci', 'packed']] as const)('one for each of four harts, on %s with %s rings', async (virtio, ring) => {
  const guest = await prepareGuest()
  const bytes = new Uint8Array(HARTS * QUARTER)
  for (let index = 0; index < bytes.length; index++) bytes[index] = Math.imul(index, 0x9e37_79b1) >>> 24
  const turned = Buffer.concat([3, 2, 1, 0].map((quarter) => bytes.slice(quarter * QUARTER, (quarter + 1) * QUARTER)))
  const request = execRequest(command)
  let [out, err] = ['', '']
  const output = request.output({ stdout: (piece) => { out += Buffer.from(piece).toString() }, stderr: (piece) => { err += Buffer.from(piece).toString() }, exit() {} })
  const disk = { config: { ring, queues: HARTS }, backends: { disk: memoryDisk(bytes) } }
  const net = { config: { ring, pairs: HARTS }, backends: { net: 'nat' } }
  const machine = createMachine(virt({
    // However busy the host is, answers to pings are in time.
    time: { instructionsPerSecond: 200_000_000 },
    virtio, ...(virtio === 'pci' && { interrupts: 'aia' }), harts: HARTS,
    kernel: readWhole(guest.kernel, 'kernel'), initrd: concatInitrds([readWhole(guest.initrd, 'initrd'), request.initrd]),
    append: guestCommandLine({ console: 'ttyS0', quiet: true }), console: stream({ output: (piece) => { output.push(piece) } }),
    devices: virtio === 'pci' ? { disk: part(virtioBlockPci, disk), net: part(virtioNetPci, net) } : { disk: part(virtioBlock, disk), net: part(virtioNet, net) },
  }), nodeHost())
  machine.start()
  const { error } = await machine.finished()
  machine.dispose()
  expect({ error, status: output.status, err }).toEqual({ error: null, status: 0, err: '' })
  const lines = out.trimEnd().split('\n')
  expect(lines.splice(0, 12)).toEqual(['0', '1', '2', '3', ...['rx', 'tx'].flatMap((way) => ['0', '1', '2', '3'].map((queue) => `${way}-${queue}`))])
  expect(lines.splice(0, 5)).toEqual([...new Array<string>(HARTS).fill('20 packets received'), `${createHash('md5').update(turned).digest('hex')}  -`])
  expect(Buffer.compare(bytes, turned)).toBe(0)
  const interrupts = Object.fromEntries(lines.map((line) => line.split(' ')).map(([, name = '', ...counts]) => [name, counts.reduce((sum, count) => sum + Number(count), 0)]))
  for (let queue = 0; queue < HARTS && virtio === 'pci'; queue++) {
    expect(interrupts[`req.${queue}`], out).toBeGreaterThan(128)
    expect(interrupts[`input.${queue}`], out).toBeGreaterThan(10)
  }
})
