/**
 * Linux's own driver of pluggable memory, which Debian's kernel lacks, built of Debian's sources: it plugs what the host asks for, uses it,
 * and gives it back. See linux-module.ts for what this needs.
 */
import { readFileSync } from 'node:fs'
import { virt } from '@machinist/boards'
import { concatInitrds, cpio } from '@machinist/boot'
import { nodeHost, stream } from '@machinist/host-node'
import { createMachine, part } from '@machinist/machine'
import { Random } from '@machinist/testkit'
import { memoryControl, virtioMem, virtioMemPci } from '@machinist/virtio'
import { beforeAll, expect, it } from 'vitest'
import { execRequest, guestCommandLine } from '../src/index.ts'
import { guestWithModule, type GuestWithModule } from './linux-module.ts'
import { runInterrupted } from './interrupted.ts'

const MIB = 2 ** 20
const ram = 144
const region = 512

/** What the host saw as the guest said a word: MiB. */
interface Sight {
  readonly said: string
  /** What the guest has. */
  readonly total: number
  readonly available: number
  /** What the device says is plugged. */
  readonly plugged: number
  readonly touched: number
}

let prepared: GuestWithModule
beforeAll(async () => { prepared = await guestWithModule('drivers/virtio/virtio_mem.c') })

// Linux cuts its sections of 128 MiB into pieces for smaller blocks, and takes such and larger ones as they are: two halves of the driver.
it.each([['mmio', 2], ['pci', 128]] as const)("Linux's driver plugs, uses and unplugs memory on %s in blocks of %d MiB", async (virtio, block) => {
  const { guest, module } = prepared
  const random = new Random(block)
  const less = (): number => 128 + random.below(256)
  const targets = [400, less(), region, less()]
  const request = execRequest(`
    meminfo() { awk "/^$1:/ { print \\$2 }" /proc/meminfo; }
    say() { echo "$1 $(meminfo MemTotal) $(meminfo MemAvailable)"; }
    # The driver tells the device a moment later.
    until_total() { i=0; while [ $i -lt 1800 ] && ! [ $(meminfo MemTotal) -eq $1 ]; do sleep 0.1; i=$((i + 1)); done; sleep 0.5; }
    check() { for i in 1 2 3 4 5 6 7; do tail -c +$i /mnt/0 | cmp - /mnt/$i || echo "file $i differs" >&2; done; }
    insmod /virtio_mem.ko; sleep 1
    # After a reset nothing is plugged, and still as much asked for.
    [ $(meminfo MemTotal) -gt ${ram * 1024} ] && { say rebooted; exit; }
    before=$(meminfo MemTotal); say start
    for target in ${targets.join(' ')}; do
      echo target $target; until_total $((before + target / ${block} * ${block} * 1024)); say plugged
      if [ -e /mnt/0 ]; then
        # What lies there has moved when the memory under it went.
        [ $target -eq ${region} ] || check
      else
        # More than the guest has without, and no two pages alike.
        mount -t tmpfs -o size=400m none /mnt; seq 1000000 >/mnt/0; for i in 1 2 3 4 5 6 7; do tail -c +$i /mnt/0 >/mnt/$i; done; check; say full
      fi
    done
    rm /mnt/*; echo target 0; until_total $before; say empty
    rmmod virtio_mem; insmod /virtio_mem.ko; echo target 128; until_total $((before + 128 * 1024)); say again
    dmesg | grep -E 'virtio_mem virtio.*(error|fail|unknown|unexpected)' >&2
    sleep 0.5; reboot -f`)
  const control = memoryControl()
  const sights: Sight[] = []
  let [pending, err] = ['', '']
  const output = request.output({
    stdout(bytes) {
      const lines = (pending + Buffer.from(bytes).toString()).split('\n')
      pending = lines.pop() ?? ''
      for (const line of lines) {
        const [said = '', first, second] = line.split(' ')
        if (said === 'target') control.target = Number(first) * MIB
        else sights.push({ said, total: Number(first) / 1024, available: Number(second) / 1024, plugged: control.size / MIB, touched: machine.stats.touchedMemory / MIB })
      }
    },
    stderr: (bytes) => { err += Buffer.from(bytes).toString() },
    exit() {},
  })
  const device = { config: { size: region * MIB, block: block * MIB }, backends: { host: control } }
  const machine = createMachine(virt({
    kernel: readFileSync(guest.kernel), initrd: concatInitrds([readFileSync(guest.initrd), cpio().file('virtio_mem.ko', module, 0o644).toBytes(), request.initrd]),
    // In a zone of what can be moved, so that the guest can give all of it back.
    append: guestCommandLine({ console: 'ttyS0', quiet: true, append: 'memhp_default_state=online_movable' }),
    console: stream({ output: (bytes) => { output.push(bytes) } }), memory: ram * MIB,
    // However busy the host is, the guest waits for as long as it has work to do.
    time: { instructionsPerSecond: 200_000_000 },
    virtio, devices: { memory: virtio === 'pci' ? part(virtioMemPci, device) : part(virtioMem, device) },
  }), nodeHost())
  const { error, restores } = await runInterrupted(machine)
  expect({ error, err }).toEqual({ error: null, err: '' })
  expect(restores).toBeGreaterThan(20)
  const [start, first, full] = sights
  const sizes = targets.map((target) => Math.floor(target / block) * block)
  expect(sights.map(({ said }) => said)).toEqual(['start', 'plugged', 'full', ...sizes.slice(1).map(() => 'plugged'), 'empty', 'again', 'rebooted'])
  // The guest's count and the device's agree to the kilobyte.
  expect(sights.map(({ total }) => total - start!.total)).toEqual(sights.map(({ plugged }) => plugged))
  expect(sights.map(({ plugged }) => plugged)).toEqual([0, sizes[0], ...sizes, 0, 128, 128])
  const used = first!.available - full!.available
  expect(start!.available, 'the files had room without').toBeLessThan(used)
  expect(full!.touched - first!.touched).toBeGreaterThan(50)
  expect(full!.touched - sights.at(-3)!.touched).toBeGreaterThan(45)
})
