import { type MachinistError, isMachinistError } from '@machinist/api'
import { pciHost } from '@machinist/bus'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fakeCpu } from '../testing/fake-cpu.ts'
import { card } from '../../test/fake-devices.ts'
import { gadget, hub } from '../testing/fake-devices.ts'
import { collector, testHost } from '../../test/harness.ts'
import { createMachine, defineMachine, instantiate, type MachineDefinition, parseDefinition, parseNumber, part, printMachine, resolve } from '../index.ts'

const catalogue = [fakeCpu, gadget, hub, card, pciHost]
const base: MachineDefinition = {
  version: 1, name: 'test', memory: [{ name: 'ram', base: 0x8000_0000, size: 1 << 20 }], cpu: { kind: 'fake' }, devices: {}, time: 'real',
}

function errorOf(work: () => unknown): MachinistError {
  try {
    work()
  } catch (error) {
    if (isMachinistError(error)) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

const gadgetAt = fc.record({
  kind: fc.constant('gadget'),
  config: fc.record({ size: fc.integer({ min: 1, max: 0x1000 }).map((words) => words * 4) }),
  at: fc.option(fc.integer({ min: 0x0fff, max: 0x1040 }).map((page) => page * 0x10_0000), { nil: undefined }),
  irq: fc.option(fc.integer({ min: 0, max: 12 }), { nil: undefined }),
})
const random = fc.uniqueArray(fc.tuple(fc.stringMatching(/^[a-z]{1,4}$/), gadgetAt), { selector: ([name]) => name, maxLength: 12 })
  .map((list): MachineDefinition => parseDefinition({ ...base, devices: { theHub: { kind: 'hub', at: 0xc00_0000, config: { inputs: 10 } }, ...Object.fromEntries(list.filter(([name]) => name !== 'cpu')) } }))

describe('resolution', () => {
  test('is the same each time, never overlaps, never gives an input twice, keeps what was given', () => {
    let fine = 0
    fc.assert(fc.property(random, (definition) => {
      let machine
      try {
        machine = resolve(definition, catalogue)
      } catch (error) {
        if (!isMachinistError(error)) throw error
        expect(['overlap', 'irq-taken', 'bad-irq', 'no-free-input']).toContain(error.code)
        // The same again, and for a reason that stands in the definition.
        expect(errorOf(() => resolve(definition, catalogue)).message).toBe(error.message)
        return
      }
      fine++
      expect(resolve(structuredClone(definition), catalogue)).toEqual(machine)
      expect(resolve(JSON.parse(JSON.stringify(definition)) as MachineDefinition, catalogue)).toEqual(machine)
      const ranges = [...machine.memory, ...machine.devices.flatMap(({ regions }) => regions)]
      for (const [index, a] of ranges.entries()) {
        for (const b of ranges.slice(0, index)) expect(a.base + a.size <= b.base || b.base + b.size <= a.base).toBe(true)
      }
      const inputs = machine.devices.flatMap(({ wires }) => wires.map(({ to, line }) => `${to} ${line}`))
      expect(new Set(inputs).size).toBe(inputs.length)
      for (const device of machine.devices) {
        const { at, irq } = device.definition
        if (at !== undefined) expect(device.regions[0]?.base).toBe(at)
        if (typeof irq === 'number') expect(device.wires[0]).toMatchObject({ to: 'theHub', line: irq })
        expect(device.wires).toHaveLength(1)
      }
    }), { numRuns: 300 })
    expect(fine).toBeGreaterThan(30)
  })

  test('gives free places and inputs in the order of the definition, around what has one', () => {
    const machine = resolve({ ...base, devices: {
      a: { kind: 'gadget' }, b: { kind: 'gadget', at: 0x1000_0000, irq: 1 }, c: { kind: 'gadget', config: { size: 0x3000 } }, h: { kind: 'hub', at: 0 },
    } }, catalogue)
    expect(printMachine(machine)).toBe([
      'test: 1 hart (fake), time 10000000 Hz',
      '  0x00000000 - 0x00000fff  h registers (hub)',
      '  0x10000000 - 0x100000ff  b registers (gadget)',
      '  0x10001000 - 0x100010ff  a registers (gadget)',
      '  0x10004000 - 0x10006fff  c registers (gadget)',
      '  0x80000000 - 0x800fffff  ram (RAM, 1 MiB)',
      '  a.out -> h 2',
      '  b.out -> h 1',
      '  c.out -> h 3',
      '  h.cpu -> cpu hart0.meip',
    ].join('\n'))
  })

  test('gives PCI devices slots in the order of the definition, around those that have one, and wires them to their host', () => {
    const machine = resolve({ ...base, devices: {
      a: { kind: 'card' }, pci: { kind: 'pci-host' }, second: { kind: 'pci-host', config: { io: 0 } }, b: { kind: 'card', slot: 1 }, c: { kind: 'card', irq: null },
      d: { kind: 'card', slot: { on: 'second' } }, e: { kind: 'card', slot: { device: 1, function: 3 } }, h: { kind: 'hub' },
    } }, catalogue)
    expect(machine.interruptController).toBe('h')
    expect(printMachine(machine).split('\n').slice(1)).toEqual([
      '  0x10000000 - 0x100fffff  pci ecam (pci-host)',
      '  0x10100000 - 0x1010ffff  pci io (pci-host)',
      '  0x10110000 - 0x10110fff  h registers (hub)',
      '  0x10200000 - 0x102fffff  second ecam (pci-host)',
      '  0x14000000 - 0x17ffffff  pci memory (pci-host)',
      '  0x18000000 - 0x1bffffff  second memory (pci-host)',
      '  0x80000000 - 0x800fffff  ram (RAM, 1 MiB)',
      '  pci 00:02.0  a (card)', '  pci 00:01.0  b (card)', '  pci 00:03.0  c (card)', '  second 00:01.0  d (card)', '  pci 00:01.3  e (card)',
      '  a.intx -> pci 16', '  pci.inta -> h 1', '  pci.intb -> h 2', '  pci.intc -> h 3', '  pci.intd -> h 4',
      '  second.inta -> h 5', '  second.intb -> h 6', '  second.intc -> h 7', '  second.intd -> h 8',
      '  b.intx -> pci 8', '  d.intx -> second 8', '  e.intx -> pci 11', '  h.cpu -> cpu hart0.meip',
    ])
  })

  const devices = (more: MachineDefinition['devices']): MachineDefinition => ({ ...base, devices: { h: { kind: 'hub' }, ...more } })
  test.each([
    ['overlap', 'b', 'a', devices({ a: { kind: 'gadget', at: 0x5000 }, b: { kind: 'gadget', at: 0x50fc } })],
    ['overlap', 'a', 'ram', devices({ a: { kind: 'gadget', at: 0x8000_0000 + (1 << 20) - 4 } })],
    ['overlap', 'ram2', 'ram', { ...base, memory: [...base.memory, { name: 'ram2', base: 0x8000_0000, size: 4096 }] }],
    ['bad-address', 'a', '', devices({ a: { kind: 'gadget', at: 2 } })],
    ['bad-address', 'a', '', devices({ a: { kind: 'gadget', at: [0x1000, 0x2000] } })],
    ['no-room', 'a', '0x1000', { ...devices({ a: { kind: 'gadget', config: { size: 0x10000 } } }), window: { base: 0x1000, size: 0x1000 } }],
    ['unknown-kind', 'a', 'gadget, hub, card, pci-host', devices({ a: { kind: 'gizmo' } })],
    ['unknown-kind', 'cpu', 'fake', { ...base, cpu: { kind: 'hub' } }],
    ['unknown-part', 'a.out', 'nobody', devices({ a: { kind: 'gadget', irq: { to: 'nobody', line: 1 } } })],
    ['unknown-part', 'interruptController', 'a', { ...devices({ a: { kind: 'gadget' } }), interruptController: 'a' }],
    ['irq-taken', 'b.out', 'a.out', devices({ a: { kind: 'gadget', irq: 3 }, b: { kind: 'gadget', irq: 3 } })],
    ['irq-taken', 'b.out', 'a.out', devices({ a: { kind: 'gadget', irq: 3 }, b: { kind: 'gadget', irq: { line: 3, shared: true } } })],
    ['bad-irq', 'a.out', 'below 32', devices({ a: { kind: 'gadget', irq: 32 } })],
    ['bad-irq', 'a', 'out', devices({ a: { kind: 'gadget', irq: { in: 3 } } })],
    ['no-controller', 'a.out', 'irq: null', { ...base, devices: { a: { kind: 'gadget' } } }],
    ['no-free-input', 'b.out', 'h', { ...base, devices: { h: { kind: 'hub', config: { inputs: 2 } }, a: { kind: 'gadget' }, b: { kind: 'gadget' } } }],
    ['no-pci-host', 'a', 'pciHost', devices({ a: { kind: 'card' } })],
    ['unknown-part', 'a', 'pci', devices({ pci: { kind: 'pci-host' }, a: { kind: 'card', slot: { on: 'h' } } })],
    ['slot-taken', 'b', 'a', devices({ pci: { kind: 'pci-host' }, a: { kind: 'card', slot: 7 }, b: { kind: 'card', slot: { on: 'pci', device: 7, function: 0 } } })],
    ['bad-slot', 'a', 'below 32', devices({ pci: { kind: 'pci-host' }, a: { kind: 'card', slot: 32 } })],
    ['bad-slot', 'a', 'below 8', devices({ pci: { kind: 'pci-host' }, a: { kind: 'card', slot: { device: 1, function: 8 } } })],
    ['bad-slot', 'a', 'no function 0', devices({ pci: { kind: 'pci-host' }, a: { kind: 'card', slot: { device: 1, function: 2 } } })],
    ['bad-slot', 'a', 'no PCI device', devices({ pci: { kind: 'pci-host' }, a: { kind: 'gadget', slot: 1 } })],
    ['bad-address', 'a', 'slot', devices({ pci: { kind: 'pci-host' }, a: { kind: 'card', at: 0x1000_0000 } })],
    ['bad-irq', 'a', 'pci', devices({ pci: { kind: 'pci-host' }, a: { kind: 'card', irq: 3 } })],
    ['no-free-slot', 'c31', 'pci', devices({ pci: { kind: 'pci-host' }, ...Object.fromEntries(Array.from({ length: 32 }, (_, i) => [`c${i}`, { kind: 'card' }])) })],
  ] as const)('refuses %s, naming %s and %s', (code, name, other, definition) => {
    const error = errorOf(() => resolve(parseDefinition(definition), catalogue))
    expect(error).toMatchObject({ code, part: name })
    expect(error.message).toContain(other)
  })

  test('a shared line is ORed', () => {
    const shared = { line: 3, shared: true }
    const machine = instantiate(devices({
      a: { kind: 'gadget', irq: shared, backends: { console: 'null' } }, b: { kind: 'gadget', irq: shared, backends: { console: 'null' } },
    }), catalogue, testHost())
    const set = (a: number, b: number): unknown => {
      const saved = machine.saveDevices()
      const device = (count: number): object => ({ kind: 'gadget', version: 2, state: { count } })
      machine.restoreDevices({ ...saved, devices: { ...saved.devices, a: device(a), b: device(b) }, lines: { 'a.out': a > 0, 'b.out': b > 0, 'h.cpu': a + b > 0 } })
      return machine.saveDevices().devices['h']?.state
    }
    expect(set(1, 0)).toEqual({ levels: [3] })
    expect(set(1, 1)).toEqual({ levels: [3] })
    expect(set(0, 1)).toEqual({ levels: [3] })
    expect(set(0, 0)).toEqual({ levels: [] })
  })
})

describe('a definition', () => {
  test.each([['512M', 2 ** 29], ['2GiB', 2 ** 31], ['0x8000_0000', 2 ** 31], ['4k', 4096], [12, 12], ['1_000', 1000]])('reads %s as a number', (text, value) => {
    expect(parseNumber(text, 'x')).toBe(value)
  })
  test.each([['12x'], [''], [-1], [1.5], [NaN], [null], ['0x'], ['99999999999T']])('does not read %s as a number', (text) => {
    expect(errorOf(() => parseNumber(text, '--memory'))).toMatchObject({ code: 'definition', part: '--memory' })
  })
  test.each([
    ['cpu', {}], ['devices.1x', { '1x': { kind: 'hub' } }], ['devices.cpu', { cpu: { kind: 'hub' } }], ['a.kind', { a: {} }], ['a.sise', { a: { kind: 'hub', sise: 1 } }],
    ['a.at', { a: { kind: 'hub', at: 'x' } }], ['a.slot', { a: { kind: 'card', slot: -1 } }], ['a.slot.function', { a: { kind: 'card', slot: { function: 1 } } }], ['a.irq.shared', { a: { kind: 'hub', irq: { line: 1, shared: 2 } } }], ['a.backends.b', { a: { kind: 'hub', backends: { b: 3 } } }],
  ])('names the field %s that is wrong', (name, devices) => {
    expect(errorOf(() => parseDefinition({ ...base, ...(name === 'cpu' ? { cpu: null } : { devices }) })).part).toBe(name)
  })
  test('of any shape is read or refused with a typed error', () => {
    fc.assert(fc.property(fc.oneof(fc.anything(), fc.record({ memory: fc.anything(), cpu: fc.anything(), devices: fc.anything(), boot: fc.anything(), time: fc.anything() })), (input) => {
      try {
        expect(parseDefinition(parseDefinition(input))).toBeDefined()
      } catch (error) {
        expect(isMachinistError(error)).toBe(true)
      }
    }), { numRuns: 500 })
  })
  test('is plain data, the same as what it was made from, and comes back from JSON', () => {
    const { definition } = defineMachine({
      name: 'test', memory: { base: 0x8000_0000, size: 1 << 20 }, cpu: part(fakeCpu, { config: { harts: 2 } }),
      devices: { h: part(hub), g: part(gadget, { at: 0x1000, irq: { out: { line: 4 } }, backends: { console: collector() } }) },
    })
    expect(parseDefinition(structuredClone(definition))).toEqual(definition)
    expect(parseDefinition(JSON.parse(JSON.stringify(definition)))).toEqual(definition)
    expect(definition.devices['g']?.backends).toEqual({ console: 'g.console' })
  })
})

describe('what instantiation refuses', () => {
  const one = (device: object, boot?: MachineDefinition['boot']): MachineDefinition =>
    parseDefinition({ ...base, devices: { h: { kind: 'hub' }, g: { kind: 'gadget', ...device } }, ...(boot && { boot }) })
  const refused = (definition: MachineDefinition): MachinistError => errorOf(() => instantiate(definition, catalogue, testHost()))
  test.each([
    ['backend-missing', 'g.console', one({})],
    ['backend-unknown', 'g.console', one({ backends: { console: 'nothing' } })],
    ['backend-name', 'g', one({ backends: { consol: 'null' } })],
    ['backend-unknown', 'g.console', one({ backends: { console: { type: 'share', with: 'g.console' } } })],
    ['bad-irq', 'h.cpu', parseDefinition({ ...base, devices: { h: { kind: 'hub', irq: { line: 'hart7.meip' } } } })],
    ['too-much-memory', 'ram', parseDefinition({ ...base, memory: { base: 0x8000_0000, size: '8G' } })],
    ['image-not-loaded', 'kernel', one({ backends: { console: 'null' } }, { protocol: 'riscv', kernel: { file: 'Image' } })],
    ['boot-outside', 'code', one({ backends: { console: 'null' } }, { protocol: 'raw', entry: 0, images: [{ name: 'code', at: 0x7fff_ffff, bytes: new Uint8Array(2) }] })],
    ['boot-overlap', 'two', one({ backends: { console: 'null' } }, { protocol: 'raw', entry: 0, images: [
      { name: 'one', at: 0x8000_0000, bytes: new Uint8Array(2) }, { name: 'two', at: 0x8000_0001, bytes: new Uint8Array(2) }] })],
    ['unknown-part', 'boot.console', one({ backends: { console: 'null' } }, { protocol: 'raw', entry: 0, images: [], console: 'uart' })],
    ['bad-frequency', 'test', { ...base, timeFrequency: 999_999_999 }],
  ] as const)('%s at %s', (code, name, definition) => {
    expect(refused(definition)).toMatchObject({ code, part: name })
  })
  test('a backend of another kind, and closes what was connected', () => {
    let closed = 0
    const console = { ...collector(), kind: 'block', close() { closed++ } }
    const good = { ...collector(), close() { closed++ } }
    const blueprint = defineMachine({
      name: 'test', memory: { base: 0x8000_0000, size: 1 << 20 }, cpu: part(fakeCpu),
      devices: { h: part(hub), a: part(gadget, { backends: { console: good } }), g: part(gadget, { backends: { console } }) },
    })
    expect(errorOf(() => createMachine(blueprint, testHost()))).toMatchObject({ code: 'backend-kind', part: 'g.console' })
    expect(closed).toBe(1)
  })
  test('a backend that refuses, and leaves it to the machine that has it', () => {
    let closed = 0
    const taken = { ...collector(), connect(): never { throw new Error('in use') }, close() { closed++ } }
    const good = { ...collector(), close() { closed += 10 } }
    const blueprint = defineMachine({
      name: 'test', memory: { base: 0x8000_0000, size: 1 << 20 }, cpu: part(fakeCpu),
      devices: { h: part(hub), a: part(gadget, { backends: { console: good } }), g: part(gadget, { backends: { console: taken } }) },
    })
    expect(() => createMachine(blueprint, testHost())).toThrow('in use')
    expect(closed).toBe(10)
  })
})
