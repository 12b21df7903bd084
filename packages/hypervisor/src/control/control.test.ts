import { type Backend, type BlockPort, type DeviceSpec } from '@machinist/api'
import type { MachineDefinition } from '@machinist/machine'
import { describe, expect, test } from 'vitest'
import { gadget, op, poke, say, switchOff, testGuests } from '@machinist/machine/testing'
import { catalogue, fleet, listener, spec } from '../../test/harness.ts'
import { checkOrigin, type MachineLoader } from '../index.ts'
import { codeOfAsync } from '../../../api/test/code-of.ts'

const MS = 1_000_000

describe('lives of machines', () => {
  test('a machine is added, started, says something, and switches itself off', async () => {
    const { hypervisor, wait, until, events } = fleet()
    await wait(hypervisor.add(spec('one', [...say('hello'), ...switchOff(3), op.stop()])))
    expect(await hypervisor.machines()).toMatchObject([{ name: 'one', state: 'created', processor: -1, status: null, retired: 0 }])
    const before = listener()
    await hypervisor.console('one', before.to)
    await wait(hypervisor.start('one'))
    await until(() => events.at(-1)?.kind === 'off')
    const after = listener()
    await hypervisor.console('one', after.to)
    expect([before.text, after.text]).toEqual(['hello', 'hello'])
    const [report] = await hypervisor.machines()
    expect(report).toMatchObject({ state: 'off', processor: -1, status: 3, error: null })
    expect(report?.retired).toBeGreaterThan(20)
    expect(report?.cpu.used).toBeGreaterThan(20_000)
    await wait(hypervisor.start('one'))
    await until(() => events.at(-1)?.kind === 'off')
    expect(after.text).toBe('hellohello')
    expect((await hypervisor.machines())[0]?.retired).toBeGreaterThan(1.9 * (report?.retired ?? Infinity))
    await wait(hypervisor.remove('one'))
    expect(after.closed).toBe(true)
    expect(await hypervisor.machines()).toEqual([])
    expect(events.map(({ kind }) => kind)).toEqual(['added', 'started', 'off', 'started', 'off', 'removed'])
    expect((await hypervisor.events('one')).length).toBe(6)
    hypervisor.close()
  })

  test('pause, resume, reset, stop and remove do what they say, while others run on', async () => {
    const { hypervisor, wait, run, until, events } = fleet()
    const retired = async (name: string): Promise<number> => (await hypervisor.machines()).find((each) => each.name === name)?.retired ?? NaN
    for (const name of ['a', 'b']) await wait(hypervisor.add(spec(name, [...say(name), ...testGuests.busy])))
    const heard = listener()
    await hypervisor.console('a', heard.to)
    await wait(Promise.all([hypervisor.start('a'), hypervisor.start('b')]))
    await run(600 * MS)
    await wait(hypervisor.pause('a'))
    await run(600 * MS)
    const [a, b] = [await retired('a'), await retired('b')]
    await run(600 * MS)
    expect(await retired('a')).toBe(a)
    expect(await retired('b')).toBeGreaterThan(b)
    expect((await hypervisor.machines())[0]?.state).toBe('paused')
    await wait(hypervisor.start('a'))
    await run(600 * MS)
    expect(await retired('a')).toBeGreaterThan(a)
    await wait(hypervisor.reset('a'))
    await until(() => heard.text === 'aa')
    await wait(hypervisor.stop('a'))
    expect((await hypervisor.machines())[0]).toMatchObject({ state: 'off', processor: -1 })
    await wait(hypervisor.stop('a'))
    await wait(hypervisor.remove('b'))
    expect((await hypervisor.machines()).map(({ name }) => name)).toEqual(['a'])
    expect(events.filter(({ name }) => name === 'a').map(({ kind }) => kind)).toEqual(['added', 'started', 'paused', 'resumed', 'off'])
    hypervisor.close()
  })

  test('what cannot be done is refused with its name, and nothing has changed', async () => {
    const { hypervisor, wait, events } = fleet()
    await wait(hypervisor.add(spec('one', testGuests.busy, { resources: { cpu: { reservation: 0.5 } } })))
    await hypervisor.addPool({ path: 'night', resources: { cpu: { limit: 0.5 }, memory: { limit: 1000 } } })
    const before = [await hypervisor.machines(), await hypervisor.pools(), events.length]
    const wrong = (more: object): Promise<string> => codeOfAsync(hypervisor.add({ ...spec('two', testGuests.busy), ...more }))
    expect(await codeOfAsync(hypervisor.add(spec('one', testGuests.busy)))).toBe('machine-known')
    for (const more of [{ name: '' }, { name: '.x' }, { name: 'x'.repeat(65) }, { name: 7 }, { pool: 7 }, { group: 7 }, { autostart: 1 }, { restart: 'maybe' }, { size: 1 }, { machine: null }, { machine: { file: 7 } }]) expect(await wrong(more), JSON.stringify(more)).toBe('parameter')
    for (const cpu of [{ shares: 0 }, { shares: Infinity }, { shares: '1' }, { reservation: -1 }, { reservation: NaN }, { limit: 0 }, { limit: NaN }, { reservation: 0.2, limit: 0.1 }, { weight: 1 }, 7]) expect(await wrong({ resources: { cpu } }), JSON.stringify(cpu)).toBe('parameter')
    expect(await wrong({ resources: { gpu: {} } })).toBe('parameter')
    expect(await wrong({ machine: { version: 2 } })).toBe('definition')
    expect(await wrong({ pool: 'day' })).toBe('pool-unknown')
    expect(await wrong({ resources: { cpu: { reservation: 0.46 } } })).toBe('not-admitted')
    expect(await wrong({ pool: 'night', resources: { memory: { reservation: 1001 } } })).toBe('not-admitted')
    for (const name of ['start', 'stop', 'pause', 'resume', 'reset', 'remove'] as const) expect(await codeOfAsync(hypervisor[name]('two'))).toBe('machine-unknown')
    for (const name of ['pause', 'resume', 'reset'] as const) expect(await codeOfAsync(wait(hypervisor[name]('one')))).toBe('machine-off')
    expect(await codeOfAsync(wait(hypervisor.fork('one', { name: 'two' })))).toBe('machine-off')
    expect(await codeOfAsync(wait(hypervisor.set('one', { resources: { cpu: { reservation: 0.96 } } })))).toBe('not-admitted')
    expect(await codeOfAsync(wait(hypervisor.set('one', { resources: { cpu: { limit: -1 } } })))).toBe('parameter')
    expect(await codeOfAsync(wait(hypervisor.set('one', { pool: 'day' })))).toBe('pool-unknown')
    expect(await codeOfAsync(hypervisor.addPool({ path: 'night' }))).toBe('pool-known')
    expect(await codeOfAsync(hypervisor.addPool({ path: 'day/late' }))).toBe('pool-unknown')
    for (const path of ['', '/', 'a//b', 'x'.repeat(65)]) expect(await codeOfAsync(hypervisor.addPool({ path }))).toBe('parameter')
    expect(await codeOfAsync(hypervisor.setPool('day', {}))).toBe('pool-unknown')
    expect(await codeOfAsync(hypervisor.setPool('night', { cpu: { reservation: 0.46 } }))).toBe('not-admitted')
    expect(await codeOfAsync(hypervisor.removePool('day'))).toBe('pool-unknown')
    expect(await codeOfAsync(hypervisor.console('two', listener().to))).toBe('machine-unknown')
    expect([await hypervisor.machines(), await hypervisor.pools(), events.length]).toEqual(before)
    hypervisor.close()
    expect(await codeOfAsync(hypervisor.start('one'))).toBe('closed')
  })

  test('a machine that cannot be made is off, says why, and can be removed', async () => {
    const { hypervisor, wait } = fleet()
    await wait(hypervisor.add({ name: 'file', machine: { file: 'machine.json' } }))
    expect(await codeOfAsync(wait(hypervisor.start('file')))).toBe('parameter')
    expect(await hypervisor.machines()).toMatchObject([{ state: 'off', processor: -1, status: 1, error: 'file: this host has no files (machine.json). Give a definition.' }])
    await wait(hypervisor.remove('file'))
    hypervisor.close()
  })

  test('a copy goes on from where its machine is, with a console of its own, and both end apart', async () => {
    const { hypervisor, wait, until, run } = fleet()
    // Says a letter each 5 ms.
    await wait(hypervisor.add(spec('one', [...say('<'), ...poke(12, 5 * MS), op.wait(), ...poke(20, 0), ...say('.'), op.li(1, 1), op.branch(1, -17)])))
    await wait(hypervisor.start('one'))
    await run(100 * MS)
    await wait(hypervisor.fork('one', { name: 'two', resources: { cpu: { shares: 500 } } }))
    const [one, two] = [listener(), listener()]
    await hypervisor.console('one', one.to)
    await hypervisor.console('two', two.to)
    await until(() => two.text.length > 3)
    expect(two.text).toMatch(/^\.+$/)
    expect(one.text).toMatch(/^<\.+$/)
    await wait(hypervisor.remove('one'))
    const said = two.text.length
    await until(() => two.text.length > said)
    expect(await codeOfAsync(wait(hypervisor.fork('two', { name: 'two' })))).toBe('machine-known')
    expect(await codeOfAsync(wait(hypervisor.fork('two', { name: 'three', resources: { cpu: { reservation: 0.96 } } })))).toBe('not-admitted')
    expect((await hypervisor.table()).rows.map(({ name }) => name)).toEqual(['', 'two'])
    hypervisor.close()
  })

  test('a copy ends with its disks: it is neither saved nor started again, unless it has none', async () => {
    const disk = (): Backend<BlockPort> => ({
      kind: 'block', fork: disk,
      connect: () => ({ size: 512, readOnly: false, blockSize: 512, read: (_, __, done) => { done('ok') }, write: (_, __, done) => { done('ok') }, flush: (done) => { done('ok') } }),
    })
    const store: DeviceSpec = { ...(gadget as unknown as DeviceSpec), kind: 'store', backends: { disk: 'block' }, create: () => ({ read: () => 0, write() {}, reset() {}, save: () => ({}), restore() {} }) }
    const saved: string[] = []
    const loader: MachineLoader = {
      async load(spec) {
        const { devices } = spec.machine as MachineDefinition
        checkOrigin(spec, spec.machine as MachineDefinition)
        const open = Object.entries(devices).map(([name, device]) => [name, name === 'store' ? { ...device, backends: { disk: 'opened' } } : device])
        return { machine: { definition: { ...spec.machine as MachineDefinition, devices: Object.fromEntries(open) as typeof devices } }, backends: new Map([['opened', disk()]]) }
      },
      async save(_, file) { saved.push(file) },
    }
    const { hypervisor, wait, run, events } = fleet({ processors: 2, balance: false }, { catalogue: [...catalogue, store], loader })
    const plain = spec('plain', testGuests.busy, { autostart: true, restart: 'always' })
    const definition = plain.machine as MachineDefinition
    await wait(hypervisor.add(plain))
    await wait(hypervisor.add({ ...plain, name: 'disks', machine: { ...definition, devices: { ...definition.devices, store: { kind: 'store', at: 0x4000_0000, backends: { disk: { type: 'disk', path: 'd' } } } } } }))
    for (const name of ['plain', 'disks']) {
      await wait(hypervisor.start(name))
      await wait(hypervisor.fork(name, { name: `${name}-copy` }))
    }
    const [, , copy] = hypervisor.specs()
    expect(copy).toEqual({ name: 'plain-copy', machine: definition, resources: {}, copyOf: 'plain' })
    await wait(hypervisor.save('plain-copy', 'one'))
    expect(await codeOfAsync(wait(hypervisor.save('disks-copy', 'other')))).toBe('copy-disks')
    const home = (await hypervisor.machines()).find(({ name }) => name === 'disks-copy')?.processor ?? NaN
    expect(await codeOfAsync(wait(hypervisor.move('disks-copy', 1 - home)))).toBe('not-movable')
    // It would begin as the machine that it is a copy of.
    for (const change of [{ restart: 'always' }, { restart: 'on-failure' }, { autostart: true }] as const) expect(await codeOfAsync(wait(hypervisor.set('plain-copy', change)))).toBe('copy-start')
    await wait(hypervisor.set('plain-copy', { restart: 'never', autostart: false, resources: { cpu: { shares: 7 } } }))
    await wait(hypervisor.save('disks', 'third'))
    expect(saved).toEqual(['one', 'third'])
    for (const name of ['plain-copy', 'disks-copy']) await wait(hypervisor.stop(name))
    await wait(hypervisor.start('plain-copy'))
    expect(await codeOfAsync(wait(hypervisor.start('disks-copy')))).toBe('copy-ended')
    expect(await codeOfAsync(wait(hypervisor.start('disks-copy', 'other')))).toBe('copy-ended')
    await run(1000 * MS)
    expect((await hypervisor.machines()).map(({ name, state }) => [name, state])).toEqual([['plain', 'running'], ['disks', 'running'], ['plain-copy', 'running'], ['disks-copy', 'off']])
    expect(events.filter(({ kind }) => kind === 'restarted')).toEqual([])
    hypervisor.close()
  })

  test('what was changed is had again exactly', async () => {
    const { hypervisor, wait } = fleet()
    await hypervisor.addPool({ path: 'p', resources: { cpu: { shares: 3 } } })
    await wait(hypervisor.add(spec('one', testGuests.busy, { resources: { memory: { shares: 4 } } })))
    const [before, pool] = [hypervisor.specs()[0], (await hypervisor.pools())[0]]
    const { rows } = await hypervisor.table()
    await hypervisor.setPool('p', { network: { limit: 5 } })
    await wait(hypervisor.set('one', { pool: 'p', restart: 'always', resources: { network: { limit: 5 } } }))
    expect((await hypervisor.table()).rows).not.toEqual(rows)
    for (const each of [before, pool]) if (each !== undefined) await wait(hypervisor.restore(each))
    expect([hypervisor.specs(), await hypervisor.pools(), (await hypervisor.table()).rows]).toEqual([[before], [pool], rows])
    hypervisor.close()
  })
})

describe('consoles', () => {
  test('a guest that floods its console is heard, keeps to its own, and loses nothing while somebody listens', async () => {
    const { hypervisor, wait, run } = fleet()
    for (const name of ['flood', 'calm']) await wait(hypervisor.add(spec(name, name === 'flood' ? testGuests.flood : testGuests.busy)))
    const heard = listener()
    await hypervisor.console('flood', heard.to)
    await wait(Promise.all([hypervisor.start('flood'), hypervisor.start('calm')]))
    await run(2000 * MS)
    const reports = await hypervisor.machines()
    const [flood, calm] = reports.map(({ cpu }) => cpu.used)
    expect(Math.abs((flood ?? 0) / (calm ?? 1) - 1)).toBeLessThan(0.05)
    expect(heard.text.length).toBeGreaterThan(10_000)
    const late = listener()
    const { close } = await hypervisor.console('flood', late.to)
    expect(late.text.length).toBe(Math.min(65_536, heard.text.length))
    close()
    const had = late.text.length
    await run(100 * MS)
    expect(late.text.length).toBe(had)
    expect(heard.text.length).toBeGreaterThan(had)
    hypervisor.close()
  })
})

describe('ends', () => {
  test('a part that throws ends its machine alone, which is an event, and is restarted when that was asked for', async () => {
    const { hypervisor, wait, until, run, events } = fleet()
    await wait(hypervisor.add(spec('bad', [...poke(24, 0), op.stop()])))
    await wait(hypervisor.add(spec('again', [op.crash()], { restart: 'on-failure' })))
    await wait(hypervisor.add(spec('over', switchOff(0), { restart: 'on-failure' })))
    await wait(hypervisor.add(spec('always', switchOff(0), { restart: 'always' })))
    await wait(hypervisor.add(spec('good', testGuests.busy)))
    await wait(Promise.all(['bad', 'again', 'over', 'always', 'good'].map((name) => hypervisor.start(name))))
    const kinds = (name: string): string[] => events.filter((event) => event.name === name).map(({ kind }) => kind).slice(2)
    await until(() => kinds('again').length >= 4 && kinds('always').length >= 4)
    expect(kinds('bad')).toEqual(['failed'])
    expect(events.find(({ name, kind }) => name === 'bad' && kind === 'failed')?.text).toContain('a bug in the gadget')
    expect(kinds('again').slice(0, 4)).toEqual(['failed', 'restarted', 'failed', 'restarted'])
    expect(kinds('over')).toEqual(['off'])
    expect(kinds('always').slice(0, 4)).toEqual(['off', 'restarted', 'off', 'restarted'])
    expect((await hypervisor.machines()).find(({ name }) => name === 'good')?.state).toBe('running')
    await wait(hypervisor.stop('good'))
    // Each wait is longer.
    await run(100_000 * MS)
    expect(kinds('again').length).toBeLessThan(20)
    await wait(hypervisor.stop('again'))
    const ended = events.length
    await run(100_000 * MS)
    expect(events.slice(ended).filter(({ name }) => name === 'again')).toEqual([])
    hypervisor.close()
  })

  test('a processor that dies loses its own machines, and those that are marked so are started elsewhere', async () => {
    const { hypervisor, wait, until, run, events, kill } = fleet({ processors: 2 })
    for (let i = 0; i < 4; i++) await wait(hypervisor.add(spec(`m${String(i)}`, [...say('x'), ...testGuests.busy], { restart: i < 2 ? 'on-failure' : 'never' })))
    for (let i = 0; i < 4; i++) await wait(hypervisor.start(`m${String(i)}`))
    const where = async (): Promise<number[]> => (await hypervisor.machines()).map(({ processor }) => processor)
    expect((await where()).sort()).toEqual([0, 0, 1, 1])
    await run(500 * MS)
    const home = await where()
    const asked = hypervisor.save('m0', 'file')
    for (let i = 0; i < 10; i++) await Promise.resolve()
    kill(home[0] ?? 0)
    expect(await codeOfAsync(wait(asked))).toBe('processor-lost')
    await until(() => events.some(({ kind, name }) => kind === 'restarted' && name === 'm0'))
    const lost = events.filter(({ kind }) => kind === 'lost').map(({ name }) => name)
    expect(lost).toEqual(['m0', 'm1', 'm2', 'm3'].filter((_, index) => home[index] === home[0]))
    expect(events.some(({ kind, name }) => kind === 'processor-lost' && name === `processor ${String(home[0])}`)).toBe(true)
    const reports = await hypervisor.machines()
    for (const { name, state } of reports) expect(state).toBe(name >= 'm2' && lost.includes(name) ? 'off' : 'running')
    // And again, with all of them.
    for (let i = 0; i < 4; i++) await wait(hypervisor.start(`m${String(i)}`))
    kill(0)
    kill(1)
    await until(() => events.filter(({ kind }) => kind === 'lost').length === 6)
    await run(5000 * MS)
    expect((await hypervisor.machines()).map(({ state }) => state)).toEqual(['running', 'running', 'off', 'off'])
    hypervisor.close()
  })

  test('a processor that cannot be opened again is tried later, and its machines are lost and start elsewhere', async () => {
    let refused = 3
    const { hypervisor, wait, until, events, kill } = fleet({ processors: 2 }, {}, (index) => {
      if (index !== 0 || refused === 3) return
      refused++
      throw new Error('no thread')
    })
    await wait(hypervisor.add(spec('one', testGuests.busy, { restart: 'always' })))
    await wait(hypervisor.start('one'))
    expect((await hypervisor.machines())[0]?.processor).toBe(0)
    refused = 0
    kill(0)
    await until(() => events.some(({ kind, name }) => kind === 'restarted' && name === 'one'))
    expect((await hypervisor.machines())[0]).toMatchObject({ state: 'running', processor: 1 })
    expect(events.filter(({ kind, text }) => kind === 'processor-lost' && text.includes('no thread')).length).toBeGreaterThan(0)
    await until(() => refused === 3)
    await until(async () => wait(hypervisor.move('one', 0).then(() => true, () => false)))
    hypervisor.close()
    expect(() => fleet({ processors: 2 }, {}, (index) => { if (index === 1) throw new Error('no thread') })).toThrow('no thread')
  })
})
