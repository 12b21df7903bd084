/** Linux over both formats of virtqueues, with all devices saved and restored in the middle of its work. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { virt } from '@machinist/boards'
import { concatInitrds } from '@machinist/boot'
import { collector, nodeHost } from '@machinist/host-node'
import { createMachine, part } from '@machinist/machine'
import { memoryDisk } from '@machinist/storage'
import { virtioBlock } from '@machinist/virtio'
import { expect, it } from 'vitest'
import { execRequest, guestCommandLine, prepareGuest } from '../src/index.ts'
import { runInterrupted } from './interrupted.ts'

const MIB = 2 ** 20
/** VIRTIO_F_RING_PACKED. */
const RING_PACKED = 34

const command = `
for device in /sys/bus/virtio/devices/*; do [ $(cat $device/device) = 0x0002 ] && cat $device/features; done
dd if=/dev/vda of=/tmp/all bs=1M 2>/dev/null
md5sum </tmp/all
head -c 4194304 /dev/urandom >/tmp/new
dd if=/tmp/new of=/dev/vda bs=1M seek=4 conv=fsync 2>/dev/null
dd if=/tmp/new of=/dev/vda bs=512 count=1000 seek=20001 oflag=direct conv=fsync 2>/dev/null
echo 3 >/proc/sys/vm/drop_caches
md5sum </dev/vda
`

it.each(['split', 'packed'] as const)('%s rings', async (ring) => {
  const { kernel, initrd } = await prepareGuest()
  const bytes = new Uint8Array(16 * MIB)
  for (let index = 0; index < bytes.length; index++) bytes[index] = Math.imul(index, 0x9e37_79b1) >>> 24
  const before = createHash('md5').update(bytes).digest('hex')
  const request = execRequest(command)
  const console = collector()
  const machine = createMachine(virt({
    console, kernel: readFileSync(kernel), initrd: concatInitrds([readFileSync(initrd), request.initrd]),
    append: guestCommandLine({ console: 'ttyS0', quiet: true }),
    devices: { disk: part(virtioBlock, { config: { ring }, backends: { disk: memoryDisk(bytes) } }) },
  }), nodeHost())
  const { error, restores } = await runInterrupted(machine)
  expect(error).toBe(null)

  const stdout: Uint8Array[] = []
  const answer = request.output({ stdout: (piece) => stdout.push(piece), stderr: () => undefined, exit: () => undefined })
  answer.push(Buffer.from(console.text(), 'latin1'))
  const [features = '', read, reread] = Buffer.concat(stdout).toString().split('\n')
  expect({ status: answer.status, packed: features[RING_PACKED] }).toEqual({ status: 0, packed: ring === 'packed' ? '1' : '0' })
  const after = createHash('md5').update(bytes).digest('hex')
  expect([read, reread]).toEqual([`${before}  -`, `${after}  -`])
  expect(after).not.toBe(before)
  expect(restores).toBeGreaterThan(20)
})
