/** Booted guests under a hypervisor of two workers: they move while they work, get their shares, and one thread that dies leaves the others alone. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { virt } from '@machinist/boards'
import { nodeLoop, workerProcessor } from '@machinist/host-node'
import { createHypervisor, type HypervisorEvent, type OwnHypervisor, type ProcessorChannel } from '@machinist/hypervisor'
import type { MachineDefinition } from '@machinist/machine'
import { buildSync } from 'esbuild'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { guestCommandLine, prepareGuest } from '../src/index.ts'

let folder = ''
let program = ''
beforeAll(() => {
  // Where koffi is found.
  folder = mkdtempSync(join(import.meta.dirname, '../node_modules/.fleet-'))
  program = join(folder, 'worker.mjs')
  buildSync({ entryPoints: [join(import.meta.dirname, 'fleet-worker.ts')], outfile: program, bundle: true, platform: 'node', format: 'esm', target: 'node20', conditions: ['@machinist/source'], logLevel: 'error', external: ['koffi'] })
})
afterAll(() => { rmSync(folder, { recursive: true }) })

async function definition(): Promise<MachineDefinition> {
  const { kernel, initrd } = await prepareGuest()
  return virt({ console: 'console', kernel: readFileSync(kernel), initrd: readFileSync(initrd), memory: 128 * 2 ** 20, append: guestCommandLine({ console: 'ttyS0', quiet: true }) }).definition
}

const later = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })

class Console {
  text = ''
  write: (text: string) => void = () => {}

  static async of(hypervisor: OwnHypervisor, name: string): Promise<Console> {
    const console = new Console()
    const { write } = await hypervisor.console(name, { output: (bytes) => { console.text += Buffer.from(bytes).toString('latin1') }, closed() {} })
    console.write = (text) => { write(Buffer.from(text)) }
    return console
  }

  async said(what: RegExp): Promise<void> {
    while (!what.test(this.text)) await later(5)
  }
}

async function booted(hypervisor: OwnHypervisor, name: string): Promise<Console> {
  await hypervisor.start(name)
  const console = await Console.of(hypervisor, name)
  await console.said(/# /)
  console.write("stty -echo; PS1=''; echo re''ady\n")
  await console.said(/ready/)
  return console
}

it('guests move to and fro between two workers while their commands run, and lose nothing; a thread that dies takes only its own', async () => {
  const channels: ProcessorChannel[] = []
  const hypervisor = createHypervisor({
    loop: nodeLoop, processors: 2, balance: false,
    open(index) {
      channels[index] = workerProcessor(program)
      return channels[index]
    },
  })
  const events: HypervisorEvent[] = []
  hypervisor.on((event) => { events.push(event) })
  try {
    const machine = await definition()
    const names = ['a', 'b']
    const consoles: Console[] = []
    for (const name of names) {
      await hypervisor.add({ name, machine })
      consoles.push(await booted(hypervisor, name))
    }
    for (const console of consoles) {
      console.text = ''
      console.write("i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo line $i $(sha256sum /bin/busybox | cut -c1-8); done; echo do''ne\n")
    }
    const where = async (name: string): Promise<number> => (await hypervisor.machines()).find((each) => each.name === name)?.processor ?? -1
    const pauses: number[] = []
    for (let round = 0; round < 6; round++) {
      const name = names[round % names.length] ?? ''
      const begin = performance.now()
      await hypervisor.move(name, 1 - await where(name))
      pauses.push(performance.now() - begin)
      const console = consoles[round % names.length]
      const said = console?.text.length ?? 0
      while (console !== undefined && console.text.length <= said && !console.text.includes('done')) await later(5)
    }
    for (const console of consoles) {
      await console.said(/done/)
      const lines = [...console.text.matchAll(/line (\d+) ([0-9a-f]{8})\r\n/g)]
      expect(lines.map(([, number]) => Number(number))).toEqual(Array.from({ length: 60 }, (_, n) => n + 1))
      expect(new Set(lines.map(([, , sum]) => sum)).size).toBe(1)
    }
    process.stderr.write(`moves, there and answered: ${pauses.map((pause) => pause.toFixed(0)).join(' ')} ms\n`)
    // One thread goes: those on the other do not notice.
    await hypervisor.move('a', 0)
    await hypervisor.move('b', 1)
    await hypervisor.set('a', { restart: 'on-failure' })
    channels[0]?.close()
    channels[0]?.onClosed?.('ended by the test')
    consoles[1]?.write("echo still he''re\n")
    await consoles[1]?.said(/still here/)
    while (!events.some(({ kind, name }) => kind === 'restarted' && name === 'a')) await later(10)
    expect(events.filter(({ kind }) => kind === 'lost').map(({ name }) => name)).toEqual(['a'])
    const first = consoles[0]
    if (first !== undefined) first.text = ''
    await first?.said(/# /)
  } finally {
    hypervisor.close()
  }
})

it('guests that compute get CPU time as 1 : 2 : 4, and the table says what is due to them', async () => {
  const hypervisor = createHypervisor({ loop: nodeLoop, processors: 1, open: () => workerProcessor(program) })
  try {
    const machine = await definition()
    const shares = { one: 1000, two: 2000, four: 4000 }
    for (const [name, weight] of Object.entries(shares)) {
      await hypervisor.add({ name, machine, resources: { cpu: { shares: weight } } })
      const console = await booted(hypervisor, name)
      console.write('while :; do :; done\n')
    }
    await later(3000)
    const used = async (): Promise<number[]> => (await hypervisor.machines()).map(({ cpu }) => cpu.used)
    const before = await used()
    let got: number[] = []
    let all = 0
    // CPU time that they had, however long it takes.
    while (all < 6e9) {
      await later(500)
      got = (await used()).map((each, index) => each - (before[index] ?? 0))
      all = got.reduce((sum, each) => sum + each, 0)
    }
    for (const [index, part] of [1 / 7, 2 / 7, 4 / 7].entries()) expect(Math.abs((got[index] ?? 0) / all / part - 1), JSON.stringify(got)).toBeLessThan(0.03)
    const rows = (await hypervisor.table()).rows
    expect(rows.find(({ name }) => name === 'four')?.resources.cpu?.entitled).toBeCloseTo(4 / 7, 1)
  } finally {
    hypervisor.close()
  }
})
