import { machinistError } from '@machinist/api'
import { describe, expect, it } from 'vitest'
import { bytePair } from '../../test/byte-pair.ts'
import { FakeHypervisor } from '../../test/fake-hypervisor.ts'
import { type ByteDuplex, connectHypervisor, type HypervisorEvent, type MachineSpec, serveHypervisor } from '../index.ts'
import { encodeCbor } from './cbor.ts'
import { frame, FrameReader, MOST_MESSAGE } from './frames.ts'
import { decodeCbor } from './cbor.ts'

const SEED = Number(process.env['REMOTE_SEED'] ?? 1)
const DEFINITION: Extract<MachineSpec['machine'], { readonly version: 1 }> = {
  version: 1, name: 'm', memory: [{ name: 'ram', base: 0x8000_0000, size: 1 << 20 }], cpu: { kind: 'riscv', config: { harts: 1 } }, devices: {}, time: 'real',
  boot: { protocol: 'raw', entry: 0x8000_0000, images: [{ name: 'code', at: 0x8000_0000, bytes: Uint8Array.of(0x73, 0, 0x50, 0x10) }] },
}
const spec = (name: string, more: Partial<MachineSpec> = {}): MachineSpec => ({ name, machine: DEFINITION, ...more })
const GREETING = { hello: 'machinist-hypervisor', version: 1 }

function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor(state / 2 ** 32 * below)
  }
}

function both(cut?: (length: number) => number): { readonly fake: FakeHypervisor; readonly client: ReturnType<typeof connectHypervisor>; readonly served: ReturnType<typeof serveHypervisor> } {
  const fake = new FakeHypervisor()
  const [here, there] = bytePair(cut)
  const served = serveHypervisor(fake, there, { calls: { double: async (value) => Number(value) * 2 } })
  return { fake, client: connectHypervisor(here), served }
}

/** Waits until something is so. */
async function until(is: () => boolean): Promise<void> {
  for (let turn = 0; !is(); turn++) {
    if (turn > 100_000) throw new Error('it never became so')
    await new Promise((resolve) => { setImmediate(resolve) })
  }
}

/** The other end of a stream, by hand. */
function peer(stream: ByteDuplex): { readonly messages: Record<string, unknown>[]; closed: boolean; send(message: unknown): void; raw(bytes: Uint8Array): void } {
  const reader = new FrameReader()
  reader.most = MOST_MESSAGE
  const self = { messages: [] as Record<string, unknown>[], closed: false, send: (message: unknown) => { stream.send(frame(message)) }, raw: (bytes: Uint8Array) => { stream.send(bytes) } }
  stream.listen({
    bytes(bytes) {
      reader.push(bytes)
      for (let next = reader.next(); next !== null; next = reader.next()) self.messages.push(decodeCbor(next) as Record<string, unknown>)
    },
    writable() {},
    closed() { self.closed = true },
  })
  return self
}

describe('a hypervisor at the other end of a stream', () => {
  it('does what is called, with the same values', async () => {
    const { fake, client } = both(() => 3)
    const resources = { cpu: { shares: 2000, reservation: 0.5, limit: Infinity }, memory: { limit: 2 ** 40 } }
    await client.add(spec('one', { pool: '', resources, autostart: true, restart: 'on-failure', group: 'g' }))
    await client.add({ name: 'two', machine: { file: '/m.json' } })
    await client.start('one')
    await client.start('two', '/two.snapshot')
    await client.stop('one', 0)
    await client.stop('one')
    await client.set('one', { resources: { cpu: { limit: null as unknown as number } } })
    await client.fork('two', { name: 'three', pool: 'p' })
    await client.addPool({ path: 'p', resources })
    expect(await client.pools()).toStrictEqual([{ path: 'p', resources }])
    expect(fake.calls).toStrictEqual([
      ['add', spec('one', { pool: '', resources, autostart: true, restart: 'on-failure', group: 'g' })], ['add', { name: 'two', machine: { file: '/m.json' } }],
      ['start', 'one', undefined], ['start', 'two', '/two.snapshot'], ['stop', 'one', 0], ['stop', 'one', undefined], ['set', 'one', { resources: { cpu: { limit: Infinity } } }],
      ['add', { name: 'three', machine: { file: '/m.json' }, pool: 'p' }],
    ])
    expect(await client.machines()).toStrictEqual(await fake.machines())
    expect(await client.table()).toStrictEqual(await fake.table())
    expect(await client.events('two')).toStrictEqual(fake.told.filter(({ name }) => name === 'two'))
    expect(await client.call('double', 21)).toBe(42)
  })

  it('an error is what was thrown: code, part, value, remedy and message', async () => {
    const { fake, client } = both()
    await client.add(spec('one'))
    const thrown: unknown = await fake.add(spec('one')).catch((error: unknown) => error)
    const came: unknown = await client.add(spec('one')).catch((error: unknown) => error)
    expect(came).toMatchObject({ code: 'machine-known', part: 'one', value: 7, remedy: 'Choose another name.', name: 'MachinistError' })
    expect((came as Error).message).toBe((thrown as Error).message)
    fake.pause = async () => { throw new TypeError('a bug') }
    await expect(client.pause('one')).rejects.toThrow('a bug')
    await expect(client.call('toString')).rejects.toMatchObject({ code: 'call-unknown', value: 'toString' })
    fake.table = async () => ({ at: 0, rows: new Map() as unknown as [] })
    await expect(client.table()).rejects.toMatchObject({ code: 'message' })
    await expect(client.add(spec('big', { machine: { ...DEFINITION, boot: { protocol: 'riscv', kernel: new Uint8Array(17 << 20) } } }))).rejects.toMatchObject({ code: 'message', remedy: expect.stringContaining('file') as string })
    await client.start('one')
  })

  it.each([
    ['add', [{ name: '../x', machine: DEFINITION }], 'machine.name'], ['add', [{ name: 'x' }], 'machine.machine'], ['add', [{ name: 'x', machine: { file: 3 } }], 'machine.machine.file'], ['add', [null], 'machine'],
    ['add', [{ name: 'x', machine: DEFINITION, colour: 1 }], 'machine.colour'], ['set', ['x', { resources: { cpu: { shares: -1 } } }], 'changes.resources.cpu.shares'], ['set', ['x', { name: 'y' }], 'changes.name'],
    ['set', ['x', { resources: { gpu: {} } }], 'changes.resources.gpu'], ['set', ['x', { resources: { cpu: { limit: NaN } } }], 'changes.resources.cpu.limit'], ['set', ['x', { restart: 'maybe' }], 'changes.restart'],
    ['start', [7], 'name'], ['start', ['x', ''], 'snapshot'], ['stop', ['x', -1], 'within'], ['move', ['x', 0.5], 'processor'], ['save', ['x'], 'file'], ['setPool', ['p', []], 'resources'], ['fork', ['x', { name: '' }], 'copy.name'],
  ])('%s refuses %j', async (call, args, part) => {
    const { fake, client } = both()
    await expect(client.call(call, ...args)).rejects.toMatchObject({ code: 'parameter', part })
    expect(fake.calls).toEqual([])
  })

  it('tells of events from when somebody listens until nobody does', async () => {
    const { fake, client } = both()
    const first: HypervisorEvent[] = []
    const second: HypervisorEvent[] = []
    fake.tell('warning', 'before')
    const ends = [client.on((event) => first.push(event)), client.on((event) => second.push(event))]
    await client.host()
    fake.tell('off', 'a')
    await until(() => second.length === 1)
    ends[0]?.()
    fake.tell('off', 'b')
    await until(() => second.length === 2)
    ends[1]?.()
    await client.host()
    expect(fake.listeners.size).toBe(0)
    expect([first, second].map((list) => list.map(({ name, at }) => [name, at]))).toEqual([[['a', 2n]], [['a', 2n], ['b', 3n]]])
  })

  it('joins consoles, whose ends are told apart', async () => {
    const { fake, client } = both()
    await client.add(spec('one'))
    await expect(client.console('none', { output() {}, closed() {} })).rejects.toMatchObject({ code: 'machine-unknown' })
    const heard = { text: '', closed: 0 }
    const console = await client.console('one', { output: (bytes) => { heard.text += String.fromCharCode(...bytes) }, closed: () => { heard.closed++ } })
    const other = await client.console('one', { output() {}, closed: () => { heard.closed += 100 } })
    console.write(Uint8Array.of(1, 2, 3))
    console.write(new Uint8Array(100_000))
    const [far] = fake.consoles
    await until(() => far!.input.length === 3)
    expect(far!.input.map(({ length }) => length)).toEqual([3, 65536, 34464])
    far!.listener.output(Uint8Array.of(33))
    await until(() => heard.text === 'hi!')
    other.close()
    await until(() => !fake.consoles[1]!.open)
    far!.listener.output(Uint8Array.of(63))
    await client.remove('one')
    await until(() => heard.closed > 0)
    expect(heard).toEqual({ text: 'hi!?', closed: 1 })
    console.write(Uint8Array.of(9))
    console.close()
    await client.host()
    expect(far!.input.length).toBe(3)
  })

  it('a client that goes leaves nothing behind; what it called goes on', async () => {
    const { fake, client, served } = both()
    await client.add(spec('one'))
    let closed = 0
    await client.console('one', { output() {}, closed: () => { closed++ } })
    client.on(() => undefined)
    await client.host()
    let finish = (): void => {}
    fake.reset = () => new Promise((resolve) => { finish = resolve })
    const waiting = client.reset('one')
    await until(() => fake.listeners.size === 1)
    client.close()
    await expect(waiting).rejects.toMatchObject({ code: 'connection-closed' })
    expect(await client.closed).toBeNull()
    expect(closed).toBe(1)
    await served.closed
    expect([fake.listeners.size, fake.consoles[0]?.open]).toEqual([0, false])
    finish()
    await expect(client.host()).rejects.toMatchObject({ code: 'connection-closed' })
  })

  it('a server that goes is told', async () => {
    const { client, served } = both()
    await client.host()
    await served.greeted
    served.close()
    expect(await client.closed).toMatchObject({ code: 'connection-closed' })
  })
})

describe('a client that does not read', () => {
  it('gets the last output of a console and the last events, is told how much is missing, and holds up nobody', async () => {
    const fake = new FakeHypervisor()
    await fake.add(spec('one'))
    const [here, there] = bytePair()
    serveHypervisor(fake, there)
    const client = peer(here)
    client.send(GREETING)
    client.send({ id: 1, call: 'subscribe', args: [] })
    client.send({ id: 2, call: 'console', args: ['one'] })
    await until(() => client.messages.length === 4)
    here.flow(false)
    const { listener } = fake.consoles[0]!
    for (let index = 0; index < 5000; index++) {
      fake.tell('off', `m${index}`)
      listener.output(new Uint8Array(1000).fill(index))
      if (index % 100 === 0) await new Promise((resolve) => { setImmediate(resolve) })
    }
    here.flow(true)
    client.send({ id: 3, call: 'host', args: [] })
    await until(() => client.messages.some(({ id }) => id === 3))
    await until(() => client.messages.filter(({ event }) => event !== undefined).at(-1)?.['event'] !== undefined && client.messages.some(({ event }) => (event as HypervisorEvent | undefined)?.name === 'm4999'))
    const output = (): { bytes: number; lost: number } => {
      const sum = { bytes: 0, lost: 0 }
      for (const { bytes, lost } of client.messages) {
        sum.bytes += bytes instanceof Uint8Array ? bytes.length : 0
        sum.lost += Number(lost ?? 0)
      }
      return sum
    }
    await until(() => output().bytes + output().lost === 5_000_002)
    expect(output().lost).toBeGreaterThan(4_500_000)
    expect((client.messages.findLast(({ bytes }) => bytes instanceof Uint8Array)?.['bytes'] as Uint8Array).at(-1)).toBe(4999 % 256)
    const events = client.messages.flatMap(({ event }) => event === undefined ? [] : [event as HypervisorEvent])
    const missing = events.filter(({ kind }) => kind === 'warning').reduce((sum, { text }) => sum + Number(/^([0-9]+) events/.exec(text)?.[1]), 0)
    expect(missing).toBeGreaterThan(1000)
    expect(events.filter(({ kind }) => kind === 'off').length + missing).toBe(5000)
  })

  it('is not read either when it asks all the time, until it has taken the answers', async () => {
    const fake = new FakeHypervisor()
    let asked = 0
    fake.machines = async () => {
      asked++
      return [new Uint8Array(100_000) as never]
    }
    const [here, there] = bytePair()
    serveHypervisor(fake, there)
    const client = peer(here)
    client.send(GREETING)
    await until(() => client.messages.length === 1)
    here.flow(false)
    for (let id = 0; id < 1000; id++) client.send({ id, call: 'machines', args: [] })
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => { setImmediate(resolve) })
    expect(asked).toBeLessThan(300)
    here.flow(true)
    await until(() => client.messages.length === 1001)
    expect(asked).toBe(1000)
  })
})

describe('a peer that is none', () => {
  const refusedBy = async (...sent: readonly Uint8Array[]): Promise<unknown> => {
    const fake = new FakeHypervisor()
    const [here, there] = bytePair()
    serveHypervisor(fake, there)
    const client = peer(here)
    for (const bytes of sent) client.raw(bytes)
    await until(() => client.closed)
    expect(fake.calls).toEqual([])
    return client.messages.at(-1)?.['refused']
  }
  const add = { id: 1, call: 'add', args: [spec('x')] }
  it.each([
    ['another protocol', [Uint8Array.from('GET / HTTP/1.1\r\n\r\n', (each) => each.charCodeAt(0))], 'message'],
    ['a greeting that is too long', [frame({ ...GREETING, more: new Uint8Array(5000) })], 'message'],
    ['another version', [frame({ ...GREETING, version: 2 }), frame(add)], 'version'],
    ['no greeting', [frame(add)], 'message'],
    ['a message that is too long', [frame(GREETING), Uint8Array.of(0xff, 0, 0, 0)], 'message'],
    ['no CBOR', [frame(GREETING), Uint8Array.of(0, 0, 0, 1, 0xff)], 'message'],
    ['no message', [frame(GREETING), frame([1])], 'message'],
    ['a call without a number', [frame(GREETING), frame({ ...add, id: -1 })], 'message'],
  ])('is refused: %s', async (_, sent, code) => {
    expect(await refusedBy(...sent)).toMatchObject({ code })
  })
  it('is refused when two calls have one number', async () => {
    const fake = new FakeHypervisor()
    fake.host = () => new Promise(() => undefined)
    const [here, there] = bytePair()
    serveHypervisor(fake, there)
    const client = peer(here)
    client.send(GREETING)
    client.send({ id: 1, call: 'host', args: [] })
    client.send({ id: 1, call: 'host', args: [] })
    await until(() => client.closed)
    expect(client.messages.at(-1)).toMatchObject({ refused: { code: 'message', value: 1 } })
  })
  it('tells the client why', async () => {
    const [here, there] = bytePair()
    const server = peer(there)
    const client = connectHypervisor(here)
    const asked = client.host()
    server.send({ hello: 'machinist-hypervisor', version: 9 })
    await expect(asked).rejects.toMatchObject({ code: 'version', value: 9 })
    expect(await client.closed).toMatchObject({ code: 'version' })
    const [a, b] = bytePair()
    const refusing = peer(b)
    const refused = connectHypervisor(a)
    refusing.send({ refused: { ...machinistError({ code: 'full', part: 'p', remedy: 'r' }, 'x'), message: 'm' } })
    expect(await refused.closed).toMatchObject({ code: 'full', message: 'm' })
  })
  it('nothing that a damaged conversation says ends the server', async () => {
    const random = randomOf(SEED)
    const fake = new FakeHypervisor()
    await fake.add(spec('one'))
    const calls = ['add', 'start', 'stop', 'set', 'console', 'subscribe', 'unsubscribe', 'fork', 'machines', 'events', 'remove', 'nonsense', '__proto__']
    const values = (): unknown => [null, undefined, 'one', spec('one'), spec(`m${random(5)}`), { name: 'x' }, -1, 1n, Infinity, new Uint8Array(3), [[]], { resources: { cpu: { shares: random(10) } } }][random(12)]
    let refused = 0
    for (let round = 0; round < 800; round++) {
      const [here, there] = bytePair((length) => 1 + random(length))
      const served = serveHypervisor(fake, there)
      const client = peer(here)
      const conversation = [GREETING, ...Array.from({ length: random(8) }, (_, id) => random(5) === 0
        ? { console: random(8), ...(random(2) === 0 ? { bytes: new Uint8Array(random(9)) } : { end: true }) }
        : { id: random(20) === 0 ? 0 : id, call: calls[random(calls.length)], args: Array.from({ length: random(4) }, values) })]
      for (const message of conversation) {
        const bytes = frame(message)
        if (random(3) === 0) bytes[random(bytes.length)] = random(256)
        client.raw(random(8) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes)
      }
      for (let turn = 0; turn < 12; turn++) await new Promise((resolve) => { setImmediate(resolve) })
      if (client.closed) refused++
      here.close()
      await served.closed
    }
    expect(refused).toBeGreaterThan(50)
    expect(fake.listeners.size).toBe(0)
    expect(fake.consoles.filter(({ open }) => open)).toEqual([])
    const [here, there] = bytePair()
    serveHypervisor(fake, there)
    expect((await connectHypervisor(here).host()).processors).toBe(2)
  })
})

it('a stream is cut into messages wherever it is cut', () => {
  const random = randomOf(SEED + 1)
  const sent = Array.from({ length: 200 }, (_, index) => ({ index, bytes: new Uint8Array(random(3) === 0 ? random(5000) : random(30)).fill(index) }))
  const stream = Uint8Array.from(sent.flatMap((message) => [...frame(message)]))
  const reader = new FrameReader()
  reader.most = MOST_MESSAGE
  const came: unknown[] = []
  for (let at = 0; at < stream.length;) {
    const length = random(2) === 0 ? random(8) : random(9000)
    reader.push(stream.subarray(at, at + length))
    at += length
    for (let next = reader.next(); next !== null; next = reader.next()) came.push(decodeCbor(next))
    reader.rest()
  }
  expect(came.length).toBe(sent.length)
  for (const [index, message] of sent.entries()) expect(Buffer.compare(encodeCbor(message), encodeCbor(came[index])), String(index)).toBe(0)
})
