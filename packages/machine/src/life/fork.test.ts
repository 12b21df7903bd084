import { type Backend, type BlockPort, type BlockStatus, type DeviceSpec, isMachinistError } from '@machinist/api'
import { expect, test } from 'vitest'
import { assemble, fakeCpu, op } from '../testing/fake-cpu.ts'
import { type TestHost, testHost } from '../../test/harness.ts'
import { createMachine, defineMachine, type ForkOptions, type Machine, type MachineDefinition, part } from '../index.ts'

const RAM = 0x8000_0000
const BASE = 0x1000_0000

interface Noted {
  /** Random bytes drawn at power-on, and as a copy. */
  readonly drawn: readonly number[]
  readonly copies: number
  /** Whether its disk may be where the machine's is. */
  readonly meets: boolean
}

/** Draws random bytes when it is switched on and when it is told that it is a copy, and writes to its disk when a test says so. */
const noter: DeviceSpec<object, Noted, never, { readonly entropy: 'entropy'; readonly disk: 'block' }> = {
  kind: 'noter',
  stateVersion: 1,
  backends: { entropy: 'entropy', disk: 'block' },
  configure: () => ({}),
  regions: () => [{ name: 'registers', size: 8, space: 'mmio' }],
  irqs: () => [],
  create(_config, { backends: { entropy, disk } }) {
    let noted: Noted = { drawn: [], copies: 0, meets: false }
    const draw = (): void => {
      const bytes = new Uint8Array(4)
      entropy.fill(bytes)
      noted = { ...noted, drawn: [...noted.drawn, ...bytes] }
    }
    return {
      read: () => 0,
      write() {},
      reset() {
        draw()
        disk.write(0, [new Uint8Array(512).fill(1)], () => {})
      },
      forked({ number, meets }) {
        expect(number).toBeGreaterThan(0)
        noted = { ...noted, copies: noted.copies + 1, meets: meets('disk') }
        draw()
      },
      save: () => noted,
      restore(state) { noted = state },
    }
  },
}

interface TestDisk extends Backend<BlockPort> {
  readonly bytes: Uint8Array
  /** Answers that are to come. */
  readonly pending: (() => void)[]
  readonly forks: TestDisk[]
  closed: number
}

function testDisk(bytes: Uint8Array = new Uint8Array(512)): TestDisk {
  const disk: TestDisk = {
    kind: 'block', bytes, pending: [], forks: [], closed: 0,
    connect(deliver) {
      const answer = (done: (status: BlockStatus) => void, work: () => void): void => {
        disk.pending.push(() => {
          work()
          deliver(() => { done('ok') })
        })
      }
      return {
        size: 512, readOnly: false, blockSize: 512,
        read: (_offset, _into, done) => { answer(done, () => {}) },
        write: (_offset, [from], done) => { answer(done, () => { if (from !== undefined) disk.bytes.set(from) }) },
        flush: (done) => { answer(done, () => {}) },
      }
    },
    fork() {
      const copy = testDisk(disk.bytes.slice())
      disk.forks.push(copy)
      return copy
    },
    close() { disk.closed++ },
  }
  return disk
}

function make(disk: Backend<BlockPort> | { readonly type: string }, host: TestHost = testHost(), randomness: MachineDefinition['randomness'] = { seed: 5 }): Machine {
  const machine = createMachine(defineMachine({
    name: 'test',
    memory: { base: RAM, size: 1 << 20 },
    cpu: part(fakeCpu, { config: { harts: 1 } }),
    devices: { noter: part(noter, { at: BASE, backends: { disk } }) },
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: assemble([op.li(1, 1), op.branch(1, 0)]) }], entry: RAM },
    time: { instructionsPerSecond: 1e6 },
    ...(randomness !== undefined && { randomness }),
  }), host)
  machine.start({ drive: 'caller' })
  return machine
}

const noted = (machine: Machine): Noted => machine.saveDevices().devices['noter']?.state as Noted

/** Lets what waits for the host's event loop happen. */
async function settled<T>(host: TestHost, work: Promise<T>): Promise<T> {
  let done = false
  const end = work.finally(() => { done = true })
  end.catch(() => undefined)
  for (let turn = 0; !done && turn < 1000; turn++) {
    host.turns(1)
    await Promise.resolve()
  }
  return end
}

test('a copy has random numbers of its own, the same in each run; an exact one has those of its machine', async () => {
  const run = async (): Promise<{ drawn: (readonly number[])[], exact: Noted }> => {
    const host = testHost()
    const disk = testDisk()
    const machine = make(disk, host)
    for (const answer of disk.pending.splice(0)) answer()
    const fork = (from: Machine, exact = false): Promise<Machine> => settled(host, from.fork({ exact, start: false }))
    const first = await fork(machine)
    const second = await fork(machine)
    const third = await fork(first)
    const exact = await fork(machine, true)
    // What it would draw next is what its machine draws next.
    machine.reset()
    exact.reset()
    for (const each of [machine, exact]) {
      each.resume()
      each.runSlice(0)
    }
    expect(noted(exact)).toEqual(noted(machine))
    return { drawn: [first, second, third, machine].map((each) => noted(each).drawn), exact: noted(exact) }
  }
  const one = await run()
  expect(await run()).toEqual(one)
  expect(one.drawn.map(({ length }) => length)).toEqual([8, 8, 12, 8])
  expect(new Set(one.drawn.map((drawn) => drawn.slice(-4).join())).size).toBe(4)
  expect(one.exact.copies).toBe(0)
})

test('a copy knows where it may meet its machine: in what it was given, unless it takes the place of the machine', async () => {
  const host = testHost()
  const disk = testDisk()
  const machine = make(disk, host)
  for (const answer of disk.pending.splice(0)) answer()
  const meets = async (options: ForkOptions): Promise<boolean> => noted(await settled(host, machine.fork({ start: false, ...options }))).meets
  expect(await meets({})).toBe(false)
  expect(await meets({ backends: { 'noter.disk': testDisk() } })).toBe(true)
  expect(await meets({ backends: { 'noter.disk': testDisk() }, keepAddresses: true })).toBe(false)
})

test('disks are copied when what was under way is done, like the memory that knows of it', async () => {
  const host = testHost()
  const disk = testDisk()
  const machine = make(disk, host)
  const copying = machine.fork({ start: false })
  host.turns(3)
  await Promise.resolve()
  expect(disk.forks).toEqual([])
  for (const answer of disk.pending.splice(0)) answer()
  const copy = await settled(host, copying)
  expect(disk.forks.map(({ bytes }) => bytes[0])).toEqual([1])
  expect(noted(copy).copies).toBe(1)
  copy.dispose()
  expect([disk.closed, disk.forks[0]?.closed]).toEqual([0, 1])
})

test('what the host made of plain data can copy itself, too, and is closed when there will be no copy', async () => {
  const disk = testDisk()
  const host = testHost({ backend: (descriptor) => typeof descriptor === 'object' && descriptor.type === 'mine' ? disk : null })
  const machine = make({ type: 'mine' }, host)
  for (const answer of disk.pending.splice(0)) answer()
  const copy = await settled(host, machine.fork({ start: false }))
  expect(disk.forks.length).toBe(1)
  await settled(host, copy.fork({ start: false }))
  expect(disk.forks[0]?.forks.length).toBe(1)
  const failed = await settled(host, machine.fork({ backends: { 'noter.nothing': testDisk() } })).catch((error: unknown) => isMachinistError(error) ? error.code : error)
  expect(failed).toBe('backend-name')
  expect(disk.forks.map(({ closed }) => closed)).toEqual([0, 1])
})

test('copies that are waited for at one time are all made; those of a machine that ends meanwhile are refused, and nobody waits for ever', async () => {
  const host = testHost()
  const disk = testDisk()
  const machine = make(disk, host)
  const copies = [machine.fork({ start: false }), machine.fork({ start: false }), machine.fork({ start: false })]
  host.turns(3)
  for (const answer of disk.pending.splice(0)) answer()
  expect((await settled(host, Promise.all(copies))).map(({ state }) => state)).toEqual(['paused', 'paused', 'paused'])
  machine.resume()
  expect(machine.runSlice(1000).kind).toBe('runnable')
  machine.reset()
  machine.runSlice(0)
  expect(disk.pending.length).toBe(1)
  const late = machine.fork()
  host.turns(3)
  machine.powerOff()
  expect(await settled(host, late).catch((error: unknown) => isMachinistError(error) ? error.code : error)).toBe('not-running')
})

test('copies of copies of copies have names that a definition may have, and others are refused', async () => {
  const host = testHost()
  const disk = testDisk()
  let machine = make(disk, host)
  for (const answer of disk.pending.splice(0)) answer()
  for (let n = 0; n < 40; n++) {
    const copy = await settled(host, machine.fork({ start: false }))
    machine.dispose()
    machine = copy
  }
  expect(machine.name).toMatch(/^test[-1]{27}$/)
  expect(defineMachine({ ...machine.resolved.definition, cpu: part(fakeCpu), devices: {} }).definition.name).toBe(machine.name)
  await expect(machine.fork({ name: 'no name' })).rejects.toThrow(/machine\.name/)
})

test('a host may stand between parts and their backends, of the machine and of its copies, whoever made them', async () => {
  for (const way of ['live', 'made']) {
    const attached: { readonly part: string, readonly kind: string, readonly backend: Backend<unknown>, closed: number }[] = []
    const disk = testDisk()
    const host = testHost({
      ...(way === 'made' && { backend: (_descriptor, kind) => (kind === 'block' ? disk : null) }),
      attach(backend, kind, part) {
        const between = { part, kind, backend, closed: 0 }
        attached.push(between)
        return { ...backend, connect: (deliver, clock) => backend.connect(deliver, clock), close() { between.closed++; backend.close?.() } }
      },
    })
    const machine = make(way === 'made' ? { type: 'any' } : disk, host)
    expect(attached).toEqual([{ part: 'noter.disk', kind: 'block', backend: disk, closed: 0 }])
    for (const answer of disk.pending.splice(0)) answer()
    const copy = await settled(host, machine.fork({ start: false }))
    // What makes a copy is what was found, so nothing stands there twice.
    expect(attached[1]).toEqual({ part: 'noter.disk', kind: 'block', backend: disk.forks[0], closed: 0 })
    copy.dispose()
    machine.dispose()
    expect([disk.closed, disk.forks[0]?.closed, attached.map(({ closed }) => closed)]).toEqual([1, 1, [1, 1]])
  }
})
