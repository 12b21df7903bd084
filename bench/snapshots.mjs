/**
 * `node bench/snapshots.mjs [--runs N]` after a build: what saving a booted guest of 256 MiB into a file costs, and going on from there until its shell has answered; beside QEMU's
 * `savevm` and `loadvm` in a qcow2 image, and its migration to a file and from it: the same kernel and initrd, one hart, in turn. Medians, of CPU time of all threads and processes,
 * which has a grain of 10 ms where another process is measured, and of wall time.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { cpuSeconds } from './cpu-time.mjs'
import { product } from './product.mjs'
import { QemuGuest } from './qmp.mjs'

const { values: { runs: wanted, file: child } } = parseArgs({ options: { runs: { type: 'string', default: '7' }, file: { type: 'string' } } })
const runs = Number(wanted)
// The answer is not in what is typed.
const [COMMAND, ANSWER] = ["echo hel''lo\n", 'hello']
const PROMPT = '# '
/** A guest that has just booted goes on doing this and that. */
const SETTLE = 4000
const cli = fileURLToPath(new URL('../packages/machinist/dist/cli.cjs', import.meta.url))

const { nodeHost, openSnapshotFile, saveSnapshotFile, stream } = await product('host-node')
const { instantiateStored, createMachine } = await product('machine')
const { virt, virtCatalogue } = await product('boards')

/** @typedef {{ cpu: number, wall: number }} Cost CPU and wall milliseconds */

/** CPU milliseconds of this process. */
const ownCpu = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** What something costs in this process. @param {() => Promise<void>} work @returns {Promise<Cost>} */
async function cost(work) {
  const [cpu, wall] = [ownCpu(), performance.now()]
  await work()
  return { cpu: ownCpu() - cpu, wall: performance.now() - wall }
}

/** @param {readonly number[]} figures */
const median = (figures) => [...figures].sort((a, b) => a - b)[figures.length >> 1] ?? NaN

/** A console that says when something was said. */
function listener() {
  const heard = { text: '', told: () => {} }
  const backend = stream({ output(bytes) {
    heard.text += Buffer.from(bytes).toString('latin1')
    heard.told()
  } })
  return {
    backend,
    /** @param {string} text */
    async said(text) {
      while (!heard.text.includes(text)) await new Promise((resolve) => { heard.told = () => { resolve(undefined) } })
      heard.text = ''
    },
  }
}

/** Goes on from a file in this process, to the shell's answer. @param {string} file */
async function restoreHere(file) {
  const stored = openSnapshotFile(file)
  const console = listener()
  const machine = instantiateStored(stored, virtCatalogue, nodeHost(), { backends: { 'uart0.console': console.backend, 'cpu.console': console.backend } })
  stored.close()
  machine.start()
  console.backend.type(COMMAND)
  await console.said(ANSWER)
  return machine
}

if (child !== undefined) {
  const { cpu, wall } = await cost(async () => { await restoreHere(child) })
  console.log(JSON.stringify({ cpu, wall }))
  process.exit()
}

const { guestCommandLine, prepareGuest } = await product('machinist')
const guest = await prepareGuest()
const folder = mkdtempSync(join(tmpdir(), 'machinist-bench-'))
const [file, migrated, disk, socket] = ['ours.snapshot', 'qemu.migration', 'disk.qcow2', 'qmp'].map((name) => join(folder, name))
if (file === undefined || migrated === undefined || disk === undefined || socket === undefined) throw new Error('no files')
const append = guestCommandLine({ console: 'ttyS0', quiet: true })
// Some machines have Node.js read further certificates whenever it starts.
const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env

/** @type {Map<string, Cost[]>} */
const rows = new Map()
/** @param {string} row @param {Cost} figures */
const note = (row, figures) => { rows.set(row, [...rows.get(row) ?? [], figures]) }

const qemuArgs = [
  '-M', 'virt', '-accel', 'tcg', '-smp', '1', '-m', '256M', '-nodefaults', '-display', 'none', '-no-reboot', '-serial', 'stdio', '-global', 'virtio-mmio.force-legacy=false',
  '-device', 'virtio-rng-device', '-drive', `if=none,id=disk,file=${disk}`, '-device', 'virtio-blk-device,drive=disk', '-kernel', guest.kernel, '-initrd', guest.initrd, '-append', append,
]

/** The command of our side, until the answer. @returns {Promise<Cost>} */
function restoreCommand() {
  const began = performance.now()
  const command = spawn(process.execPath, [cli, 'restore', /** @type {string} */ (file), '--net', 'none'], { env, stdio: ['pipe', 'pipe', 'inherit'] })
  command.stdin.write(COMMAND)
  let text = ''
  return new Promise((resolve) => {
    command.stdout.setEncoding('latin1').on('data', (more) => {
      text += more
      if (!text.includes(ANSWER) || command.killed) return
      const figures = { cpu: cpuSeconds(command.pid ?? 0) * 1000, wall: performance.now() - began }
      command.kill('SIGKILL')
      command.on('close', () => { resolve(figures) })
    })
  })
}

/** A new QEMU that goes on from what was saved, until the answer. @param {readonly string[]} how @returns {Promise<Cost>} */
async function restoreQemu(how) {
  const qemu = new QemuGuest([...qemuArgs, ...how], /** @type {string} */ (socket))
  while ((await qemu.ask('query-status')).status === 'inmigrate') await after(1)
  await qemu.ask('cont')
  qemu.type(COMMAND)
  await qemu.said(ANSWER)
  const figures = { cpu: qemu.cpu * 1000, wall: performance.now() - qemu.began }
  await qemu.end()
  return figures
}

try {
  const made = spawnSync('qemu-img', ['create', '-q', '-f', 'qcow2', disk, '1G'])
  if (made.status !== 0) throw new Error(String(made.stderr))
  const ourConsole = listener()
  const ours = createMachine(virt({ kernel: readFileSync(guest.kernel), initrd: readFileSync(guest.initrd), append, nets: [], console: ourConsole.backend }), nodeHost())
  ours.start()
  await ourConsole.said(PROMPT)
  const qemu = new QemuGuest(qemuArgs, socket)
  await qemu.said(PROMPT)
  for (let run = 0; run < runs; run++) {
    // It does something between two.
    ours.resume()
    ourConsole.backend.type(COMMAND)
    await ourConsole.said(ANSWER)
    await after(SETTLE)
    ours.pause()
    note('save', await cost(async () => { await saveSnapshotFile(ours, file, { about: { program: 'machinist', lines: [['--memory=256M', '--net=none']] } }) }))
    const before = { cpu: qemu.cpu, wall: performance.now() }
    await qemu.command('savevm saved')
    note('savevm', { cpu: (qemu.cpu - before.cpu) * 1000, wall: performance.now() - before.wall })
  }
  const size = statSync(file).size
  const before = { cpu: qemu.cpu, wall: performance.now() }
  await qemu.ask('stop')
  await qemu.ask('migrate', { uri: `exec:cat>${migrated}` })
  while ((await qemu.ask('query-migrate')).status !== 'completed') await after(5)
  note('migrate', { cpu: (qemu.cpu - before.cpu) * 1000, wall: performance.now() - before.wall })
  await qemu.end()
  console.log(`touched ${(ours.stats.touchedMemory / 2 ** 20).toFixed(0)} MiB; the file has ${(size / 1e6).toFixed(1)} MB, QEMU's of a migration ${(statSync(migrated).size / 1e6).toFixed(1)} MB`)
  ours.dispose()
  for (let run = 0; run < runs; run++) {
    note('restore', await cost(async () => { (await restoreHere(file)).dispose() }))
    const first = spawnSync(process.execPath, [fileURLToPath(import.meta.url), '--file', file], { env, encoding: 'utf8' })
    note('restore first', JSON.parse(first.stdout))
    note('restore command', await restoreCommand())
    note('loadvm command', await restoreQemu(['-loadvm', 'saved']))
    note('incoming command', await restoreQemu(['-incoming', `exec:cat ${migrated}`]))
  }
  for (const [row, all] of rows) console.log(`${row.padEnd(17)} CPU ${median(all.map(({ cpu }) => cpu)).toFixed(0)} ms, wall ${median(all.map(({ wall }) => wall)).toFixed(0)} ms`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
process.exit()
