import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildImage } from '@machinist/host-metal/build'
import { afterAll, expect, it } from 'vitest'
import { bootImage } from '../../test/boot-image.ts'
import { fleetOf } from '../fleet/file/fleet.ts'
import { prepareEngine } from './engine.ts'
import { imageFiles } from './plan.ts'

const root = fileURLToPath(new URL('../../../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'machinist-fairness-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

/** As `neighbour.c` numbers them. The first is what the others are compared with: one that computes, as the two do that are measured. */
const neighbours = ['spins', 'device', 'calls', 'console', 'ipis', 'timers', 'memory', 'frames'] as const

function guest(mode: number): string {
  const [elf, binary] = [join(folder, `${mode}.elf`), join(folder, `${mode}.bin`)]
  execFileSync('riscv64-unknown-elf-gcc', ['-march=rv64g', '-mabi=lp64', '-mcmodel=medany', '-O2', '-nostdlib', '-nostartfiles', '-ffreestanding', '-ffunction-sections', `-DMODE=${mode}`, '-Wl,-Ttext=0x80200000,--section-start=.text.start=0x80200000', '-o', elf, join(root, 'packages/machinist/test/metal/neighbour.c')])
  execFileSync('riscv64-unknown-elf-objcopy', ['-O', 'binary', elf, binary])
  return binary
}

it('a guest that floods devices, the console, calls, interrupts, timers or the network, or uses up its memory, takes nothing from others', async () => {
  const machine = (mode: number): object => ({ kernel: guest(mode), memory: '32M' })
  const machines = {
    good1: { ...machine(0), autostart: false }, good2: { ...machine(0), autostart: false },
    ...Object.fromEntries(neighbours.map((name, mode) => [name, { ...machine(mode), autostart: false }])),
  }
  const files = imageFiles(await fleetOf({ machines }, join(root, 'machines.json')))
  const image = await buildImage({ engine: await prepareEngine(), root, program: join(root, 'packages/machinist/test/metal/fairness.ts'), files, output: join(folder, 'image') })
  // A processor of a gigahertz.
  const text = await bootImage(image.path, { more: ['-icount', 'shift=0'] })
  const rows = new Map([...text.matchAll(/^(\w+) (\w+) (\d+) (\d+)$/gm)].map(([, name = '', state, ...work]) => [name, { state, work: work.map(Number) }]))
  expect([...rows.keys()], text.slice(-2000)).toEqual([...neighbours])
  // One run more or less of one of the two is the other's: the sum is what a neighbour takes from both.
  const both = (name: string): number => rows.get(name)?.work.reduce((sum, amount) => sum + amount, 0) ?? 0
  for (const [name, { state, work }] of rows) {
    expect(state, name).toBe('running')
    // They have more where the neighbour waits for what it does itself.
    expect(both(name) / both('spins'), `${name}: ${JSON.stringify([...rows])}`).toBeGreaterThan(0.95)
    const [one = 0, other = 0] = work
    expect(Math.abs(one / other - 1), `${name}: ${JSON.stringify([...rows])}`).toBeLessThan(0.05)
  }
})
