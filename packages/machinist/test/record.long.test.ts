/** Boots that are recorded with all that they are connected to, and replayed in another process with nothing. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Collector, collector, nodeHost, readWhole, recordIntoFile } from '@machinist/host-node'
import { createMachine, type MachineBlueprint } from '@machinist/machine'
import { memoryDisk } from '@machinist/storage'
import { buildSync } from 'esbuild'
import { afterAll, expect, it } from 'vitest'
import { board } from '../src/architecture.ts'
import { guestCommandLine, prepareGuest } from '../src/index.ts'
import { ask } from './ask.ts'
import { machineDigest } from './digest.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-record-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

/** What the disk begins with, which the guest reads. */
const MARK = 'A mark that is nowhere else: 6f1e9c.'

type Kind = 'riscv64' | 'amd64' | 'i386'

async function guest(architecture: Kind, harts: number, console: Collector): Promise<MachineBlueprint> {
  const { kernel, initrd } = await prepareGuest({ architecture })
  const disk = new Uint8Array(4 << 20)
  disk.set(Buffer.from(MARK))
  return board(architecture, {
    harts, console, kernel: readWhole(kernel, 'kernel'), initrd: readWhole(initrd, 'initrd'), append: guestCommandLine({ console: 'ttyS0', architecture, quiet: true }),
    time: { instructionsPerSecond: 1e9 }, randomness: 'host', wallClock: 'host', disks: [memoryDisk(disk)], nets: [{ net: 'nat', config: {} }],
  })
}

async function untilSaid(console: Collector, text: string): Promise<void> {
  while (!console.text().includes(text)) await new Promise((resolve) => { setTimeout(resolve, 20) })
}

it.each<[Kind, number]>([['riscv64', 1], ['riscv64', 3], ['amd64', 2], ['i386', 1]])('a boot of %s with %d harts, a disk, a network, random numbers and somebody who types is the same in another process', async (architecture, harts) => {
  const console = collector()
  const path = join(folder, 'boot.recording')
  const file = recordIntoFile(path)
  const machine = createMachine(await guest(architecture, harts, console), nodeHost(), { record: { sink: file.sink, paced: true } })
  await file.begin(machine)
  machine.start()
  await untilSaid(console, '# ')
  expect(await ask(machine, console, "dd if=/dev/vda bs=512 count=1 2>/dev/null | head -c 36; echo; echo new > /dev/vda; sync")).toContain(MARK)
  expect(await ask(machine, console, 'ping -c 1 10.0.2.2 | grep -c "1 packets received"; nslookup nowhere.invalid >/dev/null; date')).toContain('1')
  // It stands still for a moment, and is saved.
  machine.pause()
  machine.resume()
  const snapshot = await machine.save()
  snapshot.dispose()
  await ask(machine, console, 'head -c 100000 /dev/urandom | sha256sum; md5sum /dev/vda')
  console.type('poweroff\n')
  expect(await machine.finished()).toMatchObject({ status: 0, error: null })
  const expected = { retired: machine.stats.retired, digest: machineDigest(machine) }
  machine.dispose()
  process.stderr.write(`${architecture}, ${harts} harts: ${expected.retired} instructions, ${(statSync(path).size / 1e6).toFixed(1)} MB\n`)
  const program = join(folder, 'replay.mjs')
  buildSync({ entryPoints: [join(import.meta.dirname, 'replay.ts')], outfile: program, bundle: true, platform: 'node', format: 'esm', target: 'node20', conditions: ['@machinist/source'], logLevel: 'error', external: ['koffi'] })
  const outcome = JSON.parse(execFileSync(process.execPath, [program, path, architecture], { encoding: 'utf8' })) as { replay: { checks: number } }
  expect(outcome).toMatchObject({ ...expected, status: 0, error: null, replay: { ended: true, whole: true, off: true, difference: null } })
  expect(outcome.replay.checks).toBeGreaterThan(10)
})

it('one byte of a disk that is another one is found', async () => {
  const console = collector()
  const blueprint = await guest('riscv64', 1, console)
  const parts: Uint8Array[] = []
  const machine = createMachine(blueprint, nodeHost(), { record: { sink: { write: (bytes) => { parts.push(bytes) }, end() {} }, paced: true } })
  machine.start()
  await untilSaid(console, '# ')
  const before = machine.stats.retired
  await ask(machine, console, 'dd if=/dev/vda bs=512 count=1 of=/tmp/copy; cat /tmp/copy /tmp/copy >/tmp/more')
  const after = machine.stats.retired
  console.type('poweroff\n')
  await machine.finished()
  const all = machine.stats.retired
  machine.dispose()
  let changed = 0
  const wrong = parts.map((bytes) => {
    const copy = Buffer.from(bytes)
    const at = copy.lastIndexOf(MARK)
    if (at >= 0) copy[at + 5] = (copy[at + 5] ?? 0) ^ 1
    changed += Number(at >= 0)
    return new Uint8Array(copy)
  })
  expect(changed).toBeGreaterThan(0)
  const again = createMachine({ ...blueprint, backends: new Map() }, nodeHost(), { replay: { source: { part: (index) => wrong[index] ?? null } } })
  again.start()
  const { error } = await again.finished()
  again.dispose()
  expect(error).toMatchObject({ code: 'replay-difference' })
  // Before it, the guest had not read the byte; a checksum of memory comes each 2000 million instructions, and at the end.
  const found = Number(/after ([0-9]+) instructions/.exec(error?.message ?? '')?.[1])
  expect(found).toBeGreaterThan(0)
  expect(found).toBeLessThanOrEqual(Math.min(all, Math.max(after, before) + 2_100_000_000))
})
