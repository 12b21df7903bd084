/** Machines that are saved and copied at moments at which they are in the middle of something, and what their backends keep. */
import { type Backend, type BackendState, type BlockPort, type BlockStatus, type CharPort, type DeviceSpec, type FilesPort, isMachinistError } from '@machinist/api'
import { describe, expect, test } from 'vitest'
import { assemble, constant, fakeCpu, op } from '../testing/fake-cpu.ts'
import { bank } from '../../test/fake-devices.ts'
import { gadget, hub } from '../testing/fake-devices.ts'
import { testHost } from '../../test/harness.ts'
import { slowReader } from '../../test/slow-reader.ts'
import { storedOf } from '../../test/stored.ts'
import { createMachine, defineMachine, instantiateStored, type Machine, type MachineHost, type MachineOptions, part, type RestoreOptions, type StoredMachine } from '../index.ts'

const RAM = 0x8000_0000
const GADGET = 0x1000_0000
const BANK = 0x1100_0000
const [OFF, RESET, SEND, MORE] = [4, 8, 36, 40]

/** Asks its folder for something when register 0 is written. */
const asker: DeviceSpec<object, number, never, { readonly files: 'files' }> = {
  kind: 'asker',
  stateVersion: 1,
  backends: { files: 'files' },
  configure: () => ({}),
  regions: () => [{ name: 'registers', size: 8, space: 'mmio' }],
  irqs: () => [],
  create(_config, { backends: { files } }) {
    let done = 0
    return {
      read: () => done,
      write() { files.settle(files.tree.statistics(), () => { done++ }) },
      reset() {},
      save: () => done,
      restore(state) { done = state },
    }
  },
}

const catalogue = [fakeCpu, gadget, hub, bank, asker]

const poke = (address: number, value: number): number[] => [...constant(7, address), ...constant(6, value), op.store(6, 7)]
const say = (text: string): number[] => [...text].flatMap((letter) => poke(GADGET + SEND, letter.charCodeAt(0)))

/** The host's event loop, with a time that a test moves. */
function nodeLike(): MachineHost & { ahead: number } {
  const host = {
    ...testHost(),
    ahead: 0,
    loop: { now: () => performance.now() * 1e6 + host.ahead, soon: (callback: () => void) => { setImmediate(callback) }, after: () => () => {} },
  }
  return host
}

function make(code: readonly number[], console: Backend<CharPort>, more: Partial<MachineOptions> = {}, host: MachineHost = nodeLike()): Machine {
  const { devices = {}, ...rest } = more
  const machine = createMachine(defineMachine({
    name: 'test', memory: { base: RAM, size: 1 << 20 }, cpu: part(fakeCpu, { config: { harts: 1 } }),
    devices: { hub: part(hub, { at: 0xc00_0000 }), gadget: part(gadget, { at: GADGET, backends: { console } }), ...devices },
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: assemble(code) }], entry: RAM },
    time: { instructionsPerSecond: 1e9 },
    ...rest,
  }), host)
  machine.start({ drive: 'caller' })
  return machine
}

/** Runs until the machine has nothing to do. */
function run(machine: Machine): void {
  for (let i = 0; i < 10_000 && machine.runSlice(1_000_000).kind === 'runnable'; i++);
}

const stored = async (machine: Machine): Promise<StoredMachine> => storedOf(await machine.save())

function restored(from: StoredMachine, backends: NonNullable<RestoreOptions['backends']>): Machine {
  const machine = instantiateStored(from, catalogue, nodeLike(), { backends, exact: true })
  machine.start({ drive: 'caller' })
  return machine
}

const codeOf = (work: () => unknown): string => {
  try {
    work()
    return 'none'
  } catch (error) {
    return isMachinistError(error) ? `${error.code} ${error.part}` : String(error)
  }
}

/** A copy in each of the two ways. */
const ways: readonly (readonly [string, (machine: Machine, backends: NonNullable<RestoreOptions['backends']>) => Promise<Machine>])[] = [
  ['restored', async (machine, backends) => restored(await stored(machine), backends)],
  ['a copy', async (machine, backends) => machine.fork({ backends, exact: true })],
]

describe.each(ways)('%s', (_way, copyOf) => {
  test('output that the host has not taken comes in both, and the guest goes on when it has', async () => {
    const reader = slowReader(2)
    const machine = make([...say('abcdef'), op.stop()], reader)
    run(machine)
    expect(reader.text).toBe('ab')
    const own = slowReader(2)
    const copy = await copyOf(machine, { 'gadget.console': own })
    run(copy)
    expect(own.text).toBe('cd')
    for (const each of [own, reader]) each.take(9)
    run(copy)
    run(machine)
    expect([reader.text, own.text]).toEqual(['abcdef', 'cdef'])
    copy.dispose()
    machine.dispose()
  })

  test('a guest that is leaving leaves, when its last word has gone', async () => {
    const reader = slowReader(2)
    const machine = make([...say('abc'), ...poke(GADGET + OFF, 4), ...say('x'), op.stop()], reader)
    run(machine)
    const own = slowReader(0)
    const copy = await copyOf(machine, { 'gadget.console': own })
    run(copy)
    expect([copy.state, own.text]).toEqual(['running', ''])
    own.take(9)
    run(copy)
    expect([copy.state, copy.status, own.text]).toEqual(['off', 4, 'c'])
    // Nobody listens to this one.
    const mute = await copyOf(machine, { 'gadget.console': 'null' })
    run(mute)
    expect([mute.state, mute.status]).toEqual(['off', 4])
    reader.take(9)
    run(machine)
    expect([machine.state, reader.text]).toEqual(['off', 'abc'])
  })

  test('a device that has more to say before the guest leaves says it, and only then it leaves', async () => {
    const machine = make([...poke(GADGET + MORE, 1), ...poke(GADGET + OFF, 5), op.stop()], slowReader(9))
    run(machine)
    expect(machine.state).toBe('running')
    const copy = await copyOf(machine, { 'gadget.console': slowReader(9) })
    run(copy)
    // The gadget does not remember that it had more.
    expect([copy.state, copy.status]).toEqual(['off', 5])
    machine.dispose()
  })

  test('a guest that is starting over starts over', async () => {
    const reader = slowReader(1)
    const machine = make([...say('ab'), ...poke(GADGET + RESET, 0), op.stop()], reader)
    run(machine)
    reader.take(0)
    const own = slowReader(2)
    const copy = await copyOf(machine, { 'gadget.console': own })
    let resets = 0
    copy.on('reset', () => { if (++resets === 2) copy.powerOff(0) })
    run(copy)
    own.take(9)
    run(copy)
    expect([own.text, resets, copy.state]).toEqual(['bab', 2, 'off'])
    machine.dispose()
  })

  test('a machine that boots, and waits for its disk to be read, is copied when it has booted', async () => {
    const pending: (() => void)[] = []
    const disk: Backend<BlockPort> = {
      kind: 'block',
      connect: (deliver) => {
        const later = (done: (status: BlockStatus) => void, work: () => void = () => {}): void => { pending.push(() => { work(); deliver(() => { done('ok') }) }) }
        return { size: 4096, readOnly: false, blockSize: 512, read: (_at, into, done) => { later(done, () => { into[0]?.fill(7) }) }, write: (_at, _from, done) => { later(done) }, flush: later }
      },
      fork: () => disk,
    }
    const machine = make([...say('ab'), op.stop()], slowReader(9), { devices: { bank: part(bank, { at: BANK, config: { size: 8192 }, backends: { disk } }) } })
    run(machine)
    expect([machine.stats.retired, pending.length]).toEqual([0, 1])
    let made = false
    const own = slowReader(9)
    const copying = copyOf(machine, { 'gadget.console': own, 'bank.disk': disk }).finally(() => { made = true })
    for (let i = 0; i < 5; i++) await new Promise((resolve) => { setImmediate(resolve) })
    expect(made).toBe(false)
    while (pending.length > 0) pending.shift()?.()
    const copy = await copying
    run(copy)
    expect(own.text).toBe('ab')
    copy.dispose()
    machine.dispose()
  })
})

test('requests to folders are waited for, too, since they must not be done twice', async () => {
  const answers: (() => void)[] = []
  let asked = 0
  const folder: Backend<FilesPort> = {
    kind: 'files',
    connect: (deliver) => ({
      tree: { root: () => Promise.reject(new Error('none')), statistics: () => { asked++; return new Promise((resolve) => { answers.push(() => { resolve({ blockSize: 1, blocks: 0, free: 0, available: 0, files: 0, filesFree: 0, nameLength: 1 }) }) }) } },
      readOnly: true,
      settle: (work, done) => { void work.then((value) => { deliver(() => { done({ value }) }) }) },
    }),
  }
  const machine = make([...poke(BANK, 1), op.stop()], slowReader(9), { devices: { asker: part(asker, { at: BANK, backends: { files: folder } }) } })
  run(machine)
  const saving = stored(machine)
  await new Promise((resolve) => { setImmediate(resolve) })
  answers[0]?.()
  const copy = restored(await saving, { 'gadget.console': 'null', 'asker.files': folder })
  run(copy)
  expect([asked, copy.saveDevices().devices['asker']?.state, machine.saveDevices().devices['asker']?.state]).toEqual([1, 1, 1])
})

test('what does not come back is waited for a minute, and the machine goes on as before', async () => {
  const host = nodeLike()
  let told = 0
  const disk: Backend<BlockPort> = {
    kind: 'block',
    connect: () => ({ size: 4096, readOnly: false, blockSize: 512, read() {}, write() {}, flush() {} }),
    quiesce() {
      if (++told === 3) host.ahead = 61e9
    },
  }
  const machine = make([op.stop()], slowReader(9), { devices: { bank: part(bank, { at: BANK, config: { size: 8192 }, backends: { disk } }) } }, host)
  await expect(machine.save()).rejects.toMatchObject({ code: 'not-still', value: 1 })
  expect([told, machine.state]).toEqual([3, 'running'])
})

test('requests that wait for room need not come back where the device does them again', async () => {
  const held: (() => void)[] = []
  let host: ReturnType<typeof nodeLike> | null = null
  const disk = (full: boolean): Backend<BlockPort> => ({
    kind: 'block',
    heldBack: () => held.length,
    // A minute goes by.
    quiesce() { if (host !== null) host.ahead += 25e9 },
    connect: (deliver) => ({
      size: 4096, readOnly: false, blockSize: 512, read() {}, flush() {},
      write: (_offset, _from, done) => {
        const answer = (): void => { deliver(() => { done('ok') }) }
        if (full) held.push(answer)
        else answer()
      },
    }),
  })
  /** Writes when it is switched on, and again when it goes on from a state in which that is not done. */
  const redoing: DeviceSpec<object, { readonly done: boolean }, never, { readonly disk: 'block' }> = {
    kind: 'writer', stateVersion: 1, backends: { disk: 'block' }, redoesRequests: true, configure: () => ({}), regions: () => [{ name: 'registers', size: 8, space: 'mmio' }], irqs: () => [],
    create(_config, { backends: { disk: port } }) {
      let done = false
      const write = (): void => { port.write(0, [new Uint8Array(512)], (status) => { done = status === 'ok' }) }
      return {
        read: () => 0, write() {}, reset: write, save: () => ({ done }),
        restore(state) {
          done = state.done
          if (!done) write()
        },
      }
    },
  }
  for (const redoesRequests of [true, false]) {
    held.length = 0
    host = nodeLike()
    const machine = make([op.stop()], slowReader(9), { devices: { writer: part({ ...redoing, redoesRequests }, { at: BANK, backends: { disk: disk(true) } }) } }, host)
    run(machine)
    expect(held.length).toBe(1)
    if (!redoesRequests) {
      await expect(machine.save()).rejects.toMatchObject({ code: 'not-still', value: 1 })
      continue
    }
    const copy = instantiateStored(await stored(machine), [...catalogue, redoing], nodeLike(), { backends: { 'gadget.console': 'null', 'writer.disk': disk(false) } })
    copy.start({ drive: 'caller' })
    run(copy)
    expect([copy, machine].map((each) => each.saveDevices().devices['writer']?.state)).toEqual([{ done: true }, { done: false }])
    for (const answer of held.splice(0)) answer()
    run(machine)
    expect(machine.saveDevices().devices['writer']?.state).toEqual({ done: true })
  }
})

/** A stream that keeps a number. */
function keeper(kind: string, kept: number, vital = false): Backend<CharPort> & { got: unknown[] } {
  const got: unknown[] = []
  return {
    kind: 'char', got,
    connect: () => ({ write: (bytes) => bytes.length, read: () => 0, listen() {} }),
    save: () => [{ kind, version: 1, state: { kept }, vital }],
    restore(saved) {
      if (saved.kind !== kind) return false
      got.push(saved.state)
      return true
    },
  }
}

test('a backend gets back what one of its kind kept; what nobody has a use for is dropped, unless the guest relies on it', async () => {
  const machine = make([op.stop()], keeper('numbers', 5))
  const from = await stored(machine)
  const [same, other] = [keeper('numbers', 0), keeper('letters', 0)]
  for (const console of [same, other, 'null'] as const) restored(from, { 'gadget.console': console }).dispose()
  expect([same.got, other.got]).toEqual([[{ kept: 5 }], []])
  const vital = await stored(make([op.stop()], keeper('numbers', 6, true)))
  expect(codeOf(() => restored(vital, { 'gadget.console': 'null' }))).toBe('state gadget.console')
  restored(vital, { 'gadget.console': same }).dispose()
  expect(same.got).toEqual([{ kept: 5 }, { kept: 6 }])
})

test('a recording of a machine that goes on is replayed without its backends, also where the guest relied on what they kept', async () => {
  const vital = await stored(make([...say('ab'), ...poke(GADGET + OFF, 3), op.stop()], keeper('numbers', 6, true)))
  const log: Uint8Array[] = []
  const sink = { write(bytes: Uint8Array) { log.push(bytes.slice()) }, end() {} }
  const recorded = instantiateStored(vital, catalogue, nodeLike(), { backends: { 'gadget.console': keeper('numbers', 0) }, exact: true, record: { sink } })
  const outcome = (machine: Machine): unknown => {
    machine.start({ drive: 'caller' })
    run(machine)
    return [machine.state, machine.status]
  }
  expect(outcome(recorded)).toEqual(['off', 3])
  const source = { part: (index: number) => log[index] ?? null }
  const replayed = instantiateStored(vital, catalogue, nodeLike(), { backends: { 'gadget.console': { type: 'none' } }, exact: true, replay: { source } })
  expect(outcome(replayed)).toEqual(['off', 3])
})

test('states from anywhere are refused with typed errors, and those of before there was any of this are taken', async () => {
  const from = await stored(make([op.stop()], keeper('numbers', 5)))
  const with_ = (changes: object): StoredMachine => ({ ...from, state: { ...from.state as object, ...changes } })
  const attempt = (changes: object): string => codeOf(() => { restored(with_(changes), { 'gadget.console': keeper('numbers', 0) }).dispose() })
  const state: BackendState = { kind: 'numbers', version: 1, state: {} }
  for (const changes of [
    { version: 3 }, { backends: 5 }, { backends: null }, { output: [] }, { output: { 'gadget.console': 'text' } }, { output: { a: new Uint8Array(2 ** 21) } }, { leaving: 1 }, { leaving: { kind: 'off' } },
    { leaving: { kind: 'away' } }, { backends: { 'gadget.console': {} } }, { backends: { 'gadget.console': [null] } }, { backends: { 'gadget.console': [{ ...state, kind: 1 }] } },
    { backends: { 'gadget.console': [{ ...state, version: 'x' }] } }, { backends: { 'gadget.console': new Array(65).fill(state) } }, { backends: { nobody: [{ ...state, vital: true }] } },
  ]) expect(attempt(changes), JSON.stringify(changes).slice(0, 100)).toMatch(/^state /)
  const { backends, output, leaving, ...first } = from.state as Record<string, unknown>
  expect([backends, output, leaving]).toMatchObject([{ 'gadget.console': [{ kind: 'numbers' }] }, {}, null])
  const old = instantiateStored({ ...from, state: { ...first, version: 1 } }, catalogue, nodeLike(), { backends: { 'gadget.console': 'null' } })
  expect(old.state).toBe('paused')
})

