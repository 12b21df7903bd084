/** What else a disk can do, as Debian's driver asks for it: identify itself, discard, write zeroes, flush. Needs riscv64-linux-gnu-gcc. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Backend, BlockPort } from '@machinist/api'
import { virt } from '@machinist/boards'
import { concatInitrds, cpio } from '@machinist/boot'
import { nodeHost, readWhole, stream } from '@machinist/host-node'
import { createMachine, part } from '@machinist/machine'
import { memoryDisk } from '@machinist/storage'
import { virtioBlock, virtioBlockPci } from '@machinist/virtio'
import { expect, it } from 'vitest'
import { execRequest, guestCommandLine, prepareGuest } from '../src/guest/index.ts'
import { scratch } from './support.ts'

const MIB = 2 ** 20

/** A disk that notes what is asked of it besides reading: where from and how much, in MiB. */
function noting(bytes: Uint8Array, notes: string[]): Backend<BlockPort> {
  const disk = memoryDisk(bytes)
  return {
    kind: 'block',
    connect(deliver, clock) {
      const port = disk.connect(deliver, clock)
      const { size, readOnly, blockSize } = port
      const note = (what: string, offset: number, length: number): unknown => notes.push(`${what} ${offset / MIB} ${length / MIB}`)
      return {
        size, readOnly, blockSize,
        read(offset, into, done) { port.read(offset, into, done) },
        write(offset, from, done) {
          note('write', offset, from.reduce((sum, { length }) => sum + length, 0))
          port.write(offset, from, done)
        },
        flush(done) {
          notes.push('flush')
          port.flush(done)
        },
        discard(offset, length, done) {
          note('discard', offset, length)
          port.discard?.(offset, length, done)
        },
        writeZeroes(offset, length, done) {
          note('zeroes', offset, length)
          port.writeZeroes?.(offset, length, done)
        },
      }
    },
  }
}

it.each([['mmio', 'split'], ['pci', 'packed']] as const)('a disk on %s with %s rings has a name, discards, writes zeroes and flushes', async (virtio, ring) => {
  const guest = await prepareGuest()
  const program = join(scratch(), 'zeroout')
  execFileSync('riscv64-linux-gnu-gcc', ['-O1', '-static', '-o', program, fileURLToPath(new URL('guest-programs/zeroout.c', import.meta.url))])
  const request = execRequest([
    'cat /sys/block/vda/serial; echo; cat /sys/block/vda/cache_type',
    'blkdiscard -o 1048576 -l 2097152 /dev/vda && zeroout /dev/vda 4194304 3145728',
    'dd if=/dev/urandom of=/dev/vda bs=64k seek=144 count=1 oflag=direct conv=fsync,notrunc 2>/dev/null',
    // The device then flushes each write by itself.
    'echo "write through" >/sys/block/vda/cache_type; cat /sys/block/vda/cache_type',
    'dd if=/dev/zero of=/dev/vda bs=64k seek=176 count=1 oflag=direct conv=notrunc 2>/dev/null',
  ].join('\n'))
  const bytes = new Uint8Array(16 * MIB).fill(0xee)
  const notes: string[] = []
  let [out, err] = ['', '']
  const output = request.output({ stdout: (piece) => { out += Buffer.from(piece).toString() }, stderr: (piece) => { err += Buffer.from(piece).toString() }, exit() {} })
  const machine = createMachine(virt({
    virtio, kernel: readWhole(guest.kernel, 'kernel'),
    initrd: concatInitrds([readWhole(guest.initrd, 'initrd'), cpio().file('bin/zeroout', readWhole(program, 'zeroout'), 0o755).toBytes(), request.initrd]),
    append: guestCommandLine({ console: 'ttyS0', quiet: true }), console: stream({ output: (piece) => { output.push(piece) } }),
    devices: { disk: part(virtio === 'pci' ? virtioBlockPci : virtioBlock, { config: { ring, serial: 'S/N 4711' }, backends: { disk: noting(bytes, notes) } }) },
  }), nodeHost())
  machine.start()
  const { error } = await machine.finished()
  machine.dispose()
  expect({ error, status: output.status, err }).toEqual({ error: null, status: 0, err: '' })
  expect(out).toBe('S/N 4711\nwrite back\nwrite through\n')
  expect(notes).toEqual(['discard 1 2', 'zeroes 4 3', 'write 9 0.0625', 'flush', 'write 11 0.0625', 'flush'])
  // What was discarded is anything.
  const megabytes = Array.from({ length: 16 }, (_, index) => [...new Set(bytes.subarray(index * MIB, (index + 1) * MIB))])
  expect(megabytes.map((values) => values.length === 1 ? values[0] : values.length).toSpliced(1, 2)).toEqual([0xee, 0xee, 0, 0, 0, 0xee, 0xee, 256, 0xee, 2, 0xee, 0xee, 0xee, 0xee])
})
