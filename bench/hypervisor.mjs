/**
 * `node bench/hypervisor.mjs [--only busy,shares,keys,start,idle] [--seconds N] [--idle N]` after a build: many booted guests of 256 MiB under the hypervisor. CPU time is that of whole processes, all threads, system
 * calls included, or of the thread that runs the guests where it says so.
 *
 * - `busy`: 8 guests that compute under the hypervisor, and the same 8 in processes of their own, in turn: instructions for each second of CPU time, and the one divided by the other.
 * - `shares`: guests that compute with shares of 1 : 2 : 4, one with a reservation and one with a limit: what each got, and how far that is from its due.
 * - `keys`: an interactive guest among 7 that compute: from a key to its echo, in CPU time of the thread that the guest itself did not take, and on the clock.
 * - `start`: 100 machines from one snapshot: the file is opened once, the others are copies; and the same with each from the file.
 * - `idle`: guests that wait: CPU time and resident memory of each.
 */
import { fork } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { product } from './product.mjs'

/** @typedef {import('../packages/hypervisor/src/index.ts').OwnHypervisor} OwnHypervisor */
/** @typedef {import('../packages/hypervisor/src/index.ts').MachineSpec} MachineSpec */

const { values } = parseArgs({
  options: { only: { type: 'string', default: 'busy,shares,keys,start,idle' }, seconds: { type: 'string', default: '20' }, idle: { type: 'string', default: '200' }, alone: { type: 'boolean', default: false } },
})
const [rows, seconds, idle] = [values.only.split(','), Number(values.seconds), Number(values.idle)]
const BUSY = 8
const MANY = 100
const KEYS = 500
/** The guest says this when it is there. */
const PROMPT = '# '
/** A loop of a shell: the same code wherever it runs. */
const WORK = 'while :; do :; done\n'

const { createHypervisor, localChannel, runProcessor } = await product('hypervisor')
const { machineLoader, nodeHost, nodeLoop, stream, threadCpuTime } = await product('host-node')
const { virt, virtCatalogue } = await product('boards')
const { guestCommandLine, prepareGuest } = await product('machinist')
const { createMachine } = await product('machine')

const { kernel, initrd } = await prepareGuest()
const blueprint = virt({ console: 'console', kernel: readFileSync(kernel), initrd: readFileSync(initrd), memory: 256 * 2 ** 20, append: guestCommandLine({ console: 'ttyS0', quiet: true }) })

/** @param {number} ms */
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms) })

/** CPU seconds of this process. */
const cpu = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** @param {readonly number[]} figures @param {number} part */
const quantile = (figures, part) => [...figures].sort((a, b) => a - b)[Math.min(figures.length - 1, Math.floor(figures.length * part))] ?? NaN

/** @param {string} row @param {Readonly<Record<string, number | string>>} figures */
function print(row, figures) {
  console.log(`${row.padEnd(7)} ${Object.entries(figures).map(([name, value]) => `${name} ${typeof value === 'number' ? value.toFixed(3) : value}`).join(', ')}; load ${(loadavg()[0] ?? 0).toFixed(0)}`)
}

/** One guest in a process of its own: it computes, and tells how far it is when it is asked. */
async function alone() {
  let said = ''
  const console = stream({ output: (bytes) => { said += String.fromCharCode(...bytes) } })
  const machine = createMachine(virt({ console, kernel: readFileSync(kernel), initrd: readFileSync(initrd), memory: 256 * 2 ** 20, append: guestCommandLine({ console: 'ttyS0', quiet: true }) }), nodeHost())
  machine.start()
  while (!said.includes(PROMPT)) await sleep(10)
  console.type(new TextEncoder().encode(WORK))
  process.on('message', (/** @type {'go' | 'pause'} */ what) => {
    if (what === 'go') machine.resume()
    else machine.pause()
    process.send?.({ retired: machine.stats.retired, cpu: cpu() })
  })
  await sleep(3000)
  machine.pause()
  process.send?.({ retired: 0, cpu: 0 })
}

/** A hypervisor whose machines are in this thread, with guests that have booted. */
class Fleet {
  /** @type {OwnHypervisor} */
  hypervisor
  /** @type {Map<string, { heard(text: string): void; write(text: string): void }>} */
  #consoles = new Map()

  /** @param {readonly import('../packages/hypervisor/src/index.ts').ResourceController[]} [controllers] */
  constructor(controllers = []) {
    this.hypervisor = createHypervisor({
      loop: nodeLoop,
      open() {
        /** @type {ReturnType<typeof localChannel<import('../packages/hypervisor/src/index.ts').ToProcessor, import('../packages/hypervisor/src/index.ts').FromProcessor>>} */
        const [mine, its] = localChannel(nodeLoop)
        runProcessor(its, { host: nodeHost(), catalogue: virtCatalogue, loader: machineLoader(), controllers, cpuTime: threadCpuTime() ?? nodeLoop.now })
        return mine
      },
    })
  }

  /** @param {string} name */
  async listen(name) {
    const own = { heard: (/** @type {string} */ _text) => {}, write: (/** @type {string} */ _text) => {} }
    const connection = await this.hypervisor.console(name, { output: (bytes) => { own.heard(String.fromCharCode(...bytes)) }, closed() {} })
    own.write = (text) => { connection.write(new TextEncoder().encode(text)) }
    this.#consoles.set(name, own)
    return own
  }

  /** Types a line and waits until the guest has said something. @param {string} name @param {string} text @param {RegExp | null} wanted */
  async type(name, text, wanted) {
    const console = this.#consoles.get(name) ?? await this.listen(name)
    let said = ''
    const heard = new Promise((resolve) => {
      console.heard = (more) => {
        said += more
        if (wanted?.test(said)) resolve(said)
      }
    })
    if (text !== '') console.write(text)
    if (wanted !== null) await heard
  }

  /** @param {string} name @param {Partial<MachineSpec>} [more] */
  async boot(name, more = {}) {
    await this.hypervisor.add({ name, machine: blueprint.definition, ...more })
    await this.hypervisor.start(name)
    await this.type(name, '', /# /)
  }

  async used() {
    // Reports come four times a second.
    await sleep(300)
    return new Map((await this.hypervisor.machines()).map((machine) => [machine.name, machine]))
  }
}

async function busy() {
  /** @type {{ child: import('node:child_process').ChildProcess; next(): Promise<{ retired: number; cpu: number }>; ready: Promise<unknown> }[]} */
  const children = []
  for (let index = 0; index < BUSY; index++) {
    const child = fork(new URL(import.meta.url).pathname, ['--alone'])
    /** @returns {Promise<{ retired: number; cpu: number }>} */
    const next = () => new Promise((resolve) => { child.once('message', resolve) })
    children.push({ child, next, ready: next() })
  }
  for (const { ready } of children) await ready
  const fleet = new Fleet()
  await fleet.boot('m0')
  for (let index = 1; index < BUSY; index++) await fleet.boot(`m${index}`)
  for (let index = 0; index < BUSY; index++) await fleet.type(`m${index}`, WORK, null)
  await sleep(BUSY * 1000)
  const names = Array.from({ length: BUSY }, (_, index) => `m${index}`)
  const pause = () => Promise.all(names.map((name) => fleet.hypervisor.pause(name)))
  await pause()
  const ratios = []
  const [mine, others] = [[], []].map(() => /** @type {number[]} */ ([]))
  for (let round = 0; round < 6; round++) {
    const all = async (/** @type {'go' | 'pause'} */ what) => {
      const answers = children.map(({ next }) => next())
      for (const { child } of children) child.send(what)
      return (await Promise.all(answers)).reduce((sum, each) => ({ retired: sum.retired + each.retired, cpu: sum.cpu + each.cpu }), { retired: 0, cpu: 0 })
    }
    const before = await all('go')
    await sleep(seconds * 500)
    const after = await all('pause')
    const apart = (after.retired - before.retired) / (after.cpu - before.cpu)
    const retired = async () => [...(await fleet.used()).values()].reduce((sum, each) => sum + each.retired, 0)
    const began = [await retired(), cpu()]
    await Promise.all(names.map((name) => fleet.hypervisor.resume(name)))
    await sleep(seconds * 500)
    await pause()
    const spent = cpu() - (began[1] ?? 0)
    const together = (await retired() - (began[0] ?? 0)) / spent
    others?.push(apart)
    mine?.push(together)
    ratios.push(together / apart)
  }
  for (const { child } of children) child.kill()
  fleet.hypervisor.close()
  print('busy', { 'million instructions a CPU second, together': quantile(mine ?? [], 0.5) / 1e6, 'apart': quantile(others ?? [], 0.5) / 1e6, 'ratio of pairs, median': quantile(ratios, 0.5), 'least': Math.min(...ratios), 'most': Math.max(...ratios) })
}

async function shares() {
  const fleet = new Fleet()
  const terms = { one: { shares: 1000 }, two: { shares: 2000 }, four: { shares: 4000 }, reserved: { shares: 100, reservation: 0.2 }, limited: { shares: 8000, limit: 0.1 } }
  // By hand: a fifth and a tenth go first, and the others share the rest.
  const due = { one: 0.1, two: 0.2, four: 0.4, reserved: 0.2, limited: 0.1 }
  for (const [name, cpuTerms] of Object.entries(terms)) {
    await fleet.boot(name, { resources: { cpu: cpuTerms } })
    await fleet.type(name, WORK, null)
  }
  await sleep(3000)
  const before = await fleet.used()
  await sleep(seconds * 1000)
  const after = await fleet.used()
  const got = Object.keys(terms).map((name) => (after.get(name)?.cpu.used ?? 0) - (before.get(name)?.cpu.used ?? 0))
  const all = got.reduce((sum, each) => sum + each, 0)
  const off = Object.values(due).map((part, index) => (got[index] ?? 0) / all / part - 1)
  fleet.hypervisor.close()
  print('shares', { ...Object.fromEntries(Object.keys(terms).map((name, index) => [name, (got[index] ?? 0) / all])), 'furthest from its due, %': Math.max(...off.map(Math.abs)) * 100 })
}

async function keys() {
  const clock = threadCpuTime() ?? nodeLoop.now
  /** CPU time of the guest itself. */
  let own = 0
  const watch = {
    kind: /** @type {const} */ ('space'),
    /** @param {string} name @param {import('../packages/machine/src/index.ts').Machine} machine */
    add(name, machine) {
      if (name !== 'desk') return
      const run = machine.runSlice.bind(machine)
      machine.runSlice = (limit) => {
        const before = clock()
        const result = run(limit)
        own += clock() - before
        return result
      }
    },
    remove() {},
    usage: () => ({ demand: 0, used: 0 }),
    grant() {},
  }
  const fleet = new Fleet([watch])
  await fleet.boot('desk')
  for (let index = 1; index < BUSY; index++) {
    await fleet.boot(`m${index}`)
    await fleet.type(`m${index}`, WORK, null)
  }
  await sleep(3000)
  const console = await fleet.listen('desk')
  const [took, wall] = [[], []].map(() => /** @type {number[]} */ ([]))
  for (let key = 0; key < KEYS; key++) {
    // As somebody types, and not in step with anything.
    await sleep(20 + (key * 7919) % 61)
    const letter = String.fromCharCode(97 + key % 26)
    const heard = new Promise((resolve) => { console.heard = (text) => { if (text.includes(letter)) resolve(undefined) } })
    const began = [clock() - own, nodeLoop.now()]
    console.write(letter)
    await heard
    took?.push((clock() - own - (began[0] ?? 0)) / 1e6)
    wall?.push((nodeLoop.now() - (began[1] ?? 0)) / 1e6)
    if (key % 40 === 39) console.write('\u0015')
  }
  fleet.hypervisor.close()
  print('keys', { 'ms of CPU time of others from key to echo, p50': quantile(took ?? [], 0.5), 'p99': quantile(took ?? [], 0.99), 'most': Math.max(...took ?? []), 'ms on the clock, p50': quantile(wall ?? [], 0.5), 'clock, p99': quantile(wall ?? [], 0.99) })
}

/** @param {string} file */
async function snapshot(file) {
  const fleet = new Fleet()
  await fleet.boot('first')
  await sleep(500)
  await fleet.hypervisor.save('first', file)
  fleet.hypervisor.close()
}

/** @param {string} file */
async function start(file) {
  for (const copies of [true, false]) {
    const fleet = new Fleet()
    const add = async (/** @type {string} */ name) => {
      await fleet.hypervisor.add({ name, machine: { snapshot: file } })
      await fleet.hypervisor.start(name)
    }
    const before = cpu()
    await add('m0')
    for (let index = 1; index < MANY; index++) {
      if (copies) await fleet.hypervisor.fork('m0', { name: `m${index}` })
      else await add(`m${index}`)
    }
    const spent = cpu() - before
    // They are there: the last one answers.
    await fleet.type(`m${MANY - 1}`, 'echo he""llo\n', /hello/)
    fleet.hypervisor.close()
    await sleep(1000)
    print('start', { [copies ? 'CPU seconds, the first from the file and 99 copies' : 'CPU seconds, each from the file']: spent })
  }
}

/** @param {string} file */
async function waiting(file) {
  const fleet = new Fleet()
  await fleet.hypervisor.add({ name: 'm0', machine: { snapshot: file } })
  await fleet.hypervisor.start('m0')
  await fleet.type('m0', '\n', /# /)
  const resident = process.memoryUsage().rss
  for (let index = 1; index < idle; index++) await fleet.hypervisor.fork('m0', { name: `m${index}` })
  await sleep(2000)
  const before = cpu()
  await sleep(10_000)
  const spent = cpu() - before
  const memory = (process.memoryUsage().rss - resident) / (idle - 1) / 2 ** 20
  const states = (await fleet.hypervisor.machines()).filter(({ state }) => state === 'running').length
  let answers = 0
  for (let index = 0; index < idle; index += 20) {
    await fleet.type(`m${index}`, 'echo he""llo\n', /hello/)
    answers++
  }
  fleet.hypervisor.close()
  print('idle', { 'machines that run': states, 'asked and answered': answers, 'ms of CPU time a second, each': spent * 100 / idle, 'of one processor, %, all': spent * 10, 'MiB each': memory })
}

if (values.alone) await alone()
else {
  const folder = mkdtempSync(join(tmpdir(), 'machinist-bench-'))
  try {
    if (rows.includes('busy')) await busy()
    if (rows.includes('shares')) await shares()
    if (rows.includes('keys')) await keys()
    const file = join(folder, 'booted.snapshot')
    if (rows.includes('start') || rows.includes('idle')) await snapshot(file)
    if (rows.includes('start')) await start(file)
    if (rows.includes('idle')) await waiting(file)
  } finally {
    rmSync(folder, { recursive: true })
  }
  process.exit()
}
