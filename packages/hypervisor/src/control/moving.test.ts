import { isMachinistError } from '@machinist/api'
import { expect, test } from 'vitest'
import { op, poke, say, testGuests, testMachine, work } from '@machinist/machine/testing'
import { fleet, listener, spec } from '../../test/harness.ts'
import { definitionsOnly } from '../processor/loader.ts'

const MS = 1_000_000

/** Counts in register 5, and says a digit of it each 3 ms. */
const counting = [op.li(5, 48), op.li(3, 1), op.li(2, 10), ...poke(12, 3 * MS), op.wait(), ...poke(20, 0), ...poke(0, 0).slice(0, 2), op.store(5, 7), op.add(5, 3), op.sub(2, 3), op.branch(2, -16), op.li(5, 48), op.li(2, 10), op.li(4, 1), op.branch(4, -20)]

test('a machine moves between processors while it runs, time and again, and says everything once', async () => {
  const { hypervisor, wait, until, events } = fleet({ processors: 2 })
  await wait(hypervisor.add(spec('one', counting, { resources: { cpu: { shares: 500, reservation: 0.2 } } })))
  await wait(hypervisor.add(spec('busy', testGuests.busy)))
  const heard = listener()
  await hypervisor.console('one', heard.to)
  const instructions = work.instructions
  await wait(hypervisor.start('one'))
  await wait(hypervisor.start('busy'))
  let used = 0
  for (let round = 0; round < 8; round++) {
    const said = heard.text.length
    await until(() => heard.text.length >= said + 13)
    await wait(hypervisor.move('one', round % 2 === 0 ? 1 : 0))
    const [report] = await hypervisor.machines()
    expect(report).toMatchObject({ name: 'one', state: 'running', processor: round % 2 === 0 ? 1 : 0 })
    expect(report?.cpu.used).toBeGreaterThan(used)
    used = report?.cpu.used ?? 0
  }
  expect(heard.text).toBe('0123456789'.repeat(20).slice(0, heard.text.length))
  expect(events.filter(({ kind }) => kind === 'moved').length).toBe(8)
  // One that is paused stays so, and goes on there; one that is off will start there.
  await wait(hypervisor.pause('one'))
  await wait(hypervisor.move('one', 1))
  expect((await hypervisor.machines())[0]).toMatchObject({ state: 'paused', processor: 1 })
  const before = heard.text.length
  await wait(hypervisor.resume('one'))
  await until(() => heard.text.length > before + 10)
  await wait(hypervisor.stop('one'))
  await wait(hypervisor.move('one', 0))
  await wait(hypervisor.start('one'))
  await wait(hypervisor.move('one', 0))
  expect(events.filter(({ kind }) => kind === 'moved').length).toBe(10)
  // What it did elsewhere counts once.
  await wait(hypervisor.stop('one'))
  await wait(hypervisor.stop('busy'))
  expect((await hypervisor.machines()).reduce((sum, machine) => sum + machine.retired, 0)).toBe(work.instructions - instructions)
  hypervisor.close()
})

test('a machine that another processor does not take goes on where it is, and what was typed meanwhile is not lost', async () => {
  let refuses = false
  const loader = { load: (wanted: Parameters<typeof definitionsOnly.load>[0]) => (refuses ? Promise.reject(new Error('no disk')) : definitionsOnly.load(wanted)) }
  const { hypervisor, wait, until, run } = fleet({ processors: 2 }, { loader })
  await wait(hypervisor.add({ name: 'one', machine: testMachine(counting) }))
  await wait(hypervisor.start('one'))
  const heard = listener()
  await hypervisor.console('one', heard.to)
  refuses = true
  await expect(wait(hypervisor.move('one', 1))).rejects.toThrow('no disk')
  const said = heard.text.length
  await until(() => heard.text.length > said + 10)
  expect((await hypervisor.machines())[0]).toMatchObject({ state: 'running', processor: 0 })
  refuses = false
  await wait(hypervisor.move('one', 1))
  await run(100 * MS)
  expect(heard.text).toBe('0123456789'.repeat(100).slice(0, heard.text.length))
  // So does a copy that has no disks, with a console of its own.
  await wait(hypervisor.fork('one', { name: 'two' }))
  const copy = listener()
  await hypervisor.console('two', copy.to)
  await wait(hypervisor.move('two', 0))
  const before = copy.text.length
  await until(() => copy.text.length > before + 20)
  expect('0123456789'.repeat(100)).toContain(copy.text)
  expect((await hypervisor.machines())[1]).toMatchObject({ state: 'running', processor: 0 })
  hypervisor.close()
})

test('a processor that dies while a machine moves leaves one machine, or none, and says which', async () => {
  for (const victim of [0, 1]) {
    for (let turns = 0; turns < 12; turns++) {
      const { hypervisor, wait, until, run, events, kill, loop } = fleet({ processors: 2 })
      await wait(hypervisor.add(spec('one', [...say('<'), ...testGuests.sleeping], { restart: 'always' })))
      await wait(hypervisor.start('one'))
      await run(20 * MS)
      const moved = hypervisor.move('one', 1).then(() => 'moved', (error: unknown) => (isMachinistError(error) ? error.code : String(error)))
      for (let i = 0; i < turns; i++) {
        loop.turn()
        for (let n = 0; n < 30; n++) await Promise.resolve()
      }
      kill(victim)
      const outcome = await wait(moved)
      await until(async () => (await hypervisor.machines())[0]?.state === 'running')
      await run(5000 * MS)
      const about = `processor ${String(victim)} after ${String(turns)} turns: ${outcome}`
      const lost = events.filter(({ kind }) => kind === 'lost').length
      expect(lost, about).toBeLessThanOrEqual(1)
      if (victim === 0) expect(lost === 1 || outcome === 'moved', about).toBe(true)
      // Before the other one had all of it, it goes on where it is.
      if (victim === 1 && turns < 3) expect(lost, about).toBe(0)
      expect((await hypervisor.machines())[0]?.state, about).toBe('running')
      await wait(hypervisor.stop('one'))
      expect((await hypervisor.machines())[0]?.state, about).toBe('off')
      await wait(hypervisor.start('one'))
      hypervisor.close()
    }
  }
})

test('a copy whose processor dies while it is made is there, or is forgotten', async () => {
  for (let turns = 0; turns < 8; turns++) {
    const { hypervisor, wait, run, events, kill, loop } = fleet({ processors: 1 })
    await wait(hypervisor.add(spec('one', testGuests.sleeping, { restart: 'always' })))
    await wait(hypervisor.start('one'))
    await run(20 * MS)
    const made = hypervisor.fork('one', { name: 'two' }).then(() => true, () => false)
    for (let i = 0; i < turns; i++) {
      loop.turn()
      for (let n = 0; n < 30; n++) await Promise.resolve()
    }
    kill(0)
    const is = await wait(made)
    await run(5000 * MS)
    expect((await hypervisor.machines()).map(({ name }) => name)).toEqual(is ? ['one', 'two'] : ['one'])
    if (!is) expect(events.filter(({ kind, name }) => kind === 'restarted' && name === 'two')).toEqual([])
    hypervisor.close()
  }
})
