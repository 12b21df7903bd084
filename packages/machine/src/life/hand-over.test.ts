import { type Backend, type BlockPort, type CharPort, type DeviceSpec, isMachinistError } from '@machinist/api'
import { expect, test } from 'vitest'
import { assemble, fakeCpu, op } from '../testing/fake-cpu.ts'
import { collector, sharedMemory, type TestHost, testHost } from '../../test/harness.ts'
import { storedOf } from '../../test/stored.ts'
import { createMachine, defineMachine, type HandedMachine, type HandedOptions, type HandOverOptions, instantiateHanded, instantiateStored, type Machine, type MachineDefinition, part } from '../index.ts'

const RAM = 0x8000_0000

/** Remembers whether it was told that it is a copy, and has a disk and a stream. */
const witness: DeviceSpec<object, { told: number; meets?: boolean }, never, { readonly console: 'char'; readonly disk: 'block' }> = {
  kind: 'witness',
  stateVersion: 1,
  backends: { console: 'char', disk: 'block' },
  configure: () => ({}),
  regions: () => [{ name: 'registers', size: 8, space: 'mmio' }],
  irqs: () => [],
  create() {
    let told = 0
    let met: { meets?: boolean } = {}
    return {
      read: () => 0,
      write() {},
      reset() {},
      forked({ meets }) {
        told++
        met = { meets: meets('disk') }
      },
      save: () => ({ told, ...met }),
      restore(state) { ({ told } = state) },
    }
  },
}

interface TestDisk extends Backend<BlockPort> {
  readonly log: string[]
}

/** @param has - it keeps what was written in host memory */
function testDisk(log: string[], name: string, has: boolean): TestDisk {
  return {
    kind: 'block', log,
    connect: () => ({ size: 512, readOnly: false, blockSize: 512, read() {}, write() {}, flush() {} }),
    save: () => [{ kind: has ? 'disk' : 'limits', version: 1, state: { name } }],
    restore({ state }) {
      log.push(`${name} has ${JSON.stringify(state)}`)
      return true
    },
    async park() {
      log.push(`${name} parks`)
      await Promise.resolve()
      log.push(`${name} is parked`)
      return () => { log.push(`${name} is back`) }
    },
    close() { log.push(`${name} closes`) },
  }
}

interface Made {
  readonly host: TestHost
  readonly log: string[]
  readonly machine: Machine
}

function make({ time = 'real', console = 'null', has = false, recorded = false, image = assemble([op.li(1, 1), op.branch(1, 0)]) }: { time?: MachineDefinition['time']; console?: Backend<CharPort> | 'null'; has?: boolean; recorded?: boolean; image?: Uint8Array | { file: string } } = {}): Made {
  const log: string[] = []
  let disks = 0
  const host = testHost({
    linearMemory: sharedMemory,
    backend: (descriptor) => (typeof descriptor === 'object' && descriptor.type === 'mine' ? testDisk(log, `disk${++disks}`, has) : null),
  })
  const blueprint = defineMachine({
    name: 'test',
    memory: { base: RAM, size: 1 << 20 },
    cpu: part(fakeCpu),
    devices: { witness: part(witness, { backends: { console, disk: { type: 'mine' } } }) },
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: image }], entry: RAM },
    time, randomness: { seed: 5 },
  })
  const machine = createMachine(blueprint, host, { ...(recorded && { record: { sink: { write() {}, end() {} } } }), image: () => assemble([op.li(1, 1), op.branch(1, 0)]) })
  machine.start({ drive: 'caller' })
  machine.runSlice(1000)
  return { host, log, machine }
}

const catalogue = [fakeCpu, witness]
const codeOf = (error: unknown): unknown => isMachinistError(error) ? `${error.code} ${error.part ?? ''}` : error

/** Goes on with what a machine hands over, as another thread would. */
function across({ host, machine }: Made, options: HandOverOptions = {}, handedOptions: HandedOptions = {}, change: (handed: HandedMachine) => HandedMachine = (handed) => handed): Promise<Machine> {
  return machine.handOver((handed) => Promise.resolve(instantiateHanded(change(structuredClone(handed)), catalogue, host, handedOptions)), options)
}

test('one that moves is the same machine; what only one can have is given up before, and taken back when it stays', async () => {
  const made = make()
  const { log, machine } = made
  await expect(machine.handOver(() => {
    log.push('taken')
    return Promise.reject(new Error('no room'))
  })).rejects.toThrow('no room')
  expect(log.splice(0)).toEqual(['disk1 parks', 'disk1 is parked', 'taken', 'disk1 is back'])
  expect(machine.runSlice(1000).kind).toBe('runnable')
  const moved = await across(made)
  expect(log.splice(0)).toEqual(['disk1 parks', 'disk1 is parked', 'disk2 has {"name":"disk1"}', 'disk1 closes'])
  expect([machine.state, moved.state, moved.name]).toEqual(['disposed', 'paused', 'test'])
  expect(moved.saveDevices().devices['witness']?.state).toEqual({ told: 0 })
  expect(moved.memory.arena).not.toBe(machine.memory.arena)
})

test('real time stands still while it moves, whether it succeeds or not, and whatever it is told meanwhile', async () => {
  const made = make()
  const { host, machine } = made
  const late = async (): Promise<never> => {
    const before = machine.stats.virtualTime
    host.loop.time += 5e9
    machine.pause()
    machine.resume()
    expect(machine.runSlice(1000)).toEqual({ kind: 'idle', until: Infinity, at: Infinity })
    expect(machine.stats.virtualTime).toBe(before)
    await Promise.resolve()
    throw new Error('no room')
  }
  await expect(machine.handOver(late)).rejects.toThrow('no room')
  machine.runSlice(1000)
  const before = machine.stats.virtualTime
  expect(before).toBeLessThan(1e9)
  const moved = await machine.handOver(async (handed) => {
    host.loop.time += 5e9
    await Promise.resolve()
    return instantiateHanded(structuredClone(handed), catalogue, host)
  })
  expect(moved.stats.virtualTime - before).toBeLessThan(1e6)
})

test('a machine that its host drives goes on by itself when the other cannot have it', async () => {
  const { host, machine } = make()
  machine.pause()
  machine.start({ drive: 'host' })
  await expect(machine.handOver(() => {
    host.turns(50)
    return Promise.reject(new Error('no'))
  })).rejects.toThrow('no')
  const { retired } = machine.stats
  host.turns(5)
  expect(machine.stats.retired).toBeGreaterThan(retired)
})

test('a copy is another machine, and the first one goes on meanwhile; exact ones are not told', async () => {
  const made = make({ has: true })
  const { machine, host } = made
  const copy = await machine.handOver(async (handed) => {
    const { retired } = machine.stats
    machine.runSlice(1000)
    expect(machine.stats.retired).toBeGreaterThan(retired)
    machine.memory.write(RAM + 0x1000, Uint8Array.of(9))
    await Promise.resolve()
    return instantiateHanded(structuredClone(handed), catalogue, host)
  }, { copy: {} })
  expect([machine.state, copy.name, copy.saveDevices().devices['witness']?.state]).toEqual(['running', 'test-1', { told: 1, meets: false }])
  // It is as it was at the moment of the copy.
  expect(copy.memory.read16(RAM + 0x1000)).toBe(0)
  const exact = await across(made, { copy: { name: 'twin', exact: true } })
  expect([exact.name, exact.saveDevices().devices['witness']?.state]).toEqual(['twin', { told: 0 }])
  const { arena } = machine.memory
  expect(arena.members).toBe(1)
})

test('a disk that two would write, and what lives in this thread, must be given; the error names it, and the machine goes on', async () => {
  const made = make({ console: collector() })
  expect(await across(made, { copy: {} }).catch(codeOf)).toBe('hand-over-backend witness.disk')
  expect(await across(made).catch(codeOf)).toBe('hand-over-backend witness.console')
  expect([made.machine.state, made.machine.runSlice(1000).kind]).toEqual(['running', 'runnable'])
  const console = collector()
  const moved = await across(made, {}, { backends: { 'witness.console': console } })
  expect(moved.state).toBe('paused')
  // Streams of a copy end.
  const copy = await across(make({ console: collector(), has: true }), { copy: {} })
  expect(copy.resolved.definition.devices['witness']?.backends).toEqual({ console: 'null', disk: { type: 'mine' } })
})

test.each([['bytes', undefined], ['a file', { file: 'code.bin' }]])('images cross without being copied, and a reset has them: %s', async (_of, image) => {
  const made = make(image === undefined ? {} : { image })
  let handed: HandedMachine | null = null
  const moved = await across(made, {}, {}, (each) => handed = each)
  const boot = (handed as HandedMachine | null)?.definition.boot
  const bytes = image === undefined ? boot?.protocol === 'raw' && boot.images[0]?.bytes : (handed as HandedMachine | null)?.images['code.bin']
  expect(bytes instanceof Uint8Array && bytes.buffer instanceof SharedArrayBuffer).toBe(true)
  moved.start({ drive: 'caller' })
  moved.reset()
  moved.runSlice(1000)
  expect(moved.vcpus[0]?.save()).toMatchObject({ pc: RAM + 4 })
})

test('pages of which a source has the content cross, too', async () => {
  const made = make({ has: true })
  made.machine.memory.write(RAM + 0x5000, Uint8Array.of(1, 2, 3))
  made.machine.memory.write(RAM + 0x9000, Uint8Array.of(4))
  const stored = storedOf(await made.machine.save())
  const machine = instantiateStored(stored, catalogue, made.host, { exact: true })
  machine.start({ drive: 'caller' })
  let done = false
  const moving = across({ ...made, machine }).finally(() => { done = true })
  while (!done) {
    made.host.turns(1)
    await Promise.resolve()
  }
  const moved = await moving
  const bytes = new Uint8Array(0x5000)
  moved.memory.read(RAM + 0x5000, bytes)
  expect([bytes[0], bytes[1], bytes[2], bytes[0x4000]]).toEqual([1, 2, 3, 4])
})

test('what is no machine is refused, and nothing is left of it', async () => {
  const changes: readonly ((handed: HandedMachine) => HandedMachine)[] = [
    (handed) => ({ ...handed, memory: { ...handed.memory, regions: [] } }),
    (handed) => ({ ...handed, memory: { ...handed.memory, regions: handed.memory.regions.map((region) => ({ ...region, map: 2 ** 31 })) } }),
    (handed) => ({ ...handed, memory: { ...handed.memory, regions: handed.memory.regions.map((region) => ({ ...region, map: 3 })) } }),
    (handed) => ({ ...handed, memory: { ...handed.memory, buffer: handed.memory.buffer.slice(0, 2 ** 20) } }),
    (handed) => ({ ...handed, state: { version: 2 } }),
    (handed) => ({ ...handed, state: null }),
  ]
  for (const change of changes) {
    const made = make()
    expect(String(await across(made, {}, {}, change).catch(codeOf))).toMatch(/^(state|memory-image) /)
    expect(made.machine.runSlice(1000).kind).toBe('runnable')
    const { arena } = made.machine.memory
    made.machine.dispose()
    expect([arena.frames, arena.members]).toEqual([0, 0])
  }
})

test('a machine that is recorded stays until it is not any more; one that is off has nothing to hand over', async () => {
  const recorded = make({ recorded: true, time: { instructionsPerSecond: 1e6 } })
  expect(await across(recorded).catch(codeOf)).toBe('recorded test')
  recorded.machine.stopRecording()
  expect((await across(recorded)).state).toBe('paused')
  const { machine } = make()
  machine.powerOff()
  expect(await machine.handOver(() => Promise.resolve(1)).catch(codeOf)).toBe('not-running test')
})
