import type { DeviceSpec, IrqRoute } from '@machinist/api'
import { expect, test } from 'vitest'
import { fakeCpu } from '../testing/fake-cpu.ts'
import { gadget, hub } from '../testing/fake-devices.ts'
import { defineMachine, part, resolve } from '../index.ts'
import { resolvedFor } from './resolve.ts'
import { unconnected, Wiring } from '../assembly/wiring.ts'

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
  const lines = ['a', 'b'].map((name) => wiring.connect(name, 'file', (level) => got.push(level), (data) => got.push(data)))
  lines[0]?.send(5)
  lines[1]?.set(true)
  lines[0]?.send(5)
  lines[1]?.send(0xffff_ffff)
  wiring.connect('c', 'elsewhere', (level) => got.push(level)).send(1)
  unconnected.send(1)
  expect(got).toEqual([5, true, 5, 0xffff_ffff])
  expect(wiring.save()).toEqual({ a: false, b: true, c: false })
})
