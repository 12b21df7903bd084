/** Debian's stock driver of the memory balloon gives memory back to the host. */
import { readFileSync } from 'node:fs'
import { type VirtOptions, virt } from '@machinist/boards'
import { concatInitrds } from '@machinist/boot'
import { collector, nodeHost } from '@machinist/host-node'
import { createMachine, type Machine, part } from '@machinist/machine'
import { type BalloonConfig, type BalloonControl, balloonControl, virtioBalloon } from '@machinist/virtio'
import { expect, it, vi } from 'vitest'
import { execRequest, guestCommandLine, prepareGuest } from '../src/index.ts'
import { inGuest } from './support.ts'

const MIB = 2 ** 20

/** Runs `command`; `said` is called with each line that it writes to /dev/hvc0, and a way to type there. Returns what it wrote to its standard output. */
async function run(command: string, devices: NonNullable<VirtOptions['devices']>, said: (machine: Machine, line: string, type: (text: string) => void) => void): Promise<string> {
  const { kernel, initrd } = await prepareGuest({ modules: ['virtio_balloon'] })
  const request = execRequest(command)
  const [console, signals] = [collector(), collector()]
  const machine = createMachine(virt({
    console, virtioConsole: signals, kernel: readFileSync(kernel), initrd: concatInitrds([readFileSync(initrd), request.initrd]),
    append: guestCommandLine({ console: 'ttyS0', quiet: true }), devices,
  }), nodeHost())
  machine.start()
  let seen = 0
  const watch = setInterval(() => {
    const lines = signals.text().split('\n').slice(0, -1)
    for (const line of lines.slice(seen)) said(machine, line.trim(), (text) => { signals.type(text) })
    seen = lines.length
  }, 10)
  const { error } = await machine.finished()
  clearInterval(watch)
  machine.dispose()
  expect(error).toBe(null)
  const stdout: Uint8Array[] = []
  const stderr: Uint8Array[] = []
  const answer = request.output({ stdout: (piece) => stdout.push(piece), stderr: (piece) => stderr.push(piece), exit: () => undefined })
  answer.push(Buffer.from(console.text(), 'latin1'))
  expect({ status: answer.status, stderr: Buffer.concat(stderr).toString() }).toEqual({ status: 0, stderr: '' })
  return Buffer.concat(stdout).toString()
}

/** Shell functions: MiB that are available, a wait for some minutes at most, which says what it saw last, and one until nothing changes any more. */
const functions = `
available() { awk '/MemAvailable/ { print int($2 / 1024) }' /proc/meminfo; }
until_available() { i=0; a=$(available); while [ $i -lt 6000 ] && ! [ $a $1 $2 ]; do sleep 0.1; i=$((i + 1)); a=$(available); done; echo $a; }
settled() { same=0; last=; while [ $same -lt 3 ]; do sleep 1; a=$(available); [ "$a" = "$last" ] && same=$((same + 1)) || same=0; last=$a; done; echo $a; }
say() { echo $1 >/dev/hvc0; sleep 0.3; }
`
const balloonOf = (host: BalloonControl, config: Partial<BalloonConfig> = {}) => ({ balloon: part(virtioBalloon, { config, backends: { host } }) })

it('gives up memory when the host asks, and takes it back', async () => {
  const touched: Record<string, number> = {}
  const sizes: number[] = []
  let available = 0
  const balloon = balloonControl({ onResize: (bytes) => sizes.push(bytes / MIB), onStats: (stats) => { available = (stats.available ?? 0) / MIB } })
  const text = await run(`${functions}
    head -c ${80 * MIB} /dev/zero >/tmp/full; rm /tmp/full
    before=$(available); echo $before
    say inflate; until_available -lt $((before - 80)); say deflate; until_available -gt $((before - 20)); say end`, balloonOf(balloon, { pageReporting: false }), (machine, line) => {
    touched[line] = machine.stats.touchedMemory / MIB
    if (line === 'inflate') balloon.target = 100 * MIB
    if (line === 'deflate') {
      balloon.target = 0
      balloon.askStats()
    }
  })
  const [before = 0, less = 0, after = 0] = text.split('\n').map(Number)
  expect(before - less).toBeGreaterThan(80)
  expect(before - after).toBeLessThan(20)
  expect(Math.max(...sizes)).toBeGreaterThan(75)
  expect(Math.max(...sizes)).toBeLessThanOrEqual(100)
  expect(sizes.at(-1)).toBeLessThan(30)
  expect(available).toBeGreaterThan(0)
  expect((touched['inflate'] ?? 0) - (touched['deflate'] ?? 0), JSON.stringify(touched)).toBeGreaterThan(30)
})

it('gives back what a program has freed', async () => {
  const touched: Record<string, number> = {}
  await run(`${functions}
    head -c ${64 * MIB} /dev/zero >/tmp/full; say full; rm /tmp/full; exec 9<>/dev/hvc0; echo free >&9; read answer <&9
    head -c ${32 * MIB} /dev/urandom >/tmp/a; cp /tmp/a /tmp/b; cmp /tmp/a /tmp/b`, balloonOf(balloonControl()), (machine, line, type) => {
    const look = (): number => touched[line] = machine.stats.touchedMemory / MIB
    look()
    // Linux tells of pages that are free after some seconds.
    if (line === 'free') void vi.waitUntil(() => (touched['full'] ?? 0) - look() > 40, { timeout: 10 * 60_000 }).finally(() => { type('go on\n') }).catch(() => undefined)
  })
  expect((touched['full'] ?? 0) - (touched['free'] ?? 0), JSON.stringify(touched)).toBeGreaterThan(40)
})

it.each(['mmio', 'pci'])('--balloon on %s takes what it is told, and --stats tells of it', async (virtio) => {
  const { status, stdout, stderr } = await inGuest(
    `${functions}
    until_available -lt 110 >/dev/null; settled; cat /sys/bus/virtio/drivers/virtio_balloon/virtio*/features | head -c 6`,
    ['--virtio', virtio, '--balloon', '96M,reporting=off', '--stats'])
  const [available, features] = stdout.toString().split('\n')
  expect(status, stderr).toBe(0)
  expect(Number(available)).toBeLessThan(110)
  // All but page poisoning, which it was not started with, and reporting.
  expect(features).toBe('111100')
  const told = /^balloon +96\.0 MiB given up by the guest, which has (\d+)\.\d of \d+\.\d MiB left$/m.exec(stderr)
  expect(Math.abs(Number(told?.[1]) - Number(available)), stderr).toBeLessThan(20)
})
