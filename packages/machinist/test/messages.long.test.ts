/** Linux with the Advanced Interrupt Architecture: PCI devices send messages to harts, and other devices' interrupts become messages. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { virt } from '@machinist/boards'
import { concatInitrds } from '@machinist/boot'
import { collector, nodeHost } from '@machinist/host-node'
import { createMachine, part } from '@machinist/machine'
import { memoryDisk } from '@machinist/storage'
import { virtioBlockPci, virtioNetPci } from '@machinist/virtio'
import { expect, it } from 'vitest'
import { execRequest, guestCommandLine, prepareGuest } from '../src/index.ts'
import { machineDigest, runTo } from './digest.ts'
import { runInterrupted } from './interrupted.ts'

const MIB = 2 ** 20
/** VIRTIO_F_RING_PACKED. */
const RING_PACKED = 34

const command = `
for device in /sys/bus/virtio/devices/*; do case $(cat $device/device) in 0x0001|0x0002) cat $device/features;; esac; done
md5sum </dev/vda
ping -c 100 -i 0.01 -s 1400 10.0.2.2 | grep -o '[0-9]* packets received'
head -c 4194304 /dev/urandom >/tmp/new
dd if=/tmp/new of=/dev/vda bs=1M seek=4 conv=fsync 2>/dev/null
dd if=/tmp/new of=/dev/vda bs=512 count=500 seek=20001 oflag=direct conv=fsync 2>/dev/null
echo 3 >/proc/sys/vm/drop_caches
md5sum </dev/vda
dd if=/dev/vda of=/dev/null bs=512 count=200 iflag=direct 2>/dev/null
irq=$(grep 'virtio.*-input.0' /proc/interrupts | cut -d: -f1)
for cpu in 1 2; do echo $cpu >/proc/irq/$((irq))/smp_affinity; ping -c 50 -i 0.01 10.0.2.2 >/dev/null; done
sed 's/^/INT /' /proc/interrupts
`

it.each(['split', 'packed'] as const)('a disk and a network on PCI, %s rings, with all devices saved and restored in the middle of their work', async (ring) => {
  const { kernel, initrd } = await prepareGuest()
  const bytes = new Uint8Array(16 * MIB)
  for (let index = 0; index < bytes.length; index++) bytes[index] = Math.imul(index, 0x9e37_79b1) >>> 24
  const digest = (): string => `${createHash('md5').update(bytes).digest('hex')}  -`
  const before = digest()
  const request = execRequest(command)
  const queues = { pairs: 1, ring }
  const console = collector(1 << 20)
  const machine = createMachine(virt({
    interrupts: 'aia', virtio: 'pci', harts: 2, console, kernel: readFileSync(kernel), initrd: concatInitrds([readFileSync(initrd), request.initrd]),
    append: guestCommandLine({ console: 'ttyS0', quiet: true }),
    devices: {
      disk: part(virtioBlockPci, { config: { ring }, backends: { disk: memoryDisk(bytes) } }),
      net: part(virtioNetPci, { config: queues, backends: { net: 'nat' } }),
    },
  }), nodeHost())
  const { error, restores } = await runInterrupted(machine)
  expect(error).toBe(null)

  const stdout: Uint8Array[] = []
  const answer = request.output({ stdout: (piece) => stdout.push(piece), stderr: () => undefined, exit: () => undefined })
  answer.push(Buffer.from(console.text(), 'latin1'))
  const lines = Buffer.concat(stdout).toString().trimEnd().split('\n')
  const packed = lines.splice(0, 2).map((features) => features[RING_PACKED])
  expect({ status: answer.status, packed }).toEqual({ status: 0, packed: ring === 'packed' ? ['1', '1'] : ['0', '0'] })
  expect(lines.splice(0, 3)).toEqual([before, '100 packets received', digest()])
  expect(digest()).not.toBe(before)
  expect(restores).toBeGreaterThan(20)

  // Interrupts by controller and name, on each hart.
  const interrupts = lines.flatMap((line) => {
    const [, one, two, controller = '', name = ''] = /^INT +\w+: +(\d+) +(\d+) +(\S+)\s.*?(\S+)$/.exec(line) ?? []
    return one === undefined ? [] : [{ counts: [Number(one), Number(two)], controller, name }]
  })
  const counts = (controller: RegExp, name: RegExp): readonly number[] => {
    const found = interrupts.filter((each) => controller.test(each.controller) && name.test(each.name))
    expect(found, `${String(controller)} ${String(name)}`).toHaveLength(1)
    return found[0]?.counts ?? []
  }
  const total = (list: readonly number[]): number => list.reduce((sum, count) => sum + count, 0)
  // Every read waits for a message; messages of the network went to the hart that was asked for.
  expect(total(counts(/^PCI-MSIX-0000:00:0[1-9]\.0$/, /^virtio\d+-req\.0$/))).toBeGreaterThan(200)
  for (const count of counts(/^PCI-MSIX-0000:00:0[1-9]\.0$/, /^virtio\d+-input\.0$/)) expect(count).toBeGreaterThan(30)
  expect(total(counts(/^APLIC-MSI-d000000/, /^ttyS0$/))).toBeGreaterThan(0)
  expect(interrupts.filter(({ controller }) => controller === 'SiFive')).toEqual([])
  // Harts reach one another by messages too.
  expect(lines.filter((line) => /^INT IPI[01]: +[1-9]\d* +[1-9]/.test(line))).toHaveLength(2)
})

it('with time that counts instructions, a run is a function of the definition', async () => {
  const { kernel, initrd } = await prepareGuest()
  const boot = (translate: 'now' | 'off'): { digest: string, console: string } => {
    const console = collector()
    const machine = createMachine(virt({
      interrupts: 'aia', virtio: 'pci', harts: 2, console, translate, hot: 5000, time: { instructionsPerSecond: 100_000_000 },
      kernel: readFileSync(kernel), initrd: readFileSync(initrd), append: 'earlycon=sbi console=ttyS0',
    }), nodeHost())
    runTo(machine, 400_000_000)
    const result = { digest: machineDigest(machine), console: console.text() }
    machine.dispose()
    return result
  }
  const first = boot('now')
  expect(first.console).toContain('riscv-imsic')
  expect(boot('off')).toEqual(first)
})
