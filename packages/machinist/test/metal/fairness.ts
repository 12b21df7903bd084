// Runs in the images of fairness.long.test.ts: measures what two guests that compute get done, beside each of the others.
import { virtDevices } from '@machinist/boards'
import { type Native, openAppliance, vcpuRecord } from '@machinist/host-metal'
import { backends } from '../../src/metal/backends.ts'
import { uplinkHost } from '../../src/metal/uplink-host.ts'

declare const native: Native

/** How long a neighbour runs before it counts, and for how long it does, in nanoseconds. */
const SETTLE = 250e6
const MEASURE = 1250e6

const { backend, uplink } = backends()
/** The records of harts by the machine that they are of, in the order in which machines started. */
const records: DataView[][] = []
const machines: number[] = []
const seen = Object.assign(Object.create(native) as Native, {
  createVm() {
    const vm = native.createVm()
    machines.push(vm)
    records.push([])
    return vm
  },
  createVcpu(vm: number, index: number) {
    const made = native.createVcpu(vm, index)
    records[machines.lastIndexOf(vm)]?.push(new DataView(made.page))
    return made
  },
})
const { turn, hypervisor, host } = openAppliance(seen, { devices: virtDevices, backend, opened: ({ networks: [network] }, metal) => { uplink(network, uplinkHost(metal), (text) => { native.print(`${text}\n`) }) } })

function after(ns: number): Promise<void> {
  return new Promise((resolve) => { host.loop.after(ns, resolve) })
}

/** What each of the first two has done: they count in s1. */
function work(): readonly number[] {
  return records.slice(0, 2).map((harts) => harts.reduce((sum, record) => sum + Number(record.getBigUint64(vcpuRecord.offset.x + 8 * 9, true)), 0))
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
    await after(SETTLE)
    const [before, began] = [work(), native.now()]
    await after(MEASURE)
    const [done, took] = [work(), native.now() - began]
    const state = (await hypervisor.machines()).find((machine) => machine.name === name)?.state ?? ''
    const rate = done.map((amount, index) => Math.round(((amount - (before[index] ?? 0)) / took) * 1e5))
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
