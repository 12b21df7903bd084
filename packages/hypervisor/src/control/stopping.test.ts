import type { DeviceSpec } from '@machinist/api'
import { op, testGuests, testMachine } from '@machinist/machine/testing'
import { expect, test } from 'vitest'
import { catalogue, fleet, type TestFleet } from '../../test/harness.ts'
import type { MachineSpec } from '../index.ts'

const MS = 1_000_000
const KEY_POWER = 116

/** A guest in short: it is switched off when its power button was pressed, of which it does not hear the first so many. */
const obedient: DeviceSpec<{ readonly deaf: number }, object, never, { readonly input: 'input'; readonly power: 'power' }> = {
  kind: 'obedient',
  stateVersion: 1,
  backends: { input: 'input', power: 'power' },
  configure: (input) => ({ deaf: Number((input as { readonly deaf?: number }).deaf ?? 0) }),
  regions: () => [{ name: 'registers', size: 4, space: 'mmio' }],
  irqs: () => [],
  create({ deaf }, { backends: { input, power } }) {
    let pressed = 0
    input.listen({
      readable() {
        for (let packet = input.receive(); packet !== null; packet = input.receive()) {
          if (packet.some(({ type, code, value }) => type === 1 && code === KEY_POWER && value === 1) && ++pressed > deaf) power.off(0)
        }
      },
    })
    return { read: () => 0, write() {}, reset() {}, save: () => ({}), restore() {} }
  },
}

function machine(name: string, deaf: number, more: Partial<MachineSpec> = {}): MachineSpec {
  const plain = testMachine([...testGuests.busy, op.stop()])
  return { name, machine: { ...plain, devices: { ...plain.devices, power: { kind: 'obedient', at: 0x2000_0000, config: { deaf }, backends: { input: 'power-button' } } } }, ...more }
}

async function running(...specs: readonly MachineSpec[]): Promise<TestFleet & { readonly ends: () => string[] }> {
  const trial = fleet({}, { catalogue: [...catalogue, obedient] })
  for (const spec of specs) {
    await trial.wait(trial.hypervisor.add(spec))
    await trial.wait(trial.hypervisor.start(spec.name))
  }
  return { ...trial, ends: () => trial.events.filter(({ kind }) => kind === 'off').map(({ name, text }) => `${name}: ${text}`) }
}

test('a guest is asked first, and again when it did not hear; the event tells whether it or its host switched it off', async () => {
  const { hypervisor, loop, wait, ends } = await running(machine('good', 0, { restart: 'always' }), machine('late', 2), machine('bad', Infinity), { name: 'plain', machine: testMachine(testGuests.busy) })
  const begin = loop.time
  const took = async (name: string, within?: number): Promise<number> => {
    const from = loop.time
    await wait(hypervisor.stop(name, within))
    return (loop.time - from) / MS
  }
  expect(await took('good', 60_000)).toBeLessThan(1000)
  const late = await took('late', 60_000)
  expect(late).toBeGreaterThan(5000)
  expect(late).toBeLessThan(10_000)
  const bad = await took('bad', 10_000)
  expect(bad).toBeGreaterThanOrEqual(10_000)
  expect(bad).toBeLessThan(11_000)
  expect(await took('plain', 60_000)).toBeLessThan(1000)
  // Who was asked to end is not restarted.
  expect((await hypervisor.machines()).map(({ state }) => state)).toEqual(['off', 'off', 'off', 'off'])
  expect(ends()).toEqual([
    'good: its guest switched it off with status 0, as its power button was pressed', 'late: its guest switched it off with status 0, as its power button was pressed',
    'bad: its plug was pulled, as its guest did not switch it off within 10 s', 'plain: its plug was pulled, as it has no power button',
  ])
  expect(loop.time).toBeGreaterThan(begin)
  hypervisor.close()
})

test('one who has no time for it need not wait, and others may do something with the machine meanwhile', async () => {
  const { hypervisor, loop, wait, run, ends } = await running(machine('bad', Infinity), machine('still', 0))
  const begin = loop.time
  const patient = hypervisor.stop('bad', 1000_000)
  await run(500 * MS)
  await wait(hypervisor.set('bad', { resources: { cpu: { shares: 5 } } }))
  await wait(hypervisor.stop('bad'))
  await wait(patient)
  await wait(hypervisor.pause('still'))
  await wait(hypervisor.stop('still', 1000_000))
  expect((loop.time - begin) / MS).toBeLessThan(2000)
  expect(ends()).toEqual(['bad: its plug was pulled', 'still: its plug was pulled, as its guest was paused'])
  // It was another life of it.
  await wait(hypervisor.start('bad'))
  await run(5000 * MS)
  expect((await hypervisor.machines())[0]?.state).toBe('running')
  hypervisor.close()
})

test('a machine that is lost, or forgotten, while its guest is asked is off', async () => {
  const { hypervisor, wait, run, kill, events } = await running(machine('lost', Infinity, { restart: 'always' }), machine('gone', Infinity))
  const [lost, gone] = [hypervisor.stop('lost', 1000_000), hypervisor.stop('gone', 1000_000)]
  await run(500 * MS)
  await wait(hypervisor.remove('gone'))
  await wait(gone)
  kill(0)
  await wait(lost)
  await run(5000 * MS)
  expect((await hypervisor.machines()).map(({ name, state }) => `${name} ${state}`)).toEqual(['lost off'])
  expect(events.filter(({ kind }) => kind === 'restarted')).toEqual([])
  hypervisor.close()
})
