import { join } from 'node:path'
import { Fleet } from './fleet.mjs'
import { cpu, memoryOf, sleep } from './guest.mjs'
import { cpuOf, memoryOfAll, OwnProcess } from './processes.mjs'

/** @typedef {(row: string, figures: Readonly<Record<string, number | string>>) => void} Print */

const MANY = 100
const MIB = 2 ** 20
/** Guests that boot at the same time. */
const AT_ONCE = 8
/** Milliseconds in which those that wait are looked at. */
const LOOK = 20_000
/** The memory for each machine that was booted apart: so little that equal pages are merged. */
const BUDGET = 32 * MIB

/** A booted guest in a file. @param {string} folder */
export async function snapshot(folder) {
  const file = join(folder, 'booted.snapshot')
  const fleet = new Fleet({ processors: 1 })
  await fleet.boot('first')
  await sleep(500)
  await fleet.hypervisor.save('first', file)
  fleet.hypervisor.close()
  return file
}

/** @param {string} file @param {Print} print */
export async function start(file, print) {
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
    await fleet.ask(`m${MANY - 1}`)
    fleet.hypervisor.close()
    await sleep(1000)
    print('start', { [copies ? 'CPU seconds, the first from the file and 99 copies' : 'CPU seconds, each from the file']: spent })
  }
}

/** What those that wait cost. @param {() => number} spent CPU seconds so far @param {number} count */
async function cost(spent, count) {
  const before = spent()
  await sleep(LOOK)
  return (spent() - before) / (LOOK / 1000) / count * 1000
}

/** @param {Fleet} fleet @param {number} count */
async function answers(fleet, count) {
  let heard = 0
  for (let index = 0; index < count; index += 20) {
    await fleet.ask(`m${index}`)
    heard++
  }
  return heard
}

/** Copies of a booted guest. @param {string} file @param {number} count @param {Print} print */
export async function copies(file, count, print) {
  const fleet = new Fleet()
  await fleet.hypervisor.add({ name: 'm0', machine: { snapshot: file } })
  await fleet.hypervisor.start('m0')
  await fleet.ask('m0')
  const resident = memoryOf([process.pid])
  for (let index = 1; index < count; index++) await fleet.hypervisor.fork('m0', { name: `m${index}` })
  await sleep(2000)
  const each = await cost(cpu, count)
  const memory = (memoryOf([process.pid]) - resident) / (count - 1) / MIB
  const running = (await fleet.hypervisor.machines()).filter(({ state }) => state === 'running').length
  const heard = await answers(fleet, count)
  fleet.hypervisor.close()
  print('idle', { 'copies that run': running, 'asked and answered': heard, 'ms of CPU time a second, each': each, 'MiB each': memory })
}

/** Guests that were booted one by one, under the hypervisor and in processes. @param {number} count @param {Print} print */
export async function booted(count, print) {
  const plain = memoryOf([process.pid])
  const fleet = new Fleet()
  await fleet.hypervisor.addPool({ path: 'all' })
  const before = cpu()
  for (let index = 0; index < count; index += AT_ONCE) await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - index) }, (_, more) => fleet.boot(`m${index + more}`, { group: 'all', pool: 'all' })))
  const boots = cpu() - before
  // They have booted with as much as they liked.
  await fleet.hypervisor.setPool('all', { memory: { limit: count * BUDGET } })
  await sleep(5000)
  // Until merging has come to its end.
  let [frames, last] = [0, Infinity]
  const own = async () => [...(await fleet.used()).values()].reduce((sum, { memory }) => sum + memory.own, 0)
  while (Math.abs(last - (frames = await own())) > count * 8) {
    last = frames
    await sleep(5000)
  }
  const each = await cost(cpu, count)
  const memory = (memoryOf([process.pid]) - plain) / count / MIB
  const machines = [...(await fleet.used()).values()]
  const mean = (/** @type {(machine: (typeof machines)[number]) => number} */ pick) => machines.reduce((sum, machine) => sum + pick(machine), 0) / count * 4096 / MIB
  const heard = await answers(fleet, count)
  const { rows } = await fleet.hypervisor.table()
  const used = (rows[0]?.resources.memory?.used ?? 0) / count / MIB
  fleet.hypervisor.close()
  await sleep(1000)
  print('booted', {
    'side': 'hypervisor', 'machines that run': machines.filter(({ state }) => state === 'running').length, 'asked and answered': heard, 'CPU seconds to boot, each': boots / count, 'ms of CPU time a second, each': each, 'MiB each, all of the process': memory,
    'frames, MiB each': used, 'touched, MiB each': mean(({ memory: { touched } }) => touched), 'merged so far': mean(({ memory: { merged } }) => merged), 'compressed': mean(({ memory: { compressed } }) => compressed), 'swapped': mean(({ memory: { swapped } }) => swapped),
  })
  for (const kind of /** @type {const} */ (['machinist', 'qemu'])) {
    /** @type {OwnProcess[]} */
    const all = []
    for (let index = 0; index < count; index += AT_ONCE) all.push(...await OwnProcess.boot(kind, Math.min(AT_ONCE, count - index)))
    await sleep(3000)
    const own = await cost(() => cpuOf(all), count)
    print('booted', { 'side': kind === 'qemu' ? 'QEMU' : 'processes', 'machines that run': count, 'CPU seconds to boot, each': cpuOf(all) / count, 'ms of CPU time a second, each': own, 'MiB each': memoryOfAll(all) / count / MIB })
    for (const process of all) process.end()
    await sleep(1000)
  }
}
