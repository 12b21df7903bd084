/** Machines that are saved while they run Linux, and go on in another process. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { virt, virtCatalogue } from '@machinist/boards'
import { type Collector, collector, nodeHost, openSnapshotFile, saveSnapshotFile } from '@machinist/host-node'
import { createMachine, instantiateStored, type Machine } from '@machinist/machine'
import { buildSync } from 'esbuild'
import { afterAll, expect, it } from 'vitest'
import { guestCommandLine, prepareGuest } from '../src/index.ts'
import { ask } from './ask.ts'
import { machineDigest, runTo } from './digest.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-snapshot-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

const cpuTime = (): number => { const { user, system } = process.cpuUsage(); return (user + system) / 1000 }

/** Waits until a guest has said something. */
async function untilSaid(console: Collector, text: string): Promise<void> {
  while (!console.text().includes(text)) await new Promise((resolve) => { setTimeout(resolve, 20) })
}

async function counted(harts: number): Promise<Machine> {
  const { kernel, initrd } = await prepareGuest()
  return createMachine(virt({
    harts, console: collector(), time: { instructionsPerSecond: 100_000_000 },
    kernel: new Uint8Array(readFileSync(kernel)), initrd: new Uint8Array(readFileSync(initrd)), append: 'earlycon=sbi console=ttyS0',
  }), nodeHost())
}

it.each([1, 3])('a boot with %d harts that is saved, and restored elsewhere, again and again, goes on as one that is not', async (harts) => {
  const END = 420_000_000
  const alone = await counted(harts)
  runTo(alone, END)
  const expected = machineDigest(alone)
  alone.dispose()
  let machine = await counted(harts)
  // Other moments with another seed.
  let state = Number(process.env['SNAPSHOT_SEED'] ?? 1) >>> 0
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  // The second falls between the instant at which a hart's timer expires and the turn in which the hart notices.
  const moments = [3_000_000, 235_748_700, ...Array.from({ length: 3 }, () => 3_000_000 + Math.floor(random() * (END - 3_000_000)))].sort((a, b) => a - b)
  const path = join(folder, 'boot.snapshot')
  for (const moment of moments) {
    runTo(machine, moment)
    machine.pause()
    await saveSnapshotFile(machine, path)
    machine.dispose()
    const stored = openSnapshotFile(path)
    machine = instantiateStored(stored, virtCatalogue, nodeHost(), { exact: true })
    stored.close()
  }
  machine.dispose()
  const program = join(folder, 'resume.mjs')
  buildSync({ entryPoints: [join(import.meta.dirname, 'resume.ts')], outfile: program, bundle: true, platform: 'node', format: 'esm', target: 'node20', conditions: ['@machinist/source'], logLevel: 'error', external: ['koffi'] })
  expect(execFileSync(process.execPath, [program, path, String(END)], { encoding: 'utf8' }), `saved at ${moments.join()}`).toBe(expected)
})

it('a booted guest is saved, goes on, and answers again where it was restored, in no time', async () => {
  const { kernel, initrd } = await prepareGuest()
  const console = collector()
  const parent = createMachine(virt({
    console, kernel: readFileSync(kernel), initrd: readFileSync(initrd), append: guestCommandLine({ console: 'ttyS0', quiet: true }),
  }), nodeHost())
  parent.start()
  await untilSaid(console, '# ')
  // What is typed does not come back, and there is no prompt.
  console.type("stty -echo; PS1=''; echo re''ady\n")
  await untilSaid(console, 'ready')
  await ask(parent, console, 'echo here >/tmp/who')
  const path = join(folder, 'booted.snapshot')
  const before = cpuTime()
  const size = await saveSnapshotFile(parent, path)
  process.stderr.write(`save: ${(cpuTime() - before).toFixed(0)} ms of CPU, ${(size / 1e6).toFixed(1)} MB\n`)
  expect(await ask(parent, console, 'echo parent >>/tmp/who; cat /tmp/who')).toBe('here\nparent')
  // A child has what changed since.
  const childPath = join(folder, 'later.snapshot')
  const between = cpuTime()
  const childSize = await saveSnapshotFile(parent, childPath, { parent: path })
  process.stderr.write(`save as its child: ${(cpuTime() - between).toFixed(0)} ms of CPU, ${(childSize / 1e6).toFixed(1)} MB\n`)
  expect(childSize).toBeLessThan(size / 4)
  parent.dispose()
  const later = collector()
  const child = openSnapshotFile(childPath)
  const laterMachine = instantiateStored(child, virtCatalogue, nodeHost(), { backends: { 'uart0.console': later } })
  child.close()
  laterMachine.resume()
  expect(await ask(laterMachine, later, 'cat /tmp/who')).toBe('here\nparent')
  laterMachine.dispose()
  for (let i = 0; i < 5; i++) {
    const own = collector()
    const began = performance.now()
    const stored = openSnapshotFile(path)
    const machine = instantiateStored(stored, virtCatalogue, nodeHost(), { backends: { 'uart0.console': own } })
    stored.close()
    const ready = performance.now()
    machine.resume()
    expect(await ask(machine, own, 'cat /tmp/who')).toBe('here')
    process.stderr.write(`restore: ready after ${(ready - began).toFixed(0)} ms, answer after ${(performance.now() - began).toFixed(0)} ms, ${machine.memory.touchedPages} pages\n`)
    expect(await ask(machine, own, 'sha256sum /bin/busybox | wc -c; echo child >>/tmp/who; cat /tmp/who')).toMatch(/here\nchild$/)
    // The images are in the file: it can be reset.
    if (i === 0) {
      machine.reset()
      await untilSaid(own, 'BusyBox v')
    }
    machine.dispose()
  }
})
