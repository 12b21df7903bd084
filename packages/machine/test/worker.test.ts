import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createMachine, defineMachine, type HandedMachine, instantiateHanded, type Machine, type MachineBlueprint, part } from '../src/index.ts'
import { assemble, constant, fakeCpu, op } from '../src/testing/fake-cpu.ts'
import { gadget, hub } from '../src/testing/fake-devices.ts'
import { collector, sharedMemory, testHost } from './harness.ts'
import type { ToWorker } from './worker.ts'

const RAM = 0x8000_0000
const GADGET = 0x1000_0000

let folder = ''
let worker: Worker
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'machinist-worker-'))
  const file = join(folder, 'worker.mjs')
  const root = join(import.meta.dirname, '../../..')
  const built = spawnSync(join(root, 'node_modules/.bin/esbuild'), [
    join(import.meta.dirname, 'worker.ts'), '--bundle', '--platform=node', '--format=esm', '--conditions=@machinist/source', `--outfile=${file}`,
  ], { encoding: 'utf8' })
  expect(built.status, built.stderr).toBe(0)
  worker = new Worker(file)
})
afterAll(async () => {
  await worker.terminate()
  rmSync(folder, { recursive: true })
})

function ask<T>(message: ToWorker): Promise<T> {
  const answer = new Promise<T>((resolve, reject) => {
    worker.once('error', reject)
    worker.once('message', (message: T) => {
      worker.off('error', reject)
      resolve(message)
    })
  })
  worker.postMessage(message)
  return answer
}

test('a definition crosses to a worker, and the machine is made and runs there', async () => {
  const write = (offset: number, value: number): number[] => [...constant(7, GADGET + offset), op.li(6, value), op.store(6, 7)]
  const { definition } = defineMachine({
    name: 'remote',
    memory: { base: RAM, size: 1 << 20 },
    cpu: part(fakeCpu),
    devices: { hub: part(hub, { at: 0xc00_0000 }), gadget: part(gadget, { at: GADGET, backends: { console: 'output' } }) },
    boot: { protocol: 'raw', entry: RAM, images: [{ name: 'code', at: RAM, bytes: assemble([...write(0, 111), ...write(0, 107), ...write(4, 5), op.stop()]) }] },
  })
  expect(await ask({ definition })).toEqual({ text: 'ok', status: 5, state: 'off' })
})

/** Counts in memory, says each number, and has a timer armed all the time. */
function counting(console: ReturnType<typeof collector>): MachineBlueprint {
  return defineMachine({
    name: 'counting',
    memory: { base: RAM, size: 1 << 20 },
    cpu: part(fakeCpu),
    devices: { hub: part(hub, { at: 0xc00_0000 }), gadget: part(gadget, { at: GADGET, backends: { console } }) },
    boot: {
      protocol: 'raw', entry: RAM,
      images: [{
        name: 'code', at: RAM,
        bytes: assemble([
          ...constant(1, RAM + 0x8000), ...constant(2, GADGET), ...constant(3, GADGET + 12), op.li(4, 1), ...constant(6, 400_000),
          op.load(5, 1), op.add(5, 4), op.store(5, 1), op.store(5, 2), op.store(6, 3), op.slow(20), op.branch(4, -6),
        ]),
      }],
    },
    time: { instructionsPerSecond: 1e4 },
  })
}

function looks(machine: Machine): unknown {
  const bytes = new Uint8Array(1 << 16)
  machine.memory.read(RAM, bytes)
  return { devices: machine.saveDevices(), harts: machine.vcpus.map((vcpu) => vcpu.save()), time: machine.stats.virtualTime, retired: machine.stats.retired, bytes }
}

test('a machine goes to a worker and comes back, time and again, and is what it would have been', async () => {
  let seed = Number(process.env['MACHINIST_SEED'] ?? 1)
  const below = (most: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0
    return (seed >>> 8) % most
  }
  const host = testHost({ linearMemory: sharedMemory })
  const [console, other] = [collector(), collector()]
  const begun = [console, other].map((each) => createMachine(counting(each), host))
  for (const machine of begun) machine.start({ drive: 'caller' })
  let moved = begun[0] as Machine
  const stays = begun[1] as Machine
  let text = ''
  for (let n = 0; n < 20; n++) {
    const [here, there] = [below(30), below(30)]
    for (let slice = 0; slice < here; slice++) moved.runSlice(0)
    text += console.bytes.splice(0).join()
    const gone = moved
    await gone.handOver(async (handed) => {
      expect(await ask({ handed, slices: there, known: true })).toEqual({ state: 'paused' })
      expect([gone.state, gone.runSlice(0)]).toEqual(['running', { kind: 'idle', until: Infinity, at: Infinity }])
    })
    expect(gone.state).toBe('disposed')
    const { back, text: said } = await ask<{ back: HandedMachine; text: string }>('go')
    text += [...said].map((char) => char.charCodeAt(0)).join()
    moved = instantiateHanded(back, counting(console).catalogue, host, { backends: { 'gadget.console': console } })
    worker.postMessage('go')
    moved.start({ drive: 'caller' })
    for (let slice = 0; slice < here + there; slice++) stays.runSlice(0)
    expect(looks(moved)).toEqual(looks(stays))
  }
  expect([text.replaceAll(',', '').length > 300, text.replaceAll(',', '')]).toEqual([true, other.bytes.map((byte) => byte & 0xff).join('')])
  moved.dispose()
  stays.dispose()
})

test('when the worker cannot have it, the machine goes on where it is', async () => {
  const host = testHost({ linearMemory: sharedMemory })
  const console = collector()
  const machine = createMachine(counting(console), host)
  machine.start({ drive: 'caller' })
  for (let n = 0; n < 20; n++) machine.runSlice(0)
  const before = looks(machine)
  const refused = machine.handOver(async (handed) => {
    const { code } = await ask<{ code: string }>({ handed, slices: 0, known: false })
    throw new Error(code)
  })
  await expect(refused).rejects.toThrow('hand-over-backend')
  expect([machine.state, looks(machine)]).toEqual(['running', before])
  const said = console.bytes.length
  for (let n = 0; n < 20; n++) machine.runSlice(0)
  expect(console.bytes.length).toBeGreaterThan(said)
  const { arena } = machine.memory
  machine.dispose()
  expect([arena.frames, arena.members]).toEqual([0, 0])
})
