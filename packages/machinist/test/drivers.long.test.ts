/**
 * Every small device at once, over packed rings, on either transport: Debian's drivers do something with each, and some let go of theirs and
 * take it again. Disks, networks, graphics, sound and input have tests of their own.
 * Needs riscv64-linux-gnu-gcc (Debian's gcc-riscv64-linux-gnu).
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BackendWants } from '@machinist/api'
import { virt } from '@machinist/boards'
import { concatInitrds } from '@machinist/boot'
import { collector, nodeHost, readWhole, sharedFolder, stream, unixSockets } from '@machinist/host-node'
import { createMachine, part } from '@machinist/machine'
import { memoryDisk } from '@machinist/storage'
import { balloonControl, balloonDevice, consoleWith, entropyDevice, p9Device, pmemDevice, virtioMmio, virtioPci, type VirtioSpec, vsockDevice } from '@machinist/virtio'
import { expect, it, onTestFinished } from 'vitest'
import { execRequest, guestCommandLine, prepareGuest } from '../src/guest/index.ts'
import { mediaModules } from './media-modules.ts'
import { scratch } from './support.ts'

const MIB = 2 ** 20
/** VIRTIO_F_RING_PACKED is feature 34, so character 35 of what the kernel shows. */
const command = `
for d in /sys/bus/virtio/devices/*; do echo $(cat $d/device) $(cut -c 35 $d/features) $(basename $(readlink $d/driver)); done | sort
port=/dev/$(basename $(dirname $(grep -l agent /sys/class/virtio-ports/*/name)))
exec 3<>$port; echo "a line" >/dev/hvc0; echo ready >&3; read line <&3; echo "agent heard $line"
use() {
  head -c 8 /dev/hwrng | hexdump -v -e '8/1 "%02x" "\\n"'
  mount -t 9p share /mnt && cat /mnt/host && seq 1 50000 >/mnt/guest
  /mnt/echo connect 1234 </mnt/guest | cmp - /mnt/guest && echo echoed
  (printf $1; head -c 4090 /dev/zero) | dd of=$(ls /dev/pmem*) bs=4096 seek=$2 conv=fsync 2>/dev/null; head -c 7 /dev/pmem*; echo
  umount /mnt
}
use stored 1
for driver in virtio_rng 9pnet_virtio vmw_vsock_virtio_transport virtio_pmem; do
  cd /sys/bus/virtio/drivers/$driver; device=$(echo virtio*); echo $device >unbind; echo $device >bind
done; cd /; until ls /dev/pmem* >/dev/null 2>&1; do sleep 0.1; done
use rebind 2
free() { awk '/MemFree/ { print int($2 / 1024) }' /proc/meminfo; }
before=$(free); echo inflate >&3; for try in $(seq 6000); do [ $(free) -lt $((before - 24)) ] && echo inflated && break; sleep 0.1; done
`

it.each(['mmio', 'pci'] as const)('%s', async (virtio) => {
  const guest = await prepareGuest({ modules: [...mediaModules, 'virtio_balloon', 'virtio_pmem', 'nd_pmem'] })
  const folder = scratch()
  execFileSync('riscv64-linux-gnu-gcc', ['-O1', '-static', '-o', join(folder, 'echo'), fileURLToPath(new URL('guest-programs/vsock-echo.c', import.meta.url))])
  writeFileSync(join(folder, 'host'), 'from the host\n')
  const socket = join(scratch(), 'sock')
  const server = createServer({ allowHalfOpen: true }, (each) => { each.pipe(each) })
  onTestFinished(() => { server.close() })
  await new Promise<void>((resolve) => { server.listen(`${socket}_1234`, resolve) })

  const request = execRequest(command)
  const hvc = collector()
  const sizes: number[] = []
  const host = balloonControl({ onResize: (bytes) => { sizes.push(bytes / MIB) } })
  const persistent = new Uint8Array(2 * MIB)
  persistent.set(Buffer.from('started'))
  let [out, err, said] = ['', '', '']
  const output = request.output({ stdout: (bytes) => { out += Buffer.from(bytes).toString() }, stderr: (bytes) => { err += Buffer.from(bytes).toString() }, exit() {} })
  const agent = stream({
    output: (bytes) => {
      said += Buffer.from(bytes).toString()
      if (said === 'ready\n') agent.type('an answer\n')
      if (said.endsWith('inflate\n')) host.target = 32 * MIB
    },
  })
  const on = <Config, S, Wants extends BackendWants>(spec: VirtioSpec<Config, S, Wants>) => virtio === 'pci' ? virtioPci(spec) : virtioMmio(spec)
  const ring = 'packed'
  const machine = createMachine(virt({
    powerButton: false,
    virtio, ...(virtio === 'pci' && { interrupts: 'aia' }), rng: false,
    kernel: readWhole(guest.kernel, 'kernel'), initrd: concatInitrds([readWhole(guest.initrd, 'initrd'), request.initrd]),
    append: guestCommandLine({ console: 'ttyS0', quiet: true }), console: stream({ output: (bytes) => { output.push(bytes) } }),
    devices: {
      rng: part(on(entropyDevice), { config: { ring } }),
      serial: part(on(consoleWith('virtio-serial', ['console', 'agent'])), { config: { ring }, backends: { console: hvc, agent } }),
      share: part(on(p9Device), { config: { ring, tag: 'share' }, backends: { files: sharedFolder(folder) } }),
      vsock: part(on(vsockDevice), { config: { ring }, backends: { host: unixSockets(socket) } }),
      pmem: part(on(pmemDevice), { config: { ring, size: 2 * MIB }, backends: { disk: memoryDisk(persistent) } }),
      balloon: part(on(balloonDevice), { config: { ring }, backends: { host } }),
    },
  }), { ...nodeHost(), entropy: { fill(into) { into.fill(0xa7) } } })
  machine.start()
  const { error } = await machine.finished()
  machine.dispose()
  expect({ error, status: output.status, err }).toEqual({ error: null, status: 0, err: '' })
  expect(out.split('\n')).toEqual([
    '0x0003 1 virtio_console', '0x0004 1 virtio_rng', '0x0005 1 virtio_balloon', '0x0009 1 9pnet_virtio', '0x0013 1 vmw_vsock_virtio_transport', '0x001b 1 virtio_pmem',
    'agent heard an answer', ...['a7'.repeat(8), 'from the host', 'echoed', 'started', 'a7'.repeat(8), 'from the host', 'echoed', 'started'], 'inflated', ''])
  expect(hvc.text()).toBe('a line\r\n')
  expect(readFileSync(join(folder, 'guest'), 'utf8')).toBe(Array.from({ length: 50_000 }, (_, index) => `${index + 1}\n`).join(''))
  expect([4096, 8192].map((at) => Buffer.from(persistent.subarray(at, at + 6)).toString())).toEqual(['stored', 'rebind'])
  expect(Math.max(...sizes)).toBeGreaterThan(24)
})
