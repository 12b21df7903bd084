/** A small guest on the microvm machine: long mode, paging, an exception, the timer of the local APIC, a serial line in ports, ACPI's power-off. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { microvm, microvmCatalogue, type MicrovmOptions } from '@machinist/boards'
import { type Collector, collector, nodeHost, openSnapshotFile, saveSnapshotFile } from '@machinist/host-node'
import { createMachine, instantiateStored, type Machine } from '@machinist/machine'
import { afterAll, expect, it } from 'vitest'
import { machineDigest } from './digest.ts'
import { ticks } from './x86/ticks.ts'

const SAID = 'Fabcdefghij\n'
const MIDDLE = 5_000_000
const folder = mkdtempSync(join(tmpdir(), 'machinist-microvm-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

function make(options: MicrovmOptions = {}): { readonly machine: Machine; readonly console: Collector } {
  const console = collector()
  return { machine: createMachine(microvm({ memory: 32 * 2 ** 20, kernel: ticks, rng: false, time: { instructionsPerSecond: 1e9 }, console, ...options }), nodeHost()), console }
}

/** Runs on until virtual time is `until`, or to the end. */
function run(machine: Machine, until = Infinity): void {
  if (machine.state === 'created') machine.start({ drive: 'caller' })
  else if (machine.state === 'paused') machine.resume()
  while (machine.state === 'running' && machine.stats.virtualTime < until) machine.runSlice(1e5)
}

it('says what happens, and switches itself off', () => {
  const { machine, console } = make()
  run(machine)
  expect([console.text(), machine.state, machine.status]).toEqual([SAID, 'off', 0])
  // Ten milliseconds of virtual time, by the timer.
  expect(Math.round(machine.stats.virtualTime / 1e6)).toBe(10)
  machine.dispose()
})

it('goes on from its middle as if nothing had happened: saved, copied, and replayed', async () => {
  const parts: Uint8Array[] = []
  const console = collector()
  const blueprint = microvm({ memory: 32 * 2 ** 20, kernel: ticks, rng: false, time: { instructionsPerSecond: 1e9 }, console })
  const machine = createMachine(blueprint, nodeHost(), { record: { sink: { write: (bytes) => { parts.push(bytes) }, end() {} } } })
  run(machine, MIDDLE)
  expect([machine.state, SAID.startsWith(console.text()), console.text().length]).toEqual(['running', true, 5])
  const file = join(folder, 'middle')
  await saveSnapshotFile(machine, file)
  const copied = collector()
  const copy = await machine.fork({ start: false, exact: true, backends: { 'uart0.console': copied } })
  run(machine)
  const [end, retired] = [machineDigest(machine), machine.stats.retired]
  machine.dispose()
  expect(console.text()).toBe(SAID)

  const heard = collector()
  const stored = openSnapshotFile(file)
  const restored = instantiateStored(stored, microvmCatalogue, nodeHost(), { exact: true, backends: { 'uart0.console': heard } })
  stored.close()
  for (const [each, said] of [[copy, copied], [restored, heard]] as const) {
    each.start({ drive: 'caller' })
    run(each)
    expect([said.text(), machineDigest(each), each.stats.retired]).toEqual([SAID.slice(5), end, retired])
    each.dispose()
  }

  const again = createMachine({ ...blueprint, backends: new Map() }, nodeHost(), { replay: { source: { part: (index) => parts[index] ?? null } } })
  run(again)
  expect([again.replay?.whole, again.state, again.stats.retired, machineDigest(again)]).toEqual([true, 'off', retired, end])
  again.dispose()
})

it('is restarted', () => {
  const { machine, console } = make()
  run(machine, MIDDLE)
  machine.reset()
  run(machine)
  expect(console.text()).toBe(SAID.slice(0, 5) + SAID)
  machine.dispose()
})

it('has the bytes that the source is', ({ skip }) => {
  const source = fileURLToPath(new URL('./x86/ticks.S', import.meta.url))
  const [object, flat] = [join(folder, 'ticks.o'), join(folder, 'ticks')]
  if (process.arch !== 'x64' || spawnSync('gcc', ['-c', '-m64', source, '-o', object]).status !== 0) skip('there is no gcc for x86 here')
  expect(spawnSync('ld', ['-Ttext', '0x200000', '-e', '0', '--oformat', 'binary', object, '-o', flat]).status).toBe(0)
  expect(Uint8Array.from(readFileSync(flat))).toEqual(ticks)
})
