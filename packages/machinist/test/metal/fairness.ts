// Runs in the image of fairness.long.test.ts: measures what two guests that compute get done, beside each of the others.
import { virtDevices } from '@machinist/boards'
import { type Native, openAppliance } from '@machinist/host-metal'
import { backends } from '../../src/metal/backends.ts'

declare const native: Native

/** Long enough for a few reports of what machines use (a quarter of a second each). */
const SETTLE = 0.3e9
const MEASURE = 0.5e9

const { backend, uplink } = backends()
const { turn, hypervisor, host } = openAppliance(native, { devices: virtDevices, backend, opened: ({ networks }, { loop }) => { uplink(networks, (callback) => { loop.soon(callback) }) } })

function after(ns: number): Promise<void> {
  return new Promise((resolve) => { host.loop.after(ns, resolve) })
}

async function retired(): Promise<readonly number[]> {
  const machines = await hypervisor.machines()
  return ['good1', 'good2'].map((name) => machines.find((machine) => machine.name === name)?.retired ?? 0)
}

async function measure(): Promise<void> {
  // They are added one by one; the last of the file is the last.
  let all: readonly string[] = []
  while (!all.includes('frames')) {
    await after(1e6)
    all = (await hypervisor.machines()).map(({ name }) => name)
  }
  await hypervisor.start('good1')
  await hypervisor.start('good2')
  for (const name of all.filter((each) => !each.startsWith('good'))) {
    await hypervisor.start(name)
    await after(SETTLE)
    const [first, began] = [await retired(), native.now()]
    await after(MEASURE)
    const [last, time] = [await retired(), native.now() - began]
    const machines = await hypervisor.machines()
    const state = machines.find((machine) => machine.name === name)?.state ?? ''
    native.print(`\n${name} ${state} ${last.map((count, index) => Math.round(((count - (first[index] ?? 0)) / time) * 1e4)).join(' ')}\n`)
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
