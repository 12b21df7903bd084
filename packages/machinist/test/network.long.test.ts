/** Two guests on one switch, in one process. */
import { createHash } from 'node:crypto'
import { Capture, type Port, virtualSwitch } from '@machinist/network'
import { concatInitrds } from '@machinist/boot'
import { virt } from '@machinist/boards'
import { collector, nodeHost, readWhole, stream } from '@machinist/host-node'
import { createMachine } from '@machinist/machine'
import { expect, it } from 'vitest'
import { execRequest, guestCommandLine, prepareGuest } from '../src/guest/index.ts'

interface Guest {
  readonly ended: Promise<{ readonly status: number | undefined, readonly out: string, readonly err: string }>
}

/** Boots Debian's kernel with a network device of two pairs of queues, and runs a script. */
async function boot(net: Port, command: string, onOutput: (text: string) => void = () => {}): Promise<Guest> {
  const guest = await prepareGuest()
  const request = execRequest(command)
  const tail = collector(4096)
  let [out, err] = ['', '']
  const output = request.output({
    stdout: (bytes) => {
      out += Buffer.from(bytes).toString()
      onOutput(out)
    },
    stderr: (bytes) => { err += Buffer.from(bytes).toString() },
    exit() {},
  })
  const machine = createMachine(virt({
    kernel: readWhole(guest.kernel, 'kernel'), initrd: concatInitrds([readWhole(guest.initrd, 'initrd'), request.initrd]),
    append: guestCommandLine({ console: 'ttyS0', quiet: true }), harts: 2, console: stream({ output: (bytes) => { output.push(bytes) } }),
    nets: [{ net, config: { pairs: 2, speed: 10_000 } }],
  }), nodeHost())
  const ended = machine.finished().then(({ error }) => {
    machine.dispose()
    if (error !== null) throw error
    return { status: output.status, out, err: err + tail.text() }
  })
  machine.start()
  return { ended }
}

it('ping each other, move data with offloads, have several queues, and see the cable come and go', async () => {
  const lan = virtualSwitch()
  let longest = 0
  // Packet blocks of pcapng: the length of the frame as it was is at byte 24.
  const capture = new Capture((bytes) => { if (bytes[0] === 6) longest = Math.max(longest, Buffer.from(bytes).readUInt32LE(24)) }, { snapLength: 64 })
  const [one, two] = [lan.port({ name: 'one' }), lan.port({ name: 'two', capture })]
  // nc leaves when its input ends, so the receiver's stays open. Nobody reads until its connection takes no more: what waits is then sent in long frames.
  const receiver = await boot(one, [
    "queue() { sed -n 's/.*:1388 [0-9A-F:]* 01 [0-9A-F]*:\\([0-9A-F]*\\) .*/\\1/p' /proc/net/tcp /proc/net/tcp6; }",
    'full() { same=0; last=; while [ $same -lt 3 ]; do sleep 1; now=$(queue); [ "$((0x0$now))" -gt 0 ] && [ "$now" = "$last" ] && same=$((same + 1)) || same=0; last=$now; done; }',
    'ifconfig eth0 10.0.0.1 && mkfifo /tmp/open && exec 9<>/tmp/open && nc -l -p 5000 <&9 | { full; sha256sum; }',
  ].join('\n'))
  let step = 0
  const sender = await boot(two, [
    'ifconfig eth0 10.0.0.2',
    'cd /sys/class/net/eth0 && echo queues $(ls queues) && echo speed $(cat speed) $(cat duplex) && cat address && cd /',
    'for try in $(seq 1000); do ping -c 1 -W 1 10.0.0.1 >/dev/null && break; sleep 0.2; done; ping -c 3 10.0.0.1 | grep -o "[0-9]* packets received"',
    'seq 1 100000 >/tmp/data; for try in $(seq 3000); do nc 10.0.0.1 5000 </tmp/data && break; sleep 0.2; done',
    'carrier() { for try in $(seq 6000); do [ "$(cat /sys/class/net/eth0/carrier)" = $1 ] && echo carrier $1 && break; sleep 0.1; done; }',
    'echo pull; carrier 0; echo push; carrier 1',
  ].join('\n'), (text) => {
    if (step === 0 && text.includes('pull')) two.setLink((step++, false))
    if (step === 1 && text.includes('push')) two.setLink((step++, true))
  })
  const [received, sent] = await Promise.all([receiver.ended, sender.ended])
  const data = Array.from({ length: 100_000 }, (_, index) => `${index + 1}\n`).join('')
  expect(received).toMatchObject({ status: 0, err: '', out: `${createHash('sha256').update(data).digest('hex')}  -\n` })
  expect(sent.out.split('\n')).toEqual([
    'queues rx-0 rx-1 tx-0 tx-1', 'speed 10000 full', expect.stringMatching(/^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/), '3 packets received',
    'pull', 'carrier 0', 'push', 'carrier 1', ''])
  expect(sent).toMatchObject({ status: 0, err: '' })
  // Long frames: the guests leave segmentation to one another.
  expect(longest).toBeGreaterThan(1514)
  expect([one.stats.dropped, one.stats.invalid, two.stats.invalid]).toEqual([0, 0, 0])
})
