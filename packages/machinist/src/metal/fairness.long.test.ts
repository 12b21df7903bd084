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

/** As `neighbour.c` numbers them. */
const modes = ['spins', 'device', 'calls', 'console', 'ipis', 'timers', 'memory', 'frames', 'elsewhere'] as const
type Mode = (typeof modes)[number]

/** Compiles a program of `test/metal`, for an address. */
function compiled(name: string, source: string, at: string, defines: readonly string[] = []): string {
  const [elf, binary] = [join(folder, `${name}.elf`), join(folder, `${name}.bin`)]
  execFileSync('riscv64-unknown-elf-gcc', ['-march=rv64g', '-mabi=lp64', '-mcmodel=medany', '-O2', '-nostdlib', '-nostartfiles', '-ffreestanding', '-ffunction-sections', ...defines, `-Wl,-Ttext=${at},--section-start=.text.start=${at}`, '-o', elf, join(root, 'packages/machinist/test/metal', source)])
  execFileSync('riscv64-unknown-elf-objcopy', ['-O', 'binary', elf, binary])
  return binary
}

function guest(mode: Mode, harts: number): string {
  return compiled(`${mode}${harts}`, 'neighbour.c', '0x80200000', [`-DMODE=${modes.indexOf(mode)}`, `-DHARTS=${harts}`])
}

/** What a neighbour was when it was measured, and what each of two guests that compute had done beside it. */
interface Row {
  readonly state: string
  readonly work: readonly number[]
}

/** Has machines of so many harts run on as many, two that compute beside each of some others. */
async function measured(harts: number, neighbours: readonly Mode[]): Promise<ReadonlyMap<string, Row>> {
  const machine = (mode: Mode): object => ({ kernel: guest(mode, harts), memory: '32M', autostart: false, harts })
  const machines = { ...Object.fromEntries(neighbours.map((name) => [name, machine(name)])), good1: machine('spins'), good2: machine('spins') }
  const files = imageFiles(await fleetOf({ machines }, join(root, 'machines.json')))
  const image = await buildImage({ engine: await prepareEngine(), root, program: join(root, 'packages/machinist/test/metal/fairness.ts'), files, output: join(folder, `image${harts}`) })
  // A processor of a gigahertz, or two of half of that: see by-turns.c.
  const text = await bootImage(image.path, { harts, ...(harts > 1 && { bios: compiled('by-turns', 'by-turns.c', '0x80000000') }), more: ['-icount', 'shift=0,sleep=off'] })
  const rows = new Map([...text.matchAll(/^(\w+) (\w+) (\d+) (\d+)$/gm)].map(([, name = '', state = '', ...work]): [string, Row] => [name, { state, work: work.map(Number) }]))
  expect([...rows.keys()], text.slice(-2000)).toEqual([...neighbours])
  return rows
}

/** @param least - what both have at least of what they have beside one that computes, too; `apart`: how different they may be */
function expectFair(rows: ReadonlyMap<string, Row>, least: number, apart: number): void {
  // One run more or less of one of the two is the other's: the sum is what a neighbour takes from both.
  const both = (name: string): number => rows.get(name)?.work.reduce((sum, amount) => sum + amount, 0) ?? 0
  for (const [name, { state, work }] of rows) {
    expect(state, name).toBe('running')
    // They have more where the neighbour waits for what it does itself.
    expect(both(name) / both('spins'), `${name}: ${JSON.stringify([...rows])}`).toBeGreaterThan(least)
    const [one = 0, other = 0] = work
    expect(Math.abs(one / other - 1), `${name}: ${JSON.stringify([...rows])}`).toBeLessThan(apart)
  }
}

it('a guest that floods devices, the console, calls, interrupts, timers or the network, or uses up its memory, takes nothing from others', async () => {
  expectFair(await measured(1, modes.filter((mode) => mode !== 'elsewhere')), 0.95, 0.05)
})

it('nor does one of several harts on several processors, which also calls a hart of its own that is stopped', async () => {
  // Beside `memory` and `frames` it is 0.95 to 0.96, in runs of twice this length, too; and one of this length differs from another by 0.015 or more.
  expectFair(await measured(2, ['spins', 'device', 'memory', 'frames', 'elsewhere']), 0.92, 0.05)
})
