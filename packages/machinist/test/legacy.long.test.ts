/** Linux's drivers with the legacy interface of virtio-mmio, which none of our tests wrote. */
import { virt } from '@machinist/boards'
import { concatInitrds } from '@machinist/boot'
import { nodeHost, readWhole, stream } from '@machinist/host-node'
import { createMachine } from '@machinist/machine'
import { memoryDisk } from '@machinist/storage'
import { expect, it } from 'vitest'
import { execRequest, guestCommandLine, prepareGuest } from '../src/guest/index.ts'

it.each([['mmio-legacy', '0'], ['mmio', '1']] as const)('Linux uses disk, network and entropy on %s', async (virtio, version1) => {
  const guest = await prepareGuest()
  const request = execRequest([
    'for d in /sys/bus/virtio/devices/*; do echo "$(cat $d/device) $(cut -c33 $d/features) $(cat $d/vendor)"; done | sort',
    'dd if=/dev/vda bs=64k count=16 iflag=direct 2>/dev/null | sha256sum',
    'dd if=/dev/urandom of=/dev/vda bs=64k seek=16 count=4 oflag=direct 2>/dev/null && dd if=/dev/vda bs=64k skip=16 count=4 iflag=direct 2>/dev/null | tr -d "\\000" | wc -c',
    "ping -c 3 -w 20 -s 1400 -q $(ip route | sed -n 's/default via \\([0-9.]*\\).*/\\1/p') | grep -o '[0-9] packets received'",
    'dd if=/dev/hwrng bs=64 count=1 2>/dev/null | wc -c',
  ].join('\n'))
  let [out, err] = ['', '']
  const output = request.output({ stdout: (piece) => { out += Buffer.from(piece).toString() }, stderr: (piece) => { err += Buffer.from(piece).toString() }, exit() {} })
  const machine = createMachine(virt({
    powerButton: false,
    virtio, disks: [memoryDisk(new Uint8Array(2 ** 21))], nets: ['nat'],
    kernel: readWhole(guest.kernel, 'kernel'), initrd: concatInitrds([readWhole(guest.initrd, 'initrd'), request.initrd]),
    append: guestCommandLine({ console: 'ttyS0', quiet: true }), console: stream({ output: (piece) => { output.push(piece) } }),
  }), nodeHost())
  machine.start()
  const { error } = await machine.finished()
  machine.dispose()
  expect({ error, status: output.status, err }).toEqual({ error: null, status: 0, err: '' })
  const lines = out.trim().split('\n')
  expect(lines.slice(0, 3)).toEqual(['0x0001', '0x0002', '0x0004'].map((id) => `${id} ${version1} 0x554d4551`))
  expect(lines.slice(3)).toEqual(['30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58  -', expect.stringMatching(/^26\d{4}$/), '3 packets received', '64'])
})
