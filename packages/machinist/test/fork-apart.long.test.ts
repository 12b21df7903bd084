/** Copies of a booted guest in arenas of their own. */
import { readFileSync } from 'node:fs'
import { virt } from '@machinist/boards'
import { collector, nodeHost } from '@machinist/host-node'
import { createMachine } from '@machinist/machine'
import { expect, it } from 'vitest'
import { guestCommandLine, prepareGuest } from '../src/index.ts'
import { ask } from './ask.ts'

it('a copy in an arena of its own answers when its parent has gone, and each gives back every frame', async () => {
  const { kernel, initrd } = await prepareGuest()
  const console = collector()
  const parent = createMachine(virt({
    console, kernel: readFileSync(kernel), initrd: readFileSync(initrd), append: guestCommandLine({ console: 'ttyS0', quiet: true }),
  }), nodeHost())
  parent.start()
  while (!console.text().includes('# ')) await new Promise((resolve) => { setTimeout(resolve, 20) })
  console.type("stty -echo; PS1=''; echo re''ady\n")
  while (!console.text().includes('ready')) await new Promise((resolve) => { setTimeout(resolve, 20) })
  await ask(parent, console, 'echo parent >/tmp/who')
  parent.pause()
  for (const touched of [0, 1]) {
    const own = collector()
    const before = process.cpuUsage()
    const copy = await parent.fork({ arena: 'own', backends: { 'uart0.console': own } })
    const { user, system } = process.cpuUsage(before)
    process.stderr.write(`copy ${touched}: ${((user + system) / 1000).toFixed(1)} ms of CPU for ${(parent.memory.touchedPages / 256).toFixed(0)} MiB\n`)
    expect(copy.memory.arena).not.toBe(parent.memory.arena)
    // Pages that were touched and are zeros are not taken along.
    const { touchedPages } = copy.memory
    expect([touchedPages < parent.memory.touchedPages, copy.memory.arena.frames]).toEqual([true, touchedPages])
    if (touched === 1) parent.dispose()
    copy.resume()
    expect(await ask(copy, own, 'cat /tmp/who; echo copy >/tmp/who; cat /tmp/who; sha256sum /bin/busybox | wc -c')).toMatch(/^parent\ncopy\n/)
    const { arena } = copy.memory
    copy.dispose()
    expect([arena.frames, arena.members]).toEqual([0, 0])
  }
  expect(parent.memory.arena.frames).toBe(0)
})
