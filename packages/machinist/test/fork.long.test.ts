/** Machines that are copied while they run Linux. */
import { readFileSync } from 'node:fs'
import { virt } from '@machinist/boards'
import { collector, nodeHost } from '@machinist/host-node'
import { createMachine, type Machine } from '@machinist/machine'
import { expect, it } from 'vitest'
import { guestCommandLine, prepareGuest } from '../src/index.ts'
import { ask } from './ask.ts'
import { machineDigest, runTo } from './digest.ts'

async function counted(harts: number): Promise<Machine> {
  const { kernel, initrd } = await prepareGuest()
  return createMachine(virt({
    harts, console: collector(), time: { instructionsPerSecond: 100_000_000 },
    kernel: new Uint8Array(readFileSync(kernel)), initrd: new Uint8Array(readFileSync(initrd)), append: 'earlycon=sbi console=ttyS0',
  }), nodeHost())
}

it.each([1, 3])('copies of a boot with %d harts, and copies of copies, go on as it does', async (harts) => {
  const END = 420_000_000
  const alone = await counted(harts)
  runTo(alone, END)
  const expected = machineDigest(alone)
  alone.dispose()
  const first = await counted(harts)
  runTo(first, 3_000_000)
  const machines: Machine[] = [first]
  // At any moment of the boot; the copies stay while others come, and some end early.
  for (const at of [40_000_001, 111_111_111, 200_000_017, 300_300_300]) {
    for (const machine of machines) runTo(machine, at)
    const last = machines.at(-1) ?? first
    last.pause()
    machines.push(await last.fork({ exact: true }))
    if (machines.length === 4) machines.shift()?.dispose()
  }
  for (const machine of machines) {
    runTo(machine, END)
    expect(machineDigest(machine)).toBe(expected)
  }
  for (const machine of machines) machine.dispose()
})

it('a booted guest is copied again and again, each copy does its own work, and nothing is lost', async () => {
  const { kernel, initrd } = await prepareGuest()
  const console = collector()
  const parent = createMachine(virt({
    console, kernel: readFileSync(kernel), initrd: readFileSync(initrd), append: guestCommandLine({ console: 'ttyS0', quiet: true }),
  }), nodeHost())
  parent.start()
  while (!console.text().includes('# ')) await new Promise((resolve) => { setTimeout(resolve, 20) })
  // What is typed does not come back, and there is no prompt.
  console.type("stty -echo; PS1=''; echo re''ady\n")
  while (!console.text().includes('ready')) await new Promise((resolve) => { setTimeout(resolve, 20) })
  expect(await ask(parent, console, 'echo parent >/tmp/who; cat /tmp/who')).toBe('parent')
  const { arena } = parent.memory
  const before = arena.frames
  const began = process.cpuUsage()
  const copies = await Promise.all(Array.from({ length: 40 }, async (_, i) => {
    const own = collector()
    const machine = await parent.fork({ backends: { 'uart0.console': own } })
    return { machine, own, i }
  }))
  const { user, system } = process.cpuUsage(began)
  process.stderr.write(`fork: ${((user + system) / 1000 / 40).toFixed(2)} ms of CPU each\n`)
  for (const { machine, own, i } of copies) expect(await ask(machine, own, `echo ${i} >>/tmp/who; cat /tmp/who; seq 200 | sha256sum`)).toMatch(new RegExp(`^parent\n${i}\n[0-9a-f]{64}`))
  expect(await ask(parent, console, 'cat /tmp/who')).toBe('parent')
  const [first] = copies
  if (first === undefined) throw new Error('no copy')
  const grandchildConsole = collector()
  const grandchild = await first.machine.fork({ backends: { 'uart0.console': grandchildConsole } })
  parent.dispose()
  first.machine.dispose()
  expect(await ask(grandchild, grandchildConsole, 'cat /tmp/who')).toBe('parent\n0')
  for (const { machine } of copies) machine.dispose()
  // It has what it needs, and no more than its parent had.
  expect(arena.frames).toBe(grandchild.memory.touchedPages)
  expect(arena.frames).toBeLessThan(before * 1.2)
  grandchild.dispose()
})
