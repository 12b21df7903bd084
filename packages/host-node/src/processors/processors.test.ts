import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createHypervisor, type HypervisorEvent, type MachineSpec, type OwnHypervisor } from '@machinist/hypervisor'
import type { BackendDescriptor, MachineDefinition } from '@machinist/machine'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { assemble, constant, op, poke, say, testGuests, testMachine } from '@machinist/machine/testing'
import { nodeLoop, threadCpuTime, workerProcessor, type WorkerProcessorOptions } from '../index.ts'

/** What a console said. */
function listener(): { text: string; readonly to: { output(bytes: Uint8Array): void; closed(): void } } {
  const heard = { text: '', to: { output(bytes: Uint8Array) { heard.text += String.fromCharCode(...bytes) }, closed() {} } }
  return heard
}

let folder: string
let worker: string
beforeAll(() => {
  // Where koffi is found.
  folder = mkdtempSync(join(import.meta.dirname, '../../node_modules/.processors-'))
  worker = join(folder, 'worker.mjs')
  const root = join(import.meta.dirname, '../../../..')
  const built = spawnSync(join(root, 'node_modules/.bin/esbuild'), [
    join(import.meta.dirname, '../../test/processor-worker.ts'), '--bundle', '--platform=node', '--format=esm', '--conditions=@machinist/source', '--external:koffi', `--outfile=${worker}`,
  ], { encoding: 'utf8' })
  expect(built.status, built.stderr).toBe(0)
})
afterAll(() => { rmSync(folder, { recursive: true }) })

interface Trial {
  readonly hypervisor: OwnHypervisor
  readonly events: HypervisorEvent[]
  until(what: () => boolean | Promise<boolean>): Promise<void>
}

async function trial(options: (index: number) => WorkerProcessorOptions, work: (trial: Trial) => Promise<void>): Promise<void> {
  const hypervisor = createHypervisor({ loop: nodeLoop, processors: 2, open: (index) => workerProcessor(worker, options(index)) })
  const events: HypervisorEvent[] = []
  hypervisor.on((event) => { events.push(event) })
  try {
    await work({
      hypervisor, events,
      async until(what) { while (!await what()) await new Promise((resolve) => { setTimeout(resolve, 5) }) },
    })
  } finally {
    hypervisor.close()
  }
}

/** Does harm after a while. */
function harmful(register: number): MachineDefinition {
  const plain = testMachine(testGuests.busy)
  const boot = { protocol: 'raw' as const, images: [{ name: 'code', at: 0x8000_0000, bytes: assemble([...say('!'), ...constant(1, 30_000_000), op.timer(1), op.wait(), ...constant(7, 0x2000_0000 + register), op.store(6, 7), ...testGuests.busy]) }], entry: 0x8000_0000 }
  return { ...plain, devices: { ...plain.devices, harm: { kind: 'harm', at: 0x2000_0000 } }, boot }
}

/** Says a letter each 2 ms. */
const ticking = [...poke(12, 2_000_000), op.wait(), ...poke(20, 0), ...say('.'), op.li(1, 1), op.branch(1, -17)]
const machine = (name: string, words: readonly number[], more: Partial<MachineSpec> = {}): MachineSpec => ({ name, machine: testMachine(words), ...more })

test('the CPU clock of a thread goes on while it works, and not while it waits', () => {
  const clock = threadCpuTime()
  expect(clock).not.toBeNull()
  const begin = clock?.() ?? 0
  while ((clock?.() ?? 0) < begin + 5e6);
  const before = clock?.() ?? 0
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
  expect((clock?.() ?? Infinity) - before).toBeLessThan(50e6)
})

test('machines live in workers, say something, are charged CPU time, and move from one to the other', async () => {
  await trial(() => ({}), async ({ hypervisor, events, until }) => {
    await hypervisor.add(machine('tick', ticking))
    await hypervisor.add(machine('busy', testGuests.busy, { resources: { cpu: { limit: 0.2 } } }))
    await Promise.all([hypervisor.start('tick'), hypervisor.start('busy')])
    const heard = listener()
    await hypervisor.console('tick', heard.to)
    const report = async (name: string): Promise<Awaited<ReturnType<OwnHypervisor['machines']>>[number] | undefined> => (await hypervisor.machines()).find((each) => each.name === name)
    await until(async () => heard.text.length > 5 && ((await report('busy'))?.cpu.used ?? 0) > 1e6)
    const home = (await report('tick'))?.processor ?? -1
    expect((await report('busy'))?.processor).toBe(1 - home)
    for (let round = 1; round <= 6; round++) {
      await hypervisor.move('tick', (home + round) % 2)
      const said = heard.text.length
      await until(() => heard.text.length > said + 3)
      expect(await report('tick')).toMatchObject({ state: 'running', processor: (home + round) % 2 })
    }
    expect(heard.text).toMatch(/^\.+$/)
    await hypervisor.reset('tick')
    await hypervisor.remove('tick')
    expect(events.filter(({ kind }) => kind === 'lost' || kind === 'processor-lost' || kind === 'warning')).toEqual([])
  })
})

/** Knocks with a letter each 2 ms, and says what came. */
function knocking(letter: string, net: BackendDescriptor): MachineDefinition {
  const loop = [...poke(12, 2_000_000), op.wait(), ...poke(20, 0), ...constant(7, 0x2000_0000), ...constant(6, letter.charCodeAt(0)), op.store(6, 7), op.load(5, 7), ...constant(7, 0x1000_0000), op.store(5, 7), op.li(1, 1)]
  const plain = testMachine([...loop, op.branch(1, -loop.length)])
  return { ...plain, devices: { ...plain.devices, knocker: { kind: 'knocker', at: 0x2000_0000, backends: { net } } } }
}

test('machines of several workers are in networks that they name, wherever they go; one that ends takes its ports with it', async () => {
  await trial(() => ({}), async ({ hypervisor, events, until }) => {
    const lan = { type: 'nat', switch: 'lan' }
    const start = async (name: string, letter: string, net: BackendDescriptor, processor: number, more: Partial<MachineSpec> = {}): Promise<void> => {
      await hypervisor.add({ name, machine: knocking(letter, net), ...more })
      await hypervisor.move(name, processor)
      await hypervisor.start(name)
    }
    /** Waits until a machine hears all of these letters from now on. */
    const hears = async (name: string, letters: string): Promise<string> => {
      const heard = listener()
      const console = await hypervisor.console(name, heard.to)
      heard.text = ''
      await until(() => [...letters].every((letter) => heard.text.includes(letter)))
      console.close()
      return heard.text
    }
    await start('a', 'a', lan, 0, { restart: 'on-failure' })
    await start('b', 'b', lan, 1)
    await start('apart', 'x', { ...lan, switch: 'other' }, 1)
    await Promise.all([hears('a', 'b'), hears('b', 'a')])
    await hypervisor.move('b', 0)
    expect((await Promise.all([hears('a', 'b'), hears('b', 'a')])).join('')).not.toContain('!')
    await hypervisor.move('b', 1)
    expect((await Promise.all([hears('a', 'b'), hears('b', 'a')])).join('')).not.toContain('!')
    await hypervisor.fork('b', { name: 'copy' })
    await Promise.all([hears('a', 'b'), hears('b', 'ab'), hears('copy', 'ab')])
    await hypervisor.move('copy', 0)
    await Promise.all([hears('b', 'ab'), hears('copy', 'ab')])
    await hypervisor.add({ name: 'harm', machine: harmful(8) })
    await hypervisor.move('harm', 0)
    await hypervisor.start('harm')
    await until(() => events.some(({ kind, name }) => kind === 'restarted' && name === 'a'))
    const [, heard] = await Promise.all([hears('a', 'b'), hears('b', 'a')])
    expect(heard).not.toContain('x')
    // Who comes says the same as those that are there.
    const other = { ...lan, mode: 'isolated' }
    await start('c', 'c', other, 0)
    await until(() => events.some(({ kind, name }) => kind === 'failed' && name === 'c'))
    expect(events.find(({ kind, name }) => kind === 'failed' && name === 'c')?.text).toContain('the switch has other options')
    for (const name of ['a', 'b']) await hypervisor.stop(name)
    await hypervisor.start('c')
    await start('d', 'd', other, 1)
    await hears('c', 'd')
    // One that goes on from a file is there again.
    const file = join(folder, 'd.snapshot')
    await hypervisor.save('d', file)
    await hypervisor.stop('d')
    await hypervisor.start('d', file)
    await Promise.all([hears('c', 'd'), hears('d', 'c')])
  })
})

describe('a machine that does harm to its thread', () => {
  const harms = [
    { name: 'never gives it back', register: 0, options: { patience: 5000 }, text: /said nothing/ },
    { name: 'throws where nobody catches it', register: 4, options: {}, text: /a bug in the host/ },
    { name: 'ends it', register: 8, options: {}, text: /status 3/ },
    { name: 'takes all of its heap', register: 12, options: { resourceLimits: { maxOldGenerationSizeMb: 64 } }, text: /memory/ },
  ]
  test.each(harms)('$name: those beside it are lost, and started again if they are to be; others go on', async ({ register, options, text }) => {
    await trial((index) => (index === 0 ? options : {}), async ({ hypervisor, events, until }) => {
      const all: MachineSpec[] = [{ name: 'harm', machine: harmful(register) }, machine('beside', ticking, { restart: 'on-failure' }), machine('gone', ticking), machine('apart', ticking)]
      for (const spec of all) {
        await hypervisor.add(spec)
        await hypervisor.move(spec.name, spec.name === 'apart' ? 1 : 0)
      }
      for (const name of ['apart', 'beside', 'gone', 'harm']) await hypervisor.start(name)
      const heard = listener()
      await hypervisor.console('apart', heard.to)
      await until(() => events.some(({ kind, name }) => kind === 'restarted' && name === 'beside'))
      expect(events.filter(({ kind }) => kind === 'lost').map(({ name }) => name).sort()).toEqual(['beside', 'gone', 'harm'])
      expect(events.find(({ kind }) => kind === 'processor-lost')?.text).toMatch(text)
      const states = Object.fromEntries((await hypervisor.machines()).map(({ name, state }) => [name, state]))
      expect(states).toEqual({ harm: 'off', beside: 'running', gone: 'off', apart: 'running' })
      const said = heard.text.length
      await until(() => heard.text.length > said + 20)
      expect(heard.text).toMatch(/^\.+$/)
      // The one in its place takes machines.
      await hypervisor.move('gone', 0)
      await hypervisor.start('gone')
      expect((await hypervisor.machines()).find(({ name }) => name === 'gone')).toMatchObject({ state: 'running', processor: 0 })
    })
  })
})
