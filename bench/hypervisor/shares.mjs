import { Fleet } from './fleet.mjs'
import { sleep, WORK } from './guest.mjs'

/** Terms, and by hand what part of a processor is due: a fifth and a tenth go first, and the others share the rest. */
const TERMS = {
  one: { cpu: { shares: 1000 }, due: 0.1 },
  two: { cpu: { shares: 2000 }, due: 0.2 },
  four: { cpu: { shares: 4000 }, due: 0.4 },
  reserved: { cpu: { shares: 100, reservation: 0.2 }, due: 0.2 },
  limited: { cpu: { shares: 8000, limit: 0.1 }, due: 0.1 },
}

/** @param {number} seconds @param {(row: string, figures: Readonly<Record<string, number | string>>) => void} print */
export async function shares(seconds, print) {
  const fleet = new Fleet()
  const { processors } = await fleet.hypervisor.host()
  // As many of each as there are processors; where they live, the hypervisor finds.
  const machines = Object.entries(TERMS).flatMap(([name, { cpu, due }]) => Array.from({ length: processors }, (_, index) => ({ name: `${name}${index}`, cpu, due })))
  await Promise.all(machines.map(({ name }) => fleet.boot(name)))
  for (const { name, cpu } of machines) {
    await fleet.hypervisor.set(name, { resources: { cpu } })
    const { write } = await fleet.console(name)
    write(WORK)
  }
  await sleep(10_000)
  const before = await fleet.used()
  await sleep(seconds * 1000)
  const after = await fleet.used()
  const moves = (await fleet.hypervisor.events()).filter(({ kind }) => kind === 'moved').length
  fleet.hypervisor.close()
  const got = machines.map(({ name }) => (after.get(name)?.cpu.used ?? 0) - (before.get(name)?.cpu.used ?? 0))
  const processor = got.reduce((sum, each) => sum + each, 0) / processors
  const off = machines.map(({ due }, index) => (got[index] ?? 0) / processor / due - 1)
  print('shares', { ...Object.fromEntries(machines.map(({ name }, index) => [name, (got[index] ?? 0) / processor])), 'furthest from its due, %': Math.max(...off.map(Math.abs)) * 100, 'machines moved so far': String(moves) })
}
