/** Time that counts instructions: a run is a function of the machine's definition. */
import { readFileSync } from 'node:fs'
import { virt, type VirtOptions } from '@machinist/boards'
import { collector, nodeHost } from '@machinist/host-node'
import { createMachine } from '@machinist/machine'
import { expect, it } from 'vitest'
import { prepareGuest } from '../src/index.ts'
import { machineDigest, runTo } from './digest.ts'

async function boot(harts: number, instructions: number, engine: Pick<VirtOptions, 'translate' | 'hot'> = {}): Promise<{ digest: string; retired: number; console: string }> {
  const { kernel, initrd } = await prepareGuest()
  const console = collector()
  const machine = createMachine(virt({
    harts, console, ...engine, time: { instructionsPerSecond: 100_000_000 },
    kernel: new Uint8Array(readFileSync(kernel)), initrd: new Uint8Array(readFileSync(initrd)), append: 'earlycon=sbi console=ttyS0',
  }), nodeHost())
  runTo(machine, instructions)
  const result = { digest: machineDigest(machine), retired: machine.stats.retired, console: console.text() }
  machine.dispose()
  return result
}

it.each([[1, 400_000_000], [4, 600_000_000]])('two boots with %d harts are the same after %d instructions: RAM, harts, devices, console', async (harts, instructions) => {
  const first = await boot(harts, instructions)
  expect(first.console).toContain('Linux version')
  expect(first.console).toContain(`smp: Brought up 1 node, ${harts} CPU`)
  expect(await boot(harts, instructions)).toEqual(first)
  expect((await boot(harts, instructions + 1_000_000)).digest).not.toBe(first.digest)
})

it.each([[1, 400_000_000], [4, 400_000_000]])('a boot with %d harts is the same interpreted and translated, after %d instructions', async (harts, instructions) => {
  const interpreted = await boot(harts, instructions, { translate: 'off' })
  expect(await boot(harts, instructions, { translate: 'now', hot: 5000 })).toEqual(interpreted)
})
