/** Time that counts instructions: a run is a function of the machine's definition. */
import { readFileSync } from 'node:fs'
import { microvm, virt, type VirtOptions } from '@machinist/boards'
import { collector, nodeHost } from '@machinist/host-node'
import { createMachine, type Machine } from '@machinist/machine'
import { Random } from '@machinist/testkit'
import { expect, it } from 'vitest'
import { prepareGuest } from '../src/index.ts'
import { machineDigest, runTo } from './digest.ts'

type Engine = Pick<VirtOptions, 'translate' | 'hot'> & { readonly architecture?: 'riscv64' | 'amd64' | 'i386' }

async function boot(harts: number, instructions: number, { architecture = 'riscv64', ...engine }: Engine = {}, disturb?: (machine: Machine) => void): Promise<{ digest: string; retired: number; console: string }> {
  const { kernel, initrd } = await prepareGuest({ architecture })
  const console = collector()
  const machine = createMachine((architecture === 'riscv64' ? virt : microvm)({
    harts, console, ...engine, time: { instructionsPerSecond: 100_000_000 },
    kernel: new Uint8Array(readFileSync(kernel)), initrd: new Uint8Array(readFileSync(initrd)), append: architecture === 'riscv64' ? 'earlycon=sbi console=ttyS0' : 'console=ttyS0',
  }), nodeHost())
  disturb?.(machine)
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

it.each<['amd64' | 'i386', number]>([['amd64', 2], ['i386', 1]])('a boot of %s with %d processors is the same interpreted and translated', async (architecture, harts) => {
  const interpreted = await boot(harts, 400_000_000, { architecture, translate: 'off' })
  expect(interpreted.console).toContain('Linux version')
  expect(await boot(harts, 400_000_000, { architecture, translate: 'now', hot: 5000 })).toEqual(interpreted)
})

it.each([1, 3])('a boot with %d harts that is stopped at hundreds of random instructions is the same', async (harts) => {
  const random = new Random(Number(process.env['STOP_SEED'] ?? 1), harts)
  let stops = 0
  const stopped = await boot(harts, 400_000_000, {}, (machine) => {
    machine.start({ drive: 'caller' })
    while (machine.stats.retired < 390_000_000) {
      const at = machine.stats.retired + 1 + random.below(10 ** (1 + random.below(7)))
      // As with a debugger, that has the code of the hart's turn found by its breakpoints.
      const debugged = random.below(4) === 0
      if (debugged) for (const { debug } of machine.vcpus) debug?.setStops([{ kind: 'breakpoint', address: 0x1000n }, { kind: 'watchpoint', address: 0x1000n, length: 8, on: 'write' }])
      machine.stopAt({ retired: at })
      machine.resume()
      while (machine.state === 'running') machine.runSlice(1e6)
      if (debugged) for (const { debug } of machine.vcpus) debug?.setStops([])
      expect(machine.stats.retired).toBe(at)
      stops++
    }
  })
  expect(stops).toBeGreaterThan(100)
  expect(stopped).toEqual(await boot(harts, 400_000_000))
})
