/** A device with a port of every kind, backends that do anything that they may, and a machine that does the same again without them. */
import {
  type Backend, type BackendClock, type BlockPort, type BlockStatus, type CharPort, type Deliver, type DeviceContext, type DeviceSpec, type FileNode, type FilesOutcome, type FilesPort, type Frame, isMachinistError,
  type NetPort, noOffloads, posixError, type VsockStream,
} from '@machinist/api'
import { expect, test } from 'vitest'
import { assemble, fakeCpu, op } from '../testing/fake-cpu.ts'
import { testHost } from '../../test/harness.ts'
import { createMachine, defineMachine, type Machine, type MachineBlueprint, type MachineHost, part, type ReplayOptions } from '../index.ts'

const RAM = 0x8000_0000
const BASE = 0x1000_0000
type Random = (limit: number) => number

/** The same numbers for a seed. Others: TAPE_SEED. */
function randomOf(seed: number): Random {
  let state = (seed + Number(process.env['TAPE_SEED'] ?? 0) * 104_729) >>> 0
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor(state / 2 ** 32 * limit)
  }
}

const wants = {
  disk: 'block', line: 'char', net: 'net', sound: 'audio', screen: 'display', tree: 'files', keys: 'input', socket: 'vsock', balloon: 'balloon', plug: 'hotplug', entropy: 'entropy', clock: 'wallClock',
} as const

/** Does something at one of its ports for each word that the guest writes, and mixes into its state whatever comes of it. */
const mixer: DeviceSpec<object, { sum: number; count: number }, never, typeof wants> = {
  kind: 'mixer',
  stateVersion: 1,
  backends: wants,
  configure: () => ({}),
  regions: () => [{ name: 'registers', size: 8, space: 'mmio' }],
  irqs: () => [],
  create(_config, context: DeviceContext<never, typeof wants>) {
    const { disk, line, net, sound, screen, tree, keys, socket, balloon, plug, entropy, clock } = context.backends
    let sum = 0
    let count = 0
    const streams: VsockStream[] = []
    const mix = (value: unknown): void => {
      count++
      if (value instanceof Uint8Array) for (const byte of value) sum = (Math.imul(sum, 31) + byte) >>> 0
      else if (typeof value === 'object' && value !== null) for (const each of Object.values(value)) mix(each)
      else for (const character of String(value)) sum = (Math.imul(sum, 33) + (character.codePointAt(0) ?? 0)) >>> 0
    }
    const bytes = (value: number): Uint8Array => Uint8Array.of(value, sum, value >>> 3)
    const join = (stream: VsockStream | null): void => {
      mix(stream === null ? 'refused' : 'joined')
      if (stream === null) return
      streams.push(stream)
      stream.listen({
        readable() {
          const room = new Uint8Array(5)
          mix(room.subarray(0, stream.read(room)))
          mix([stream.readable, stream.ended])
        },
        writable() { mix('room') },
        failed() { mix('failed') },
      })
    }
    line.listen({ readable() { mix('in'); const room = new Uint8Array(4); mix(room.subarray(0, line.read(room))); mix(line.ended) }, writable() { mix('out') } })
    line.onResize?.(() => { mix(line.size) })
    net.listen({ readable() { for (let frame = net.receive(); frame !== null; frame = net.receive()) mix(frame) }, writable() { mix('send') }, linkChanged() { mix(net.link) } })
    screen.listen({ sizesChanged() { mix(screen.size(0)) } })
    keys.listen({ readable() { mix(keys.receive() ?? 'none') } })
    socket.listen((port, stream, answered) => {
      mix(port)
      join(stream)
      answered(sum % 3 === 0 ? null : sum % 1000)
    })
    balloon.listen({ targetChanged() { mix(balloon.target) }, statisticsWanted() { balloon.report({ free: sum }) } })
    plug.listen({ targetChanged() { plug.resized(plug.target) } })
    const status = (buffers: readonly Uint8Array[] = []) => (how: BlockStatus): void => { mix([how, ...buffers]) }
    const walk = async (value: number): Promise<unknown> => {
      const { node, attributes } = await tree.tree.root()
      mix(attributes.id)
      const found = await node.lookup(bytes(value))
      const { file } = await found.node.open({ read: true, write: true })
      const into = new Uint8Array(16)
      const length = await file.read(value, into)
      await file.write(0, into)
      await node.rename(bytes(1), found.node, bytes(2))
      file.close()
      found.node.release()
      return [length, into, (await node.attributes()).modified, await (await node.list()).next(3)]
    }
    const settled = (outcome: FilesOutcome<unknown>): void => { mix('value' in outcome ? outcome.value : (outcome.error as { code?: string }).code) }
    const actions: readonly ((value: number) => void)[] = [
      (value) => { const buffers = [new Uint8Array(7), new Uint8Array(value % 30)]; disk.read(value, buffers, status(buffers)) },
      (value) => { const buffers = [new Uint8Array(9).fill(1)]; mix(disk.readAtOnce?.(value, buffers, status(buffers))); mix(buffers) },
      (value) => { disk.write(value, [bytes(value)], status()) },
      () => { disk.flush(status()) },
      () => { mix([disk.size, disk.readOnly, disk.blockSize, disk.discard === undefined, disk.writeZeroes === undefined]); disk.discard?.(0, 512, status()) },
      (value) => { mix(line.write(bytes(value))) },
      (value) => { mix(net.send({ bytes: bytes(value) })); mix([net.mtu, net.address, net.offloads, net.link]) },
      () => { net.accept(noOffloads) },
      (value) => { const heard = new Uint8Array(6).fill(128); sound.start(0, { sample: 'u8', channels: 1, rate: value }); sound.record(0, heard); mix(heard); sound.play(0, heard); sound.stop(0) },
      (value) => { screen.show(0, { width: value, height: 1 }); screen.present(0, { x: 0, y: 0, width: 1, height: 1 }, { bytes: bytes(value), stride: 4, format: 'b8g8r8a8' }); screen.cursor(0, null); screen.moveCursor(0, value, 1) },
      (value) => { keys.status({ type: 17, code: value, value: 1 }) },
      (value) => { socket.connect(value, join) },
      (value) => { for (const stream of streams.splice(0, 1)) { mix(stream.write(bytes(value))); if (value % 2 === 0) stream.end(); else if (value % 3 === 0) stream.destroy(); else stream.close() } },
      (value) => { balloon.resized(value) },
      () => { const drawn = new Uint8Array(5); entropy.fill(drawn); mix(drawn) },
      () => { mix(clock.now()) },
      (value) => { tree.settle(walk(value), settled) },
      (value) => { mix(tree.readOnly); tree.settle(tree.tree.statistics().then((statistics) => ({ statistics, value })), settled) },
    ]
    return {
      read: () => sum,
      write(_region, _offset, _width, value) { actions[value % actions.length]?.(value >>> 8) },
      reset() { mix('reset') },
      save: () => ({ sum, count }),
      restore(state) { ({ sum, count } = state) },
    }
  },
}

/** What all backends have in common: they answer at odd moments, at once or later, by themselves or by timers of the machine's time. */
class Outside {
  readonly random: Random
  /** What is to happen between slices. */
  #later: (() => void)[] = []

  constructor(random: Random) {
    this.random = random
  }

  bytes(most = 12): Uint8Array {
    return Uint8Array.from({ length: 1 + this.random(most) }, () => this.random(256))
  }

  /** Between slices, or in the middle of one. */
  soon(deliver: Deliver, clock: BackendClock | undefined, work: () => void): void {
    const how = this.random(4)
    if (how === 0) deliver(work)
    else if (how === 1 && clock !== undefined) clock.timer(work).arm(clock.now() + this.random(300_000))
    else this.#later.push(() => { deliver(work) })
  }

  promise<T>(value: T): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        if (this.random(12) === 0) reject(posixError('ENOENT'))
        else resolve(value)
      }
      if (this.random(2) === 0) settle()
      else this.#later.push(settle)
    })
  }

  turn(): void {
    for (const work of this.#later.splice(0, this.random(4))) work()
  }
}

function backendsOf(outside: Outside): Record<keyof typeof wants, Backend<unknown>> & { readonly poke: (() => void)[] } {
  const { random } = outside
  const poke: (() => void)[] = []
  const backend = (kind: keyof typeof wants, connect: (deliver: Deliver, clock: BackendClock | undefined) => unknown): Backend<unknown> => ({ kind: wants[kind], connect })
  const listeners = <L extends object>(deliver: Deliver): { listen(to: L): void } => {
    let listener: L | null = null
    const names = (): (keyof L)[] => Object.keys(listener ?? {}) as (keyof L)[]
    poke.push(() => {
      const name = names()[random(Math.max(1, names().length))]
      deliver(() => { if (name !== undefined) (listener?.[name] as (() => void) | undefined)?.() })
    })
    return { listen(to) { listener = to } }
  }
  const statuses: readonly BlockStatus[] = ['ok', 'ok', 'ok', 'io-error', 'no-space']
  const stream = (deliver: Deliver, clock: BackendClock | undefined): VsockStream => ({
    ...listeners<{ readable(): void; writable(): void; failed(): void }>(deliver),
    write: (bytes) => random(bytes.length + 1),
    read(into) { const count = random(into.length + 1); into.set(outside.bytes().subarray(0, count)); return count },
    get readable() { return random(3) === 0 },
    get ended() { return random(20) === 0 },
    end() { if (random(3) === 0) outside.soon(deliver, clock, () => {}) },
    close() {},
    destroy() {},
  })
  const attributes = (): never => ({ kind: 'file', id: BigInt(random(1000)), mode: 1, user: 0, group: 0, links: 1, size: random(99), blocks: 0, accessed: 0n, modified: BigInt(random(2 ** 31)), changed: 0n }) as never
  const node = (): FileNode => ({
    attributes: () => outside.promise(attributes()),
    lookup: () => outside.promise({ node: node(), attributes: attributes() }),
    open: () => outside.promise({
      attributes: attributes(),
      file: {
        read(_offset: number, into: Uint8Array) { const count = random(into.length + 1); into.set(outside.bytes(count).subarray(0, count)); return outside.promise(count) },
        write: () => outside.promise(undefined), attributes: () => outside.promise(attributes()), change: () => outside.promise(undefined), flush: () => outside.promise(undefined), close() {},
      },
    }),
    rename: (_name: Uint8Array, into: FileNode) => { expect(Object.hasOwn(into, 'mark')).toBe(true); return outside.promise(undefined) },
    list: () => outside.promise({ next: () => outside.promise([{ name: outside.bytes(), attributes: attributes() }]), close() {} } as never),
    release() {},
    mark: true,
  }) as unknown as FileNode
  return {
    poke,
    disk: backend('disk', (deliver, clock): BlockPort => {
      const fill = (into: readonly Uint8Array[]): void => { for (const buffer of into) buffer.forEach((_, index) => { buffer[index] = random(256) }) }
      const finish = (done: (status: BlockStatus) => void, work = (): void => {}): void => { outside.soon(deliver, clock, () => { work(); done(statuses[random(5)] ?? 'ok') }) }
      return {
        size: 4096, readOnly: false, blockSize: 512,
        read(_offset, into, done) { finish(done, () => { fill(into) }) },
        readAtOnce(_offset, into, done) { fill(into); if (random(2) === 0) return false; deliver(() => { done('ok') }); return true },
        write(_offset, _from, done) { finish(done) },
        flush(done) { finish(done) },
        discard(_offset, _length, done) { finish(done) },
      }
    }),
    line: backend('line', (deliver): CharPort => ({
      ...listeners<{ readable(): void; writable(): void }>(deliver),
      write: (bytes) => random(bytes.length + 1),
      read(into) { const count = random(into.length + 1); into.set(outside.bytes().subarray(0, count)); return Math.min(count, into.length) },
      get ended() { return random(9) === 0 },
      get size() { return { columns: random(3), rows: 25 } },
      onResize(to) { poke.push(() => { deliver(to) }) },
    })),
    net: backend('net', (deliver): NetPort => {
      let waiting = 0
      return {
        ...listeners<{ readable(): void; writable(): void; linkChanged(): void }>(deliver),
        mtu: 1500, address: '02:00:00:00:00:01', get link() { return random(4) !== 0 }, get offloads() { return { ...noOffloads, checksum: random(5) === 0 } },
        send: () => random(2) === 0,
        receive(): Frame | null { waiting = waiting === 0 ? random(4) : waiting - 1; return waiting === 0 ? null : { bytes: outside.bytes(60), trusted: true, ...(random(3) === 0 && { checksum: { start: 1, offset: 2 } }) } },
        accept() {},
      }
    }),
    sound: backend('sound', () => ({ start() {}, play() {}, stop() {}, record(_stream: number, into: Uint8Array) { if (random(2) === 0) into.set(outside.bytes(into.length)) } })),
    screen: backend('screen', (deliver) => ({ ...listeners(deliver), size: () => random(3) === 0 ? null : { width: random(9), height: 2 }, show() {}, present() {}, cursor() {}, moveCursor() {} })),
    tree: backend('tree', (deliver): FilesPort => ({
      readOnly: false, tree: { root: () => outside.promise({ node: node(), attributes: attributes() }), statistics: () => outside.promise({ blocks: random(9) } as never) },
      settle(work, done) { work.then((value) => { deliver(() => { done({ value }) }) }, (error: unknown) => { deliver(() => { done({ error }) }) }) },
    })),
    keys: backend('keys', (deliver) => ({ ...listeners(deliver), receive: () => random(2) === 0 ? null : [{ type: 1, code: random(99), value: -1 }], status() {} })),
    socket: backend('socket', (deliver, clock) => {
      let accept: ((port: number, stream: VsockStream, answered: (port: number | null) => void) => void) | null = null
      poke.push(() => { deliver(() => { accept?.(random(99), stream(deliver, clock), (port) => { if (port !== null && port % 2 === 0) outside.soon(deliver, clock, () => {}) }) }) })
      return {
        listen(to: NonNullable<typeof accept>) { accept = to },
        connect(_port: number, done: (stream: VsockStream | null) => void) { outside.soon(deliver, clock, () => { done(random(3) === 0 ? null : stream(deliver, clock)) }) },
      }
    }),
    balloon: backend('balloon', (deliver) => ({ ...listeners(deliver), get target() { return random(3) * 4096 }, resized() {}, report() {} })),
    plug: backend('plug', (deliver) => ({ ...listeners(deliver), get target() { return random(3) * 4096 }, resized() {} })),
    entropy: backend('entropy', () => ({ fill(into: Uint8Array) { into.forEach((_, index) => { into[index] = random(256) }) } })),
    clock: backend('clock', () => ({ now: () => BigInt(random(2 ** 31)) })),
  }
}

/** Harts that write one word after another to the device, add up what they read, and wait for a while now and then. */
function blueprintOf(random: Random, backends: ReturnType<typeof backendsOf>, harts: number): MachineBlueprint {
  const code = [op.li(1, 0), op.high(1, BASE >>> 16), op.li(2, 0), op.high(2, (RAM + 0x1_0000) >>> 16)]
  for (let i = 0; i < 120; i++) {
    code.push(op.li(3, random(65536)), op.store(3, 1), op.load(4, 1), op.add(5, 4), op.store(5, 2))
    if (random(5) === 0) code.push(op.li(6, 1 + random(60_000)), op.timer(6), op.wait())
    if (random(9) === 0) code.push(op.yield())
  }
  code.push(op.li(6, 1), op.branch(6, -code.length + 3))
  const { poke: _, ...given } = backends
  return defineMachine({
    name: 'mixed', memory: { base: RAM, size: 1 << 20 }, time: { instructionsPerSecond: 1e7 }, randomness: 'host', wallClock: 'host',
    cpu: part(fakeCpu, { config: { harts } }), devices: { mixer: part(mixer, { at: BASE, backends: given as never }) },
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: assemble(code) }], entry: RAM },
  })
}

function stateOf(machine: Machine): unknown {
  const ram = new Uint8Array(8)
  machine.memory.read(RAM + 0x1_0000, ram)
  return { devices: machine.saveDevices(), harts: machine.vcpus.map((vcpu) => vcpu.save()), ram: [...ram], retired: machine.stats.retired, time: machine.stats.virtualTime, events: machine.stats.events }
}

/** A host whose turns are those of the event loop, so that promises have theirs. */
const host: MachineHost = { ...testHost(), loop: { now: () => 0, soon(callback) { setImmediate(callback) }, after: () => () => {} } }
const turn = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve) })

async function record(seed: number, harts: number): Promise<{ readonly parts: readonly Uint8Array[]; readonly blueprint: MachineBlueprint; readonly state: unknown }> {
  const random = randomOf(seed)
  const outside = new Outside(random)
  const backends = backendsOf(outside)
  const blueprint = blueprintOf(random, backends, harts)
  const parts: Uint8Array[] = []
  const machine = createMachine(blueprint, host, { record: { sink: { write: (bytes) => { parts.push(bytes) }, end() {} }, checkEvery: 200, checkMemoryEvery: 1000 } })
  machine.start({ drive: 'caller' })
  for (let i = 0; i < 300 && machine.state !== 'off'; i++) {
    for (let slices = random(4); slices > 0; slices--) machine.runSlice(0)
    if (random(2) === 0) backends.poke[random(backends.poke.length)]?.()
    outside.turn()
    if (random(3) === 0) await turn()
    if (random(60) === 0) machine.reset()
  }
  machine.powerOff(0)
  const { error } = await machine.finished()
  expect(error).toBeNull()
  const state = stateOf(machine)
  machine.dispose()
  return { parts, blueprint, state }
}

function replaying(blueprint: MachineBlueprint, parts: readonly Uint8Array[], onSay?: ReplayOptions['onSay']): Machine {
  const source = { part: (index: number) => parts[index] ?? null }
  return createMachine({ ...blueprint, backends: new Map() }, { ...host, entropy: undefined, wallClock: undefined } as unknown as MachineHost, { replay: { source, ...(onSay !== undefined && { onSay }) } })
}

async function finish(machine: Machine): Promise<void> {
  machine.start({ drive: 'caller' })
  for (let i = 0; i < 20_000 && machine.state === 'running'; i++) {
    const { kind } = machine.runSlice(i % 2 === 0 ? 0 : Infinity)
    if (kind === 'idle') await turn()
  }
}

const said = new Set<string>()

test.each([1, 2, 3, 4, 5, 6, 7, 8].map((seed) => ({ seed, harts: 1 + seed % 3 })))('ports of every kind, seed $seed with $harts harts', async ({ seed, harts }) => {
  const { parts, blueprint, state } = await record(seed, harts)
  const machine = replaying(blueprint, parts, ({ kind, member }) => { said.add(`${kind}.${member}`) })
  await finish(machine)
  expect(machine.replay).toMatchObject({ ended: true, whole: true, off: true, difference: null })
  expect(stateOf(machine)).toEqual(state)
  machine.dispose()
})

/** Fails when its disk has answered. */
const faulty: DeviceSpec<object, null, never, { readonly disk: 'block' }> = {
  kind: 'faulty', stateVersion: 1, backends: { disk: 'block' }, configure: () => ({}), regions: () => [{ name: 'registers', size: 8, space: 'mmio' }], irqs: () => [],
  create: (_config, { backends: { disk } }) => ({
    read: () => 0,
    write(_region, _offset, _width, value) {
      disk.read(value, [new Uint8Array(8)], () => {
        disk.flush(() => {})
        throw new Error(`no room for ${value}`)
      })
    },
    reset() {}, save: () => null, restore() {},
  }),
}

test.each(['its error', 'nothing, where the backend keeps it to itself'])('what a device throws over what came from outside is thrown again: %s', async (what) => {
  const kept = what !== 'its error'
  let answer: (() => void) | null = null
  const disk: Backend<BlockPort> = {
    kind: 'block',
    connect: (deliver) => ({
      size: 512, readOnly: false, blockSize: 512, write() {}, flush() {},
      read(_offset, _into, done) {
        answer = () => {
          deliver(() => {
            try {
              done('ok')
            } catch (error) {
              if (!kept) throw error
            }
          })
        }
      },
    }),
  }
  const blueprint = defineMachine({
    name: 'faulty', memory: { base: RAM, size: 1 << 20 }, time: { instructionsPerSecond: 1e7 }, cpu: part(fakeCpu, { config: {} }), devices: { bad: part(faulty, { at: BASE, backends: { disk } as never }) },
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: assemble([op.li(1, 0), op.high(1, BASE >>> 16), op.li(3, 7), op.store(3, 1), op.li(6, 1), op.branch(6, -1)]) }], entry: RAM },
  })
  const parts: Uint8Array[] = []
  const run = async (machine: Machine): Promise<unknown> => {
    if (machine.replay === null) {
      machine.start({ drive: 'caller' })
      for (let i = 0; i < 50 && machine.state === 'running'; i++) {
        machine.runSlice(0)
        if (i === 10) answer?.()
      }
      machine.powerOff(3)
    } else await finish(machine)
    const outcome = await machine.finished()
    machine.dispose()
    return outcome
  }
  const recorded = await run(createMachine(blueprint, host, { record: { sink: { write: (bytes) => { parts.push(bytes) }, end() {} } } }))
  expect(recorded).toMatchObject(kept ? { status: 3, error: null } : { status: 1, error: { message: 'no room for 7' } })
  const machine = replaying(blueprint, parts)
  expect(await run(machine)).toEqual(recorded)
  expect(machine.replay).toMatchObject({ ended: true, whole: true, difference: null })
})

test('all of them were asked for something', () => {
  for (const name of ['block.read', 'char.write', 'net.send', 'audio.play', 'display.present', 'input.status', 'vsock.connect', 'balloon.resized', 'entropy.fill', 'wallClock.now']) expect(said).toContain(name)
})

test('another log of the same machine is another run, and one that is mutated gives a typed error or the same', async () => {
  const { parts, blueprint } = await record(9, 2)
  const other = await record(10, 2)
  const wrong = (): Machine => replaying(blueprint, other.parts)
  try {
    const machine = wrong()
    await finish(machine)
    expect(machine.replay?.difference).toMatchObject({ code: 'replay-difference' })
    machine.dispose()
  } catch (error) {
    expect(isMachinistError(error)).toBe(true)
  }
  const random = randomOf(11)
  let errors = 0
  for (let i = 0; i < 60; i++) {
    const target = random(parts.length)
    const changed = parts.map((bytes, index) => {
      if (index !== target) return bytes
      const copy = bytes.slice(0, random(5) === 0 ? random(bytes.length) + 1 : bytes.length)
      copy[random(copy.length)] = random(256)
      return copy
    })
    try {
      const machine = replaying(blueprint, changed)
      await finish(machine)
      if (machine.replay?.ended !== true) {
        errors++
        expect(isMachinistError((await machine.finished()).error)).toBe(true)
      }
      machine.dispose()
    } catch (error) {
      if (!isMachinistError(error)) throw error
      errors++
    }
  }
  expect(errors).toBeGreaterThan(20)
})

test('whoever waits for the end is told of a difference that only the last checksums show', async () => {
  const { parts, blueprint } = await record(12, 1)
  const last = parts.length - 1
  let found = 0
  for (let back = 1; back <= 24; back++) {
    const changed = parts.map((bytes, index) => index === last ? bytes.map((byte, at) => at === bytes.length - back ? byte ^ 1 : byte) : bytes)
    const machine = replaying(blueprint, changed)
    const finished = machine.finished()
    await finish(machine)
    const difference = machine.replay?.difference ?? null
    if (machine.state === 'off') expect((await finished).error).toBe(difference)
    found += Number(machine.state === 'off' && difference !== null)
    machine.dispose()
  }
  expect(found).toBeGreaterThan(15)
})

test('a backend of a kind that nobody knows is not recorded', () => {
  const odd: DeviceSpec<object, object, never, { readonly odd: 'block' }> = {
    ...mixer as unknown as DeviceSpec<object, object, never, { readonly odd: 'block' }>, kind: 'odd', backends: { odd: 'oddity' } as never,
    create: () => ({ read: () => 0, write() {}, reset() {}, save: () => ({}), restore() {} }),
  }
  const blueprint = defineMachine({
    name: 'odd', memory: { base: RAM, size: 1 << 20 }, time: { instructionsPerSecond: 1e7 }, cpu: part(fakeCpu, { config: { harts: 1 } }),
    devices: { odd: part(odd, { at: BASE, backends: { odd: { kind: 'oddity', connect: () => ({}) } as never } }) }, boot: { protocol: 'raw', images: [], entry: RAM },
  })
  expect(() => createMachine(blueprint, host, { record: { sink: { write() {}, end() {} } } })).toThrow(/odd\.odd: what a backend of this kind does cannot be recorded \(oddity\)/)
})
