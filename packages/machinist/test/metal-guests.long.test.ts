import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { concatInitrds } from '@machinist/boot'
import { afterAll, expect, it } from 'vitest'
import { execRequest, guestCommandLine, prepareGuest } from '../src/guest/index.ts'
import { buildMetal } from '../src/metal/build.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-metal-'))
const started: ChildProcess[] = []
afterAll(() => {
  for (const child of started) child.kill()
  rmSync(folder, { recursive: true })
})

/** The hardware, with its console: says something each time that it shows what it waits for. */
function talk(image: string, harts: number, words: readonly (readonly [wait: string | RegExp, say: string])[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const qemu = spawn('qemu-system-riscv64', ['-machine', 'virt', '-cpu', 'rv64,h=true', '-smp', String(harts), '-m', '1G', '-nographic', '-echr', '0x1d', '-bios', 'default', '-kernel', image,
      '-global', 'virtio-mmio.force-legacy=false', '-netdev', 'user,id=net,restrict=on', '-device', 'virtio-net-device,netdev=net'], { stdio: ['pipe', 'pipe', 'inherit'] })
    started.push(qemu)
    let text = ''
    let from = 0
    let next = 0
    qemu.stdout.setEncoding('utf8').on('data', (piece: string) => {
      text += piece
      const [wait, say] = words[next] ?? []
      if (wait === undefined || say === undefined || text.slice(from).search(wait) < 0) return
      next++
      from = text.length
      qemu.stdin.write(say)
    })
    qemu.on('error', reject)
    qemu.on('exit', () => { resolve(text) })
  })
}

it('two guests with Debian\'s kernel run on bare metal: one answers at its shell, one does what it is told, and when both have ended the hardware is off', async () => {
  const { kernel, initrd } = await prepareGuest()
  const work = join(folder, 'work.cpio')
  writeFileSync(work, concatInitrds([readFileSync(initrd), execRequest('grep -c sstc /proc/cpuinfo').initrd]))
  const append = guestCommandLine({ console: 'ttyS0', quiet: true })
  const file = join(folder, 'machines.json')
  writeFileSync(file, JSON.stringify({ machines: { one: { kernel, initrd, append, memory: '192M' }, two: { kernel, initrd: work, append, memory: '192M', net: 'none' } } }))
  const image = await buildMetal({ file, output: join(folder, 'image') })
  const text = await talk(image.path, 1, [
    [/~# /, 'echo $((6 * 7)) and $(grep -c sstc /proc/cpuinfo); ip -4 -o addr show eth0\n'], [/\b42 and [12]\s[^]*~# /, '\u0001x'],
    // The monitor, and back.
    [/machinist> /, 'ps\r'], [/two +[a-z]+[^]*machinist> /, 'console one\r'], [/\[one\. Ctrl-A X comes back/, '\n'], [/~# /, 'poweroff\n'],
  ])
  expect(text).toMatch(/\b42 and [12]\b/)
  expect(text).toMatch(/\bNAME +STATE[^]*\bone +running\b[^]*\btwo +(running|off)\b/)
  // By the switch and the network of the hardware, from who gives out addresses there.
  expect(text).toMatch(/eth0 +inet 10\.0\.2\.[0-9]+/)
  for (const name of ['one', 'two']) expect(text).toContain(`[${name}: off, its guest switched it off with status 0]`)
})
