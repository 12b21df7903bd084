import { BUSY, cpu, quantile, sleep, WORK } from './guest.mjs'
import { DESK, Fleet } from './fleet.mjs'
import { cpuOf, OwnProcess } from './processes.mjs'

const ROUNDS = 6
/** CPU seconds of a round, for each second that was asked for: on a busy host that takes longer than on another. */
const CPU_PART = 0.2
const KEYS = 500
/** Marks that each guest has said when it is warm: what it runs has been translated. */
const WARM = 40
/** Keys that are typed on one side before it is another's turn. */
const BLOCK = 100

/**
 * Some guests, under the hypervisor or in processes of their own. They do not run but between `go` and `stop`.
 *
 * @typedef {{ name: string, go(): Promise<void>, stop(): Promise<void>, cpu(): number, marks(): number, end(): void, desk: import('./fleet.mjs').Console, queued: (() => { now: number, then: number }) | null }} Side
 */

/** What was said before has come. */
const settle = () => sleep(300)

/** @param {readonly string[]} names @returns {Promise<Side>} */
async function together(names) {
  const fleet = new Fleet()
  // The first ones go where nobody is.
  for (const name of names) await fleet.boot(name)
  const consoles = await Promise.all(names.map((name) => fleet.console(name)))
  names.forEach((name, index) => { if (name !== DESK) consoles[index]?.write(WORK) })
  const { hypervisor } = fleet
  return {
    name: 'hypervisor',
    async go() { await Promise.all(names.map((name) => hypervisor.resume(name))) },
    async stop() { await Promise.all(names.map((name) => hypervisor.pause(name))); await settle() },
    cpu,
    marks: () => consoles.reduce((sum, { heard }) => sum + heard.marks, 0),
    end() { hypervisor.close() },
    desk: await fleet.console(names[0] ?? ''),
    queued: () => fleet.others(),
  }
}

/** @param {'machinist' | 'qemu'} kind @param {readonly string[]} names @returns {Promise<Side>} */
async function apart(kind, names) {
  const all = await OwnProcess.boot(kind, names.length)
  names.forEach((name, index) => { if (name !== DESK) all[index]?.write(WORK) })
  const [desk] = all
  if (desk === undefined) throw new Error('nobody')
  return {
    name: kind === 'qemu' ? 'QEMU' : 'processes',
    async go() { for (const each of all) each.go() },
    async stop() { for (const each of all) each.stop(); await settle() },
    cpu: () => cpuOf(all),
    marks: () => all.reduce((sum, { heard }) => sum + heard.marks, 0),
    end() { for (const each of all) each.end() },
    desk,
    queued: null,
  }
}

/** The same guests three times, each side warm and stopped. @param {readonly string[]} names */
async function sides(names) {
  /** @type {Side[]} */
  const all = []
  for (const make of [() => apart('machinist', names), () => apart('qemu', names), () => together(names)]) {
    const side = await make()
    while (side.marks() < names.length * WARM) await sleep(500)
    await side.stop()
    all.push(side)
  }
  return all
}

/** @param {number} seconds @param {(row: string, figures: Readonly<Record<string, number | string>>) => void} print */
export async function busy(seconds, print) {
  const all = await sides(Array.from({ length: BUSY }, (_, index) => `m${index}`))
  /** @type {Map<string, number[]>} */
  const figures = new Map(all.map(({ name }) => [name, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (let turn = 0; turn < all.length; turn++) {
      const side = all[(round + turn) % all.length]
      if (side === undefined) continue
      const before = [side.marks(), side.cpu()]
      await side.go()
      while (side.cpu() < (before[1] ?? 0) + seconds * CPU_PART) await sleep(100)
      await side.stop()
      figures.get(side.name)?.push((side.marks() - (before[0] ?? 0)) / (side.cpu() - (before[1] ?? 0)))
    }
  }
  for (const side of all) side.end()
  const of = (/** @type {string} */ name) => figures.get(name) ?? []
  const ratios = of('hypervisor').map((figure, index) => figure / (of('processes')[index] ?? NaN))
  print('busy', {
    'thousand rounds a CPU second, hypervisor': quantile(of('hypervisor'), 0.5), 'processes': quantile(of('processes'), 0.5), 'QEMU': quantile(of('QEMU'), 0.5),
    'to processes, median of pairs': quantile(ratios, 0.5), 'least': Math.min(...ratios), 'most': Math.max(...ratios),
    'to QEMU, median of pairs': quantile(of('hypervisor').map((figure, index) => figure / (of('QEMU')[index] ?? NaN)), 0.5),
  })
}

/** @param {(row: string, figures: Readonly<Record<string, number | string>>) => void} print */
export async function keys(print) {
  const all = await sides([DESK, ...Array.from({ length: BUSY - 1 }, (_, index) => `m${index}`)])
  /** @type {Map<string, { queued: number[], clock: number[] }>} */
  const figures = new Map(all.map(({ name }) => [name, { queued: [], clock: [] }]))
  for (let block = 0; block < KEYS; block += BLOCK) {
    for (const side of all) {
      await side.go()
      await sleep(500)
      for (let key = block; key < block + BLOCK; key++) await type(side, key, figures.get(side.name))
      await side.stop()
    }
  }
  for (const side of all) side.end()
  for (const [name, { queued, clock }] of figures) {
    print('keys', {
      'side': name,
      ...(queued.length > 0 && { 'ms of CPU time of others from key to echo, p50': quantile(queued, 0.5), 'p99': quantile(queued, 0.99), 'most': Math.max(...queued) }),
      'ms on the clock, p50': quantile(clock, 0.5), 'clock, p99': quantile(clock, 0.99),
    })
  }
}

/** Types a letter, as somebody types and not in step with anything. @param {Side} side @param {number} key @param {{ queued: number[], clock: number[] } | undefined} figures */
async function type({ desk, queued }, key, figures) {
  // Every third one comes when nothing has come for long.
  await sleep(20 + (key * 7919) % 61 + (key % 3 === 0 ? 150 : 0))
  const letter = String.fromCharCode(97 + key % 26)
  const echo = desk.heard.until(letter)
  const began = performance.now()
  const before = queued?.()
  desk.write(letter)
  await echo
  figures?.clock.push(performance.now() - began)
  if (queued !== null && before !== undefined) figures?.queued.push((queued().then - before.now) / 1e6)
  if (key % 40 === 39) desk.write('\u0015')
}
