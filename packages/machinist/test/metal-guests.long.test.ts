import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { concatInitrds } from '@machinist/boot'
import { afterAll, expect, it } from 'vitest'
import { execRequest, guestCommandLine, prepareGuest } from '../src/guest/index.ts'
import { buildMetal } from '../src/metal/build.ts'
import { hardware, talk } from './hardware.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-metal-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

it('two guests with Debian\'s kernel run on bare metal: one answers at its shell, one does what it is told, and when both have ended the hardware is off', async () => {
  const { kernel, initrd } = await prepareGuest()
  const work = join(folder, 'work.cpio')
  writeFileSync(work, concatInitrds([readFileSync(initrd), execRequest('grep -c sstc /proc/cpuinfo').initrd]))
  const append = guestCommandLine({ console: 'ttyS0', quiet: true })
  const file = join(folder, 'machines.json')
  writeFileSync(file, JSON.stringify({ machines: { one: { kernel, initrd, append, memory: '3G' }, two: { kernel, initrd: work, append, memory: '192M', net: 'none' } } }))
  const image = await buildMetal({ file, output: join(folder, 'image') })
  // All that is not the guests' own files, of which Debian's are ten times as much.
  expect(image.size - image.filesSize).toBeLessThan(4 * 2 ** 20)
  const text = await talk(hardware(image.path, '-m', '8G', '-netdev', 'user,id=net,restrict=on', '-device', 'virtio-net-device,netdev=net'), [
    [/~# /, 'echo $((6 * 7)) and $(grep -c sstc /proc/cpuinfo); grep MemTotal /proc/meminfo; ip -4 -o addr show eth0\n'], [/\b42 and [12]\s[^]*~# /, '\u0001x'],
    // The monitor, and back.
    [/machinist> /, 'ps\r'], [/two +[a-z]+[^]*machinist> /, 'console one\r'], [/\[one\. Ctrl-A X comes back/, '\n'], [/~# /, 'poweroff\n'],
  ])
  expect(text).toMatch(/\b42 and [12]\b/)
  expect(text).toMatch(/\bNAME +STATE[^]*\bone +running\b[^]*\btwo +(running|off)\b/)
  // More than one buffer of the engine, but for what the kernel keeps.
  expect(text).toMatch(/MemTotal: +29[0-9]{5} kB/)
  // By the switch and the network of the hardware, from who gives out addresses there.
  expect(text).toMatch(/eth0 +inet 10\.0\.2\.[0-9]+/)
  for (const name of ['one', 'two']) expect(text).toContain(`[${name}: off, its guest switched it off with status 0]`)
})
