/** Disks with limits, on time that counts instructions: what the guest sees of them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Backend, BlockPort } from '@machinist/api'
import { virt } from '@machinist/boards'
import { concatInitrds } from '@machinist/boot'
import { collector, nodeHost, openDisks } from '@machinist/host-node'
import { type BackendDescriptor, createMachine, part } from '@machinist/machine'
import { limited, memoryDisk } from '@machinist/storage'
import { virtioBlock } from '@machinist/virtio'
import { expect, it } from 'vitest'
import { execRequest, guestCommandLine, openChoice, parseDisk, prepareGuest } from '../src/index.ts'
import { blank, scratch } from './support.ts'

const MIB = 2 ** 20
const folder = scratch()

/** Seconds that each of some commands took, by the guest's clock. */
async function timed(backend: BackendDescriptor | Backend<BlockPort>, commands: readonly string[]): Promise<number[]> {
  const { kernel, initrd } = await prepareGuest()
  const request = execRequest(`read start rest </proc/uptime\n${commands.map((command) => `${command}; read now rest </proc/uptime; echo $start $now; start=$now\n`).join('')}`)
  const console = collector()
  const machine = createMachine(await openDisks(virt({
    console, kernel: readFileSync(kernel), initrd: concatInitrds([readFileSync(initrd), request.initrd]), time: { instructionsPerSecond: 100_000_000 },
    append: guestCommandLine({ console: 'ttyS0', quiet: true }),
    devices: { disk: part(virtioBlock, { backends: { disk: backend } }) },
  })), nodeHost())
  machine.start()
  const { error } = await machine.finished()
  machine.dispose()
  expect(error).toBe(null)
  const stdout: Uint8Array[] = []
  const answer = request.output({ stdout: (piece) => stdout.push(piece), stderr: () => undefined, exit: () => undefined })
  answer.push(Buffer.from(console.text(), 'latin1'))
  expect(answer.status).toBe(0)
  return Buffer.concat(stdout).toString().trim().split('\n').map((line) => {
    const [start = NaN, now = NaN] = line.split(' ').map(Number)
    return now - start
  })
}

const read = 'dd if=/dev/vda of=/dev/null bs=64k count=96 iflag=direct 2>/dev/null'

it('a disk keeps to its limits on the clock of the machine, and wastes none of it', async () => {
  const { limits = {} } = parseDisk('memory,bps=4M,iops=100,iops-burst=1')
  const took = await timed(limited(memoryDisk(32 * MIB), limits), [
    read,
    'dd if=/dev/zero of=/dev/vda bs=64k count=96 oflag=direct 2>/dev/null',
    'dd if=/dev/vda of=/dev/null bs=4k count=150 iflag=direct 2>/dev/null',
  ])
  expect(took).toHaveLength(3)
  // 6 MiB at 4 MiB a second, of which a tenth of a second's may be saved up; 150 requests at 100 a second.
  for (const seconds of took) {
    expect(seconds).toBeGreaterThan(1.38)
    expect(seconds).toBeLessThan(1.9)
  }
})

// Files answer on the clock of the host, so there is no upper bound here.
it('so does a file, by the command line and by a machine file', async () => {
  const path = blank(join(folder, 'disk.img'), 16 * MIB)
  const descriptor = { type: 'disk', path, limits: { bytesPerSecond: 4 * MIB } }
  // One after the other: who has it open has it locked.
  for (const disk of [() => descriptor, () => openChoice(parseDisk(`${path},bps=4M`))]) {
    const [seconds] = await timed(await disk(), [read])
    expect(seconds).toBeGreaterThan(1.38)
  }
})
