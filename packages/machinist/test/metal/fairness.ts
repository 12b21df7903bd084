// Runs in the images of fairness.long.test.ts: measures what two guests that compute get done, beside each of the others.
import { virtDevices } from '@machinist/boards'
import { type Native, openAppliance } from '@machinist/host-metal'
import { backends } from '../../src/metal/backends.ts'
import { uplinkHost } from '../../src/metal/uplink-host.ts'
import { alternating } from './alternating.ts'

declare const native: Native

/** Reports of what machines use, a quarter of a second each, that a neighbour runs for before it counts, and for which it does: more where slices on two harts begin and end at different times. */
const SETTLE = 1
const MEASURE = native.harts > 1 ? 5 : 3
/** How often it is looked whether there is one. */
const LOOK = 2e6

const { backend, uplink } = backends()
const { turn, hypervisor, host } = openAppliance(native.harts > 1 ? alternating(native) : native, { devices: virtDevices, backend, opened: ({ networks: [network] }, metal) => { uplink(network, uplinkHost(metal), (text) => { native.print(`${text}\n`) }) } })

function after(ns: number): Promise<void> {
  return new Promise((resolve) => { host.loop.after(ns, resolve) })
}

interface Seen {
  readonly time: number
  readonly work: readonly number[]
}

async function look(): Promise<Seen> {
  const machines = await hypervisor.machines()
  return { time: native.now(), work: ['good1', 'good2'].map((name) => machines.find((machine) => machine.name === name)?.retired ?? 0) }
}

/** Waits for so many reports; what the last said. */
async function reports(count: number): Promise<Seen> {
  let seen = await look()
  for (let left = count; left > 0;) {
    await after(LOOK)
    const next = await look()
    // All that the processor has to say is said at once.
    if (next.work.some((amount, index) => amount === seen.work[index])) continue
    left--
    seen = next
  }
  return seen
}

async function measure(): Promise<void> {
  // They are added one by one; the last of the file is the last.
  let all: readonly string[] = []
  while (!all.includes('good2')) {
    await after(1e6)
    all = (await hypervisor.machines()).map(({ name }) => name)
  }
  await hypervisor.start('good1')
  await hypervisor.start('good2')
  for (const name of all.filter((each) => !each.startsWith('good'))) {
    await hypervisor.start(name)
    const first = await reports(1 + SETTLE)
    const last = await reports(MEASURE)
    const machines = await hypervisor.machines()
    const state = machines.find((machine) => machine.name === name)?.state ?? ''
    const rate = last.work.map((amount, index) => Math.round(((amount - (first.work[index] ?? 0)) / (last.time - first.time)) * 1e5))
    native.print(`\n${name} ${state} ${rate.join(' ')}\n`)
    if (state === 'running') await hypervisor.stop(name)
  }
  native.print('\nmeasured\n')
  native.powerOff(0)
}

measure().catch((error: unknown) => {
  native.print(`\nwrong: ${String(error)}\n`)
  native.powerOff(1)
})
for (;;) {
  turn()
  native.jobs()
}
