import { type Backend, type BackendClock, type BlockPort, type MachinistErrorFields } from '@machinist/api'
import { fdtCells, fdtStrings, fdtText, parseFdt } from '@machinist/boot'
import { pciHost } from '@machinist/bus'
import { describe, expect, test } from 'vitest'
import { assemble, constant, fakeCpu, op } from '../testing/fake-cpu.ts'
import { bank, card, reader } from '../../test/fake-devices.ts'
import { gadget, hub } from '../testing/fake-devices.ts'
import { collector, testHost } from '../../test/harness.ts'
import { createMachine, defineMachine, deviceTree, type GateRecord, type Machine, type MachineOptions, part, printMachine } from '../index.ts'
import { codeOf } from '../../../api/test/code-of.ts'

const RAM = 0x8000_0000
const GADGET = 0x1000_0000

function define(code: readonly number[], more: Partial<MachineOptions> & { harts?: number; console?: ReturnType<typeof collector> } = {}) {
  const { harts = 1, console = collector(), ...rest } = more
  return defineMachine({
    name: 'test',
    memory: { base: RAM, size: 1 << 20 },
    cpu: part(fakeCpu, { config: { harts } }),
    devices: {
      hub: part(hub, { at: 0xc00_0000 }),
      gadget: part(gadget, { at: GADGET, backends: { console } }),
    },
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: assemble(code) }], entry: RAM },
    ...rest,
  })
}

/** Writes `value` to the gadget's register. Uses registers 6 and 7. */
const poke = (offset: number, value: number): number[] => [...constant(7, GADGET + offset), ...constant(6, value), op.store(6, 7)]
const say = (text: string): number[] => [...text].flatMap((letter) => poke(0, letter.charCodeAt(0)))
const off = (status = 0): number[] => poke(4, status)

function drive(machine: Machine, most = 100_000): void {
  machine.start({ drive: 'caller' })
  for (let i = 0; i < most && machine.runSlice(1_000_000).kind === 'runnable'; i++);
}

describe('lifecycle', () => {
  test('a guest writes to the console and switches the machine off, with its status', async () => {
    const console = collector()
    const host = testHost()
    const machine = createMachine(define([...say('hi'), ...off(3), op.stop()], { console }), host)
    const events: string[] = []
    machine.on('state', ({ from, to }) => events.push(`${from}>${to}`))
    machine.on('power', ({ status, by }) => events.push(`power ${status} ${by}`))
    expect(machine.state).toBe('created')
    machine.start()
    expect(machine.state).toBe('running')
    host.turns()
    expect(console.text).toBe('hi')
    expect(events).toEqual(['created>running', 'running>off', 'power 3 guest'])
    expect(await machine.finished()).toEqual({ status: 3, error: null })
  })

  test('nothing is executed after the instruction that switches off', () => {
    const console = collector()
    const machine = createMachine(define([...off(), ...say('x'), op.stop()], { console }), testHost())
    drive(machine)
    expect(machine.state).toBe('off')
    expect(console.text).toBe('')
  })

  test('pause stops real time, and resume lets it go on', () => {
    const host = testHost()
    const machine = createMachine(define([op.branch(0, 0), ...constant(0, 1), op.branch(0, 0)]), host)
    machine.start()
    host.turns(3)
    machine.pause()
    const { retired, virtualTime } = machine.stats
    host.loop.time += 5e9
    host.turns(3)
    expect(machine.runSlice(1000)).toEqual({ kind: 'stopped' })
    expect(machine.stats).toMatchObject({ retired, virtualTime })
    machine.resume()
    host.turns(1)
    expect(machine.stats.retired).toBeGreaterThan(retired)
    expect(machine.stats.virtualTime - virtualTime).toBeLessThan(5e9)
    machine.dispose()
    expect(machine.state).toBe('disposed')
    machine.pause()
    machine.powerOff()
    machine.dispose()
    expect(machine.runSlice(1000)).toEqual({ kind: 'stopped' })
    expect(machine.state).toBe('disposed')
    const calls = [() => { machine.start() }, () => { machine.resume() }, () => { machine.reset() }, () => machine.saveDevices(), () => { machine.restoreDevices({}) }, () => { machine.sample({}) }]
    for (const call of calls) expect(codeOf(call)).toBe('disposed')
    expect(machine.stats.retired).toBeGreaterThan(retired)
  })

  test('what cannot be meant is refused', () => {
    const machine = createMachine(define([op.branch(0, 0)]), testHost())
    expect(codeOf(() => machine.runSlice(1000))).toBe('not-started')
    machine.start()
    machine.start()
    expect(codeOf(() => { machine.start({ drive: 'caller' }) })).toBe('running')
    machine.pause()
    machine.start({ drive: 'caller' })
    for (const limit of [NaN, -1, undefined as unknown as number]) expect(codeOf(() => machine.runSlice(limit))).toBe('bad-limit')
    for (const options of [{ interval: 0 }, { interval: NaN }, { depth: 0 }, { depth: 1.5 }]) expect(codeOf(() => { machine.sample(options) })).toBe('bad-sampling')
    expect(machine.runSlice(0)).toEqual({ kind: 'runnable' })
  })

  test('a reset boots again, from the images and not from what the guest made of them', () => {
    const console = collector()
    // Reads a word that is 0 at first, makes it 1, and resets; would go on to switch off if the word stayed.
    const code = [
      ...say('a'), ...constant(1, RAM + 0x1000), op.load(2, 1), op.li(3, 1), op.store(3, 1), op.branch(2, 3), op.li(4, 1), op.branch(4, 2 + off().length),
      op.nop(), ...off(), ...poke(8, 0), op.stop(),
    ]
    const machine = createMachine(define(code, { console }), testHost())
    let resets = 0
    machine.on('reset', () => {
      if (++resets === 3) machine.powerOff(9)
    })
    drive(machine)
    expect(resets).toBe(3)
    expect(console.text).toBe('aaa')
    expect(machine.status).toBe(9)
  })

  test("a device fills memory of its own before the guest runs, and it outlives a reset", () => {
    const console = collector()
    const finish: (() => void)[] = []
    const disk: Backend<BlockPort> = {
      kind: 'block',
      connect: (deliver) => ({
        size: 512, readOnly: true, blockSize: 512, write() {}, flush() {},
        read(_offset, into, done) {
          finish.push(() => {
            for (const each of into) each.fill(0x70)
            deliver(() => { done('ok') })
          })
        },
      }),
    }
    const memory = 0x8040_0000
    // Says what is in the first page, which it then makes 'q', and how many pages were written.
    const code = [
      ...constant(1, memory), op.load(2, 1), ...constant(7, GADGET), op.store(2, 7), ...constant(3, 0x71), op.store(3, 1), ...constant(1, memory + 0x3000), op.store(3, 1),
      ...constant(1, 0x2000_0000), op.load(2, 1), op.store(2, 7), op.load(2, 1), op.store(2, 7), ...poke(8, 0), op.stop(),
    ]
    const machine = createMachine(define(code, {
      devices: { gadget: part(gadget, { at: GADGET, irq: null, backends: { console } }), bank: part(bank, { at: 0x2000_0000, config: { size: 0x4000, align: 0x40_0000 }, backends: { disk } }) },
    }), testHost())
    expect(printMachine(machine.resolved)).toContain('80400000 - 0x80403fff  bank.bank')
    machine.on('reset', () => { if (console.text.length > 3) machine.powerOff(0) })
    drive(machine, 10)
    expect(console.text).toBe('')
    finish[0]?.()
    for (let i = 0; i < 10; i++) machine.runSlice(1_000_000)
    // A page that was written again counts again, and nothing was read again.
    expect(console.text).toBe('p\x02\0q\x02\0')
    expect([finish.length, machine.status, machine.memory.contains(memory, 0x4000), machine.memory.contains(memory, 0x4001)]).toEqual([1, 0, true, false])
    expect(() => createMachine(define([], { devices: { hub: part(hub), bank: part(bank, { config: { size: 100 }, backends: { disk } }) } }), testHost())).toThrow(/bank.*impossible size/)
  })

  test('it can be started again after power-off', () => {
    const console = collector()
    const machine = createMachine(define([...say('b'), ...off(), op.stop()], { console }), testHost())
    drive(machine)
    drive(machine)
    expect(console.text).toBe('bb')
  })

  test('a disk request in flight holds up the reset, for its buffer is RAM, but not the events', () => {
    const console = collector()
    const finish: (() => void)[] = []
    const disk: Backend<BlockPort> = {
      kind: 'block',
      connect: (deliver) => ({
        size: 512, readOnly: true, blockSize: 512, write() {}, flush() {},
        read(_offset, into, done) {
          finish.push(() => {
            for (const each of into) each.fill(0xff)
            deliver(() => { done('ok') })
          })
        },
      }),
    }
    const code = [...say('a'), ...constant(7, 0x2000_0000), op.store(6, 7), ...poke(8, 0), ...say('b'), op.stop()]
    const machine = createMachine(define(code, {
      devices: { gadget: part(gadget, { at: GADGET, irq: null, backends: { console } }), reader: part(reader, { at: 0x2000_0000, backends: { disk } }) },
    }), testHost())
    let resets = 0
    machine.on('reset', () => { if (++resets === 2) machine.pause() })
    machine.start({ drive: 'caller' })
    machine.runSlice(1e6)
    let delivered = false
    console.deliver?.(() => { delivered = true })
    expect(machine.runSlice(1e6)).toEqual({ kind: 'idle', until: Infinity, at: Infinity })
    expect({ delivered, resets, text: console.text }).toEqual({ delivered: true, resets: 0, text: 'a' })
    finish[0]?.()
    machine.runSlice(1e6)
    expect({ resets, text: console.text }).toEqual({ resets: 1, text: 'aa' })
    const sector = new Uint8Array(512)
    machine.memory.read(0x8000_0800, sector)
    expect(sector.every((byte) => byte === 0)).toBe(true)
  })

  test.each(['real', { instructionsPerSecond: 1e9 }] as const)("a backend's timer goes on through a reset that waits for it, time %s", (time) => {
    const disk: Backend<BlockPort> = {
      kind: 'block',
      connect: (_deliver, clock) => ({
        size: 512, readOnly: true, blockSize: 512, write() {}, flush() {},
        read(_offset, _into, done) {
          clock?.timer(() => { done('ok') }).arm(clock.now() + 7_000_000)
        },
      }),
    }
    const host = testHost()
    const machine = createMachine(define([...constant(7, 0x2000_0000), op.store(6, 7), ...poke(8, 0), op.stop()], {
      time, devices: { gadget: part(gadget, { at: GADGET, irq: null, backends: { console: collector() } }), reader: part(reader, { at: 0x2000_0000, backends: { disk } }) },
    }), host)
    const at: number[] = []
    machine.on('reset', () => {
      at.push(machine.stats.virtualTime)
      if (at.length === 2) machine.pause()
    })
    machine.start()
    host.turns()
    // The machine asks again after its first reset, and waits another seven milliseconds.
    expect(at.map((each) => Math.floor(each / 7_000_000))).toEqual([1, 2])
    machine.dispose()
  })
})

describe('idle', () => {
  test('gives the thread back until the deadline, and wakes for it', () => {
    const host = testHost()
    const machine = createMachine(define([...constant(0, 5_000_000), op.timer(0), op.wait(), ...off()]), host)
    machine.start()
    host.turns(2)
    expect(host.loop.waits).toHaveLength(1)
    expect(host.loop.waits[0]).toBeGreaterThan(4_000_000)
    host.turns()
    expect(machine.state).toBe('off')
    expect(machine.stats.idleTime).toBeGreaterThan(4_000_000)
  })

  test('without a deadline it waits for an event, and an event wakes it', () => {
    const host = testHost()
    const console = collector()
    const machine = createMachine(define([op.wait(), ...off(1)], { console }), host)
    machine.start()
    expect(host.turns()).toBeLessThan(5)
    expect(machine.state).toBe('running')
    let delivered = false
    console.deliver?.(() => { delivered = true })
    host.turns()
    expect(delivered).toBe(true)
    expect(machine.state).toBe('running')
    machine.powerOff()
  })

  test("a backend's timer, armed from outside, wakes it", () => {
    const host = testHost()
    const fired: number[] = []
    let clock: BackendClock | undefined
    const machine = createMachine(define([op.wait(), ...off(1)], {
      console: { ...collector(), connect(_deliver, given) {
        clock = given
        return { write: (bytes) => bytes.length, read: () => 0, listen() {} }
      } },
    }), host)
    machine.start()
    host.turns()
    clock?.timer(() => { fired.push(machine.stats.virtualTime) }).arm(clock.now() + 3_000_000)
    host.turns()
    expect(fired).toHaveLength(1)
    expect(fired[0]).toBeGreaterThanOrEqual(3_000_000)
    machine.powerOff()
  })

  test("a device's timer raises its interrupt through the controller", () => {
    const machine = createMachine(define([...poke(12, 3000), op.wait(), ...say('!'), ...off()]), testHost())
    const wait = machine.resolved.devices[1]
    expect(wait?.wires).toEqual([{ irq: 'out', to: 'hub', line: 1, shared: false }])
    machine.start({ drive: 'caller' })
    for (let i = 0; i < 100 && machine.state === 'running'; i++) machine.runSlice(1e6)
    expect(machine.state).toBe('off')
  })
})

describe('the gate', () => {
  test('delivers in order, between slices, with sequence numbers and growing time', () => {
    const host = testHost()
    const console = collector()
    const machine = createMachine(define([op.li(0, 1), op.branch(0, 0)], { console }), host)
    const order: number[] = []
    const records: GateRecord[] = []
    machine.record((record) => records.push(record))
    machine.start({ drive: 'caller' })
    for (let i = 0; i < 20; i++) {
      console.deliver?.(() => {
        order.push(i)
        if (i < 3) console.deliver?.(() => order.push(100 + i))
      })
      if (i % 5 === 4) machine.runSlice(1000)
    }
    machine.runSlice(1000)
    expect(order.filter((i) => i < 100)).toEqual([...Array(20).keys()])
    expect(order.filter((i) => i >= 100)).toEqual([100, 101, 102])
    expect(order.indexOf(100)).toBeGreaterThan(order.indexOf(4))
    expect(records.map(({ sequence }) => sequence)).toEqual([...records.keys()])
    expect(new Set(records.map(({ source }) => source))).toEqual(new Set(['gadget.console']))
    for (const [index, { at }] of records.entries()) expect(at).toBeGreaterThanOrEqual(records[index - 1]?.at ?? 0)
  })

  test('a backend that floods stops the machine instead of filling memory', () => {
    const console = collector()
    const machine = createMachine(define([op.wait()], { console }), testHost())
    const errors: string[] = []
    machine.on('error', ({ part, error }) => errors.push(`${part} ${(error as Error & Partial<MachinistErrorFields>).code}`))
    machine.start({ drive: 'caller' })
    for (let i = 0; i < 70_000; i++) console.deliver?.(() => {})
    expect(errors).toEqual(['gadget.console gate-overflow'])
    expect(machine.state).toBe('off')
  })
})

describe('errors in parts', () => {
  const run = (code: readonly number[]): { part: string; message: string }[] => {
    const errors: { part: string; message: string }[] = []
    const machine = createMachine(define(code), testHost())
    machine.on('error', ({ part, error }) => errors.push({ part, message: error.message }))
    drive(machine)
    expect(machine.state).toBe('off')
    expect(machine.status).toBe(1)
    return errors
  }
  test('a device that throws is named', () => expect(run([...poke(24, 0), op.stop()])).toEqual([{ part: 'gadget', message: 'a bug in the gadget' }]))
  test('a hart that throws is named', () => expect(run([op.crash()])).toEqual([{ part: 'cpu.hart0', message: 'a bug in the CPU' }]))

  test('a callback that throws is named, and the error of a listener is the host\'s', () => {
    const host = testHost()
    const console = collector()
    const machine = createMachine(define([op.wait()], { console }), host)
    const errors: string[] = []
    machine.on('error', ({ part }) => {
      errors.push(part)
      throw new Error('mine')
    })
    machine.start()
    host.turns()
    console.deliver?.(() => { throw new Error('late') })
    expect(() => host.turns()).toThrow('mine')
    expect(errors).toEqual(['gadget.console'])
    expect(machine.state).toBe('off')
  })

  test('warnings are limited', () => {
    const machine = createMachine(define([...poke(32, 0), ...poke(32, 0), ...off()]), testHost())
    let count = 0
    machine.on('warn', () => count++)
    drive(machine)
    expect(count).toBe(16)
  })
})

describe('counted time', () => {
  // Each hart, forever: count in its own word; hart 0 also arms the gadget's timer and waits for it, and says the time.
  const code = [
    op.hart(0), ...constant(1, RAM + 0x2000), op.add(1, 0), op.add(1, 0), op.add(1, 0), op.add(1, 0),
    op.branch(0, 29),
    // hart 0
    ...poke(12, 40_000), op.wait(), op.time(2), ...constant(7, GADGET), op.store(2, 7), ...poke(20, 0),
    op.load(3, 1), op.li(4, 1), op.add(3, 4), op.store(3, 1), ...constant(5, 60), op.sub(5, 3), op.branch(5, -24), ...off(), op.stop(),
    op.nop(), op.nop(), op.nop(),
    // others
    op.load(3, 1), op.li(4, 1), op.add(3, 4), op.store(3, 1), op.yield(), op.branch(4, -5),
  ]
  const run = (limits: () => number, step: number): unknown => {
    const host = testHost()
    host.loop.step = step
    const console = collector()
    const machine = createMachine(define(code, { harts: 3, console, time: { instructionsPerSecond: 50_000_000 } }), host)
    const records: GateRecord[] = []
    machine.record((record) => records.push(record))
    machine.start({ drive: 'caller' })
    for (let i = 0; i < 200_000 && machine.state === 'running'; i++) machine.runSlice(limits())
    expect(machine.state).toBe('off')
    const words = new Uint8Array(16)
    machine.memory.read(RAM + 0x2000, words)
    return { words: [...words], bytes: console.bytes, records, retired: machine.stats.retired, time: machine.stats.virtualTime }
  }

  test('the same run, whatever the host does', () => {
    const first = run(() => 1_000_000, 100)
    let n = 1
    expect(run(() => (n = n * 7919 % 65537) * 10, 1)).toEqual(first)
    expect(run(() => 1, 1_000_000)).toEqual(first)
  })

  test('time is instructions, to the instruction, and jumps when all wait', () => {
    const console = collector()
    const times = [op.time(0), ...constant(7, GADGET), op.store(0, 7)]
    const machine = createMachine(define([
      ...times, ...times, ...constant(1, 1_000_000_000), op.timer(1), op.wait(), ...times, ...off(),
    ], { console, time: { instructionsPerSecond: 10_000_000 } }), testHost())
    drive(machine)
    // One instruction, one tick of 100 ns; four instructions between readings.
    expect(console.bytes.slice(0, 2)).toEqual([0, 4])
    expect(machine.stats.virtualTime).toBeGreaterThan(1_000_000_000)
    expect(machine.stats.virtualTime).toBeLessThan(1_000_010_000)
    expect(machine.stats.retired).toBeLessThan(100)
  })
})

test('harts take turns', () => {
  const machine = createMachine(define([
    op.hart(0), ...constant(1, RAM + 0x2000), op.add(1, 0), op.add(1, 0), op.add(1, 0), op.add(1, 0), op.li(4, 1), op.load(3, 1), op.add(3, 4), op.store(3, 1), op.branch(4, -3),
  ], { harts: 4 }), testHost())
  machine.start({ drive: 'caller' })
  for (let i = 0; i < 400; i++) machine.runSlice(100_000)
  const words = new Uint32Array(4)
  machine.memory.read(RAM + 0x2000, new Uint8Array(words.buffer))
  expect(Math.min(...words)).toBeGreaterThan(Math.max(...words) / 2)
})

describe('saved devices', () => {
  const started = (): Machine => {
    const machine = createMachine(define([op.wait()]), testHost())
    machine.start({ drive: 'caller' })
    machine.runSlice(1000)
    return machine
  }
  test('go back into another machine of the same definition, lines and all', () => {
    const a = started()
    a.restoreDevices({ ...a.saveDevices(), devices: { ...a.saveDevices().devices, gadget: { kind: 'gadget', version: 2, state: { count: 5 } } }, lines: { 'gadget.out': true } })
    const state = structuredClone(a.saveDevices())
    expect(state.lines).toMatchObject({ 'gadget.out': true, 'hub.cpu': true })
    const b = started()
    b.restoreDevices(state)
    expect(b.saveDevices()).toEqual(state)
    expect(b.vcpus[0]?.runnable).toBe(true)
  })
  test('are checked: all or none', () => {
    const machine = started()
    const good = machine.saveDevices()
    const change = (device: object): unknown => ({ ...good, devices: { ...good.devices, gadget: device } })
    for (const bad of [null, {}, { ...good, version: 2 }, { ...good, devices: {} }, { ...good, devices: { ...good.devices, more: {} } },
      { ...good, lines: { nowhere: true } }, change({ kind: 'hub', version: 2, state: {} }), change({ kind: 'gadget', version: 3, state: { count: 1 } }),
      change({ kind: 'gadget', version: 2, state: { count: -1 } }), change({ kind: 'gadget', version: 0, state: { count: 1 } })]) {
      expect(() => { machine.restoreDevices(bad) }).toThrow()
      expect(machine.saveDevices()).toEqual(good)
    }
    machine.restoreDevices(change({ kind: 'gadget', version: 1, state: 4 }))
    expect(machine.saveDevices().devices['gadget']?.state).toEqual({ count: 4 })
  })
})

test('a machine without a host, or with a console that there is not, is a typed error', () => {
  const blueprint = define([op.stop()])
  expect(() => createMachine(blueprint, undefined as unknown as ReturnType<typeof testHost>)).toThrow(expect.objectContaining({ name: 'MachinistError', code: 'no-host' }))
  const boot = { ...blueprint.definition.boot, protocol: 'raw', images: [], entry: RAM, console: 'gadgets' } as const
  expect(() => createMachine({ ...blueprint, definition: { ...blueprint.definition, boot } }, testHost())).toThrow(/gadgets.*Use one of hub, gadget/)
})

test('the device tree holds what the machine and its parts say', () => {
  const blueprint = define([op.stop()], { harts: 2 })
  const { definition } = blueprint
  const machine = createMachine({ ...blueprint, definition: { ...definition, boot: { protocol: 'raw', images: [], entry: RAM, fdt: RAM + 0x8000 } } }, testHost())
  machine.start({ drive: 'caller' })
  const bytes = new Uint8Array(0x4000)
  machine.memory.read(RAM + 0x8000, bytes)
  const { root } = parseFdt(bytes.subarray(0, new DataView(bytes.buffer).getUint32(4)))
  expect(root.children.map(({ name }) => name).sort()).toEqual(['aliases', 'chosen', 'cpus', 'memory@80000000', 'soc'])
  const chosen = root.children.find(({ name }) => name === 'chosen')
  expect(fdtStrings(chosen?.properties.get('stdout-path'))).toEqual(['/soc/serial@10000000'])
  expect(chosen?.properties.get('rng-seed')).toEqual(new Uint8Array(64).fill(7))
  const soc = root.children.find(({ name }) => name === 'soc')
  expect(soc?.children.map(({ name }) => name)).toEqual(['hub@c000000', 'serial@10000000'])
  // The same without a start, but for the seed; and for a machine whose boot needs none.
  const random = /\n\t\trng-seed = [^;]*;/
  const source = fdtText(bytes)
  expect(source).toMatch(random)
  for (const { resolved } of [machine, createMachine(blueprint, testHost())]) expect(fdtText(deviceTree(resolved))).toBe(source.replace(random, ''))
})

test('the device tree of a Linux says where its initial file system is going to be', () => {
  const blueprint = define([op.stop()])
  // An Image of RISC-V: the jump, the place and size of its text, and the magic.
  const kernel = new Uint8Array(4096)
  const view = new DataView(kernel.buffer)
  view.setBigUint64(8, 0x20_0000n, true)
  view.setBigUint64(16, 4096n, true)
  view.setUint32(32, 2, true)
  view.setUint32(48, 0x5643_5349, true)
  view.setUint32(56, 0x0543_5352, true)
  const boot = { protocol: 'riscv', kernel, initrd: new Uint8Array(5000), append: 'console=ttyS0' } as const
  const { resolved } = createMachine({ ...blueprint, definition: { ...blueprint.definition, memory: [{ name: 'ram', base: RAM, size: 64 << 20 }], boot } }, testHost())
  const chosen = parseFdt(deviceTree(resolved)).find('/chosen')?.properties
  expect(fdtStrings(chosen?.get('bootargs'))).toEqual(['console=ttyS0'])
  const [start, end] = ['linux,initrd-start', 'linux,initrd-end'].map((name) => fdtCells(chosen?.get(name)).at(-1) ?? 0)
  expect((end ?? 0) - (start ?? 0)).toBe(5000)
  expect(start).toBeGreaterThan(RAM)
})

describe('PCI devices', () => {
  const [ECAM, IO, WINDOW] = [0x3000_0000, 0x3800_0000, 0x4000_0000]
  const put = (address: number, value: number): number[] => [...constant(7, address), ...constant(6, value), op.store(6, 7)]
  /** The configuration space of a device. */
  const config = (device: number): number => ECAM + device * 0x8000
  const boot = (code: readonly number[]) => {
    const console = collector()
    const machine = createMachine(define([...code, op.stop()], {
      devices: {
        // Before its host, which it needs all the same.
        card: part(card),
        pci: part(pciHost, { at: [ECAM, IO, WINDOW] }),
        hub: part(hub, { at: 0xc00_0000 }),
        other: part(card, { slot: 4 }),
        gadget: part(gadget, { at: GADGET, irq: null, backends: { console } }),
      },
    }), testHost())
    const problems: string[] = []
    machine.on('error', ({ part: name, error }) => problems.push(`${name}: ${error.message}`))
    machine.on('warn', ({ part: name, message }) => problems.push(`${name}: ${message}`))
    drive(machine)
    const word = (address: number): number => {
      const bytes = new Uint8Array(4)
      machine.memory.read(address, bytes)
      return new DataView(bytes.buffer).getUint32(0, true)
    }
    return { machine, console, problems, word }
  }
  const wake = (device: number, base: number, command = 6): number[] => [...put(config(device) + 0x10, base), ...put(config(device) + 4, command)]

  test('answer where the guest puts them, at once, and interrupt through their host', () => {
    const { machine, console, problems, word } = boot([
      ...wake(1, WINDOW), ...wake(4, WINDOW + 0x100), ...put(WINDOW + 4, 0x11),
      // It moves: the old place is empty, the new one is not.
      ...put(config(1) + 0x10, WINDOW + 0x200), ...put(WINDOW + 4, 0x22), ...put(WINDOW + 0x200, 2),
      // Onto the other: the lower slot wins.
      ...put(config(4) + 0x10, WINDOW + 0x200), ...put(WINDOW + 0x200, 2),
      ...put(config(4) + 0x10, WINDOW + 0x300), ...put(WINDOW + 0x300, 1), op.wait(), ...say('!'), ...off(),
    ])
    expect(problems).toEqual([])
    expect(machine.state).toBe('off')
    expect(console.text).toBe('!')
    expect(word(0x8000_0900)).toBe(0x11)
    const { devices, lines } = machine.saveDevices()
    expect([devices['card']?.state, devices['other']?.state]).toEqual([3, 1])
    // Slot 4 is wired as slot 0 is.
    expect(lines).toMatchObject({ 'card.intx': false, 'other.intx': true, 'pci.inta': true, 'pci.intb': false, 'hub.cpu': true })
    expect(devices['hub']?.state).toEqual({ levels: [1] })
    // And all of that comes back.
    const saved = structuredClone(machine.saveDevices())
    const again = boot([op.wait()]).machine
    again.restoreDevices(saved)
    expect(again.saveDevices()).toEqual(saved)
    expect(again.vcpus[0]?.runnable).toBe(true)
  })

  test('reach memory as bus masters only, and are named when they throw', () => {
    const { word } = boot([...wake(1, WINDOW, 2), ...put(WINDOW + 4, 0x11), ...off()])
    expect(word(0x8000_0900)).toBe(0)
    expect(boot([...wake(1, WINDOW), ...put(WINDOW + 8, 1)]).problems).toEqual(['card: a bug in the card'])
  })

  test('send messages to interrupt controllers, and to nothing else', () => {
    const message = (address: number, data: number): number[] => [
      ...wake(1, WINDOW), ...put(config(1) + 0x14, WINDOW + 0x1000), ...put(WINDOW + 0x1000, address), ...put(WINDOW + 0x1008, data), ...put(WINDOW + 0x100c, 0),
      ...put(config(1) + 0x40, 0x8000_0000), ...put(WINDOW, 1), ...off(),
    ]
    const good = boot(message(0xc00_0004, 6))
    expect(good.problems).toEqual([])
    expect(good.machine.saveDevices().devices['hub']?.state).toEqual({ levels: [7] })
    for (const address of [RAM + 0x900, GADGET, config(1), WINDOW]) {
      const { problems, word } = boot(message(address, 0x77))
      expect(problems).toHaveLength(1)
      expect(problems[0]).toMatch(/^card: a message-signalled interrupt to 0x[0-9a-f]+, where no controller/)
      expect(word(RAM + 0x900)).toBe(0)
    }
  })
})
