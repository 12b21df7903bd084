import type { DeviceSpec, IrqRoute } from '@machinist/api'
import { expect, test } from 'vitest'
import { fakeCpu } from '../testing/fake-cpu.ts'
import { gadget, hub } from '../testing/fake-devices.ts'
import { defineMachine, parseDefinition, part, resolve } from '../index.ts'
import { resolvedFor } from './resolve.ts'
import { unconnected, type WiredLine, type WireEnd, Wiring } from '../assembly/wiring.ts'

const sender = (kind: string, shared: boolean): DeviceSpec => ({
  ...hub as DeviceSpec, kind, inputs: () => 4, inputCells: (line) => [line, 7], defaultRoute: (): IrqRoute => ({ to: 'cpu', line: 'hart0.meip', shared }),
})
const machine = (first: boolean, second: boolean): ReturnType<typeof resolve> => {
  const { definition, catalogue } = defineMachine({
    name: 'test', memory: { base: 0x8000_0000, size: 1 << 20 }, cpu: part(fakeCpu),
    devices: { a: part(sender('a', first)), b: part(sender('b', second)), g: part(gadget, { irq: 2 }), h: part(gadget, { irq: { to: 'b', line: 3 } }), quiet: part(gadget, { irq: null }) },
  })
  return resolve(definition, catalogue)
}

test('outputs share an input of the CPU when the specs of all say so', () => {
  expect(machine(true, true).devices.slice(0, 2).map(({ wires }) => wires[0]?.line)).toEqual(['hart0.meip', 'hart0.meip'])
  for (const [first, second] of [[true, false], [false, true], [false, false]] as const) {
    expect(() => machine(first, second)).toThrow(expect.objectContaining({ code: 'irq-taken' }))
  }
})

test('a device is told what its controller calls an input', () => {
  const resolved = machine(true, true)
  const cells = resolved.devices.map((device) => resolvedFor(resolved, device).irqs.map((each) => each.cells))
  expect(cells).toEqual([[[]], [[]], [[2, 7]], [[3, 7]], []])
})

test('messages reach the input at the end of a line, whatever its level, and others ignore them', () => {
  const wiring = new Wiring()
  const got: (number | boolean)[] = []
  const lines = ['a', 'b'].map((name) => wiring.connect(name, [{ to: 'file', drive: (level) => got.push(level), send: (data) => got.push(data) }]))
  lines[0]?.send(5)
  lines[1]?.set(true)
  lines[0]?.send(5)
  lines[1]?.send(0xffff_ffff)
  wiring.connect('c', [{ to: 'elsewhere', drive: (level) => got.push(level) }]).send(1)
  unconnected.send(1)
  expect(got).toEqual([5, true, 5, 0xffff_ffff])
  expect(wiring.save()).toEqual({ a: false, b: true, c: false })
})

test('an output that goes to several inputs drives each, and each goes by all its lines', () => {
  const wiring = new Wiring()
  const got: string[] = []
  const end = (to: string): WireEnd => ({ to, drive: (level) => got.push(`${to}${level ? '+' : '-'}`), send: (data) => got.push(`${to}${data}`) })
  const both = wiring.connect('both', [end('x'), end('y')])
  const one = wiring.connect('one', [end('y')])
  one.set(true)
  both.set(true)
  one.set(false)
  both.send(7)
  both.set(false)
  expect(got).toEqual(['y+', 'x+', 'x7', 'y7', 'x-', 'y-'])
  got.length = 0
  both.pulse()
  wiring.restore({ both: true, one: false })
  expect(got).toEqual(['x+', 'y+', 'x-', 'y-', 'x+', 'y+'])
  expect(wiring.save()).toEqual({ both: true, one: false })
})

test('who is told of a level may change it before the others are', () => {
  const wiring = new Wiring()
  const got: string[] = []
  const line: WiredLine = wiring.connect('a', [
    {
      to: 'x',
      drive(level) {
        got.push(`x${level ? '+' : '-'}`)
        if (level) line.set(false)
      },
    },
    { to: 'y', drive: (level) => got.push(`y${level ? '+' : '-'}`) },
  ])
  for (let each = 0; each < 2; each++) line.set(true)
  expect([got, line.level]).toEqual([['x+', 'x-', 'x+', 'x-'], false])
  wiring.connect('b', [{ to: 'y', drive: () => {} }]).set(true)
  expect(got.at(-1), 'nothing else was asserted there').toBe('y+')
})

test('a definition gives an output several inputs, each of which must be free', () => {
  const inputs = (irq: unknown): unknown => {
    const { definition, catalogue } = defineMachine({
      name: 'test', memory: { base: 0x8000_0000, size: 1 << 20 }, cpu: part(fakeCpu),
      devices: { a: part(sender('a', true)), b: part(sender('b', true)), g: part(gadget, { irq: irq as never }), h: part(gadget, { irq: { to: 'b', line: 3 } }) },
    })
    return resolve(parseDefinition(JSON.parse(JSON.stringify(definition))), catalogue).devices[2]?.wires
  }
  const wire = { irq: 'out', shared: false }
  expect(inputs([{ to: 'b', line: 2 }, { line: '0x1' }])).toEqual([{ ...wire, to: 'b', line: 2 }, { ...wire, to: 'a', line: 1 }])
  expect(inputs({ out: [{ to: 'b', line: 2 }, { to: 'b', line: 1 }] })).toEqual([{ ...wire, to: 'b', line: 2 }, { ...wire, to: 'b', line: 1 }])
  expect(inputs([])).toEqual([])
  expect(() => inputs([{ line: 1 }, { to: 'b', line: 3 }])).toThrow(expect.objectContaining({ code: 'irq-taken', part: 'h.out' }))
  expect(() => inputs([{ line: 1 }, { line: 1 }])).toThrow(expect.objectContaining({ code: 'irq-taken', part: 'g.out' }))
  expect(() => inputs([{ line: 1 }, { to: 'b' }])).toThrow(expect.objectContaining({ part: 'g.irq[1].line' }))
})
