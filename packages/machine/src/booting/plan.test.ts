import { expect, test } from 'vitest'
import { defineMachine, part, resolve } from '../index.ts'
import { fakeCpu } from '../testing/fake-cpu.ts'
import type { BootDefinition } from '../definition/definition.ts'
import { type BootPlacement, planBoot } from './plan.ts'

const MIB = 2 ** 20
const plan = (boot: BootDefinition): BootPlacement => {
  const { definition, catalogue } = defineMachine({ name: 'pc', memory: [{ base: 0, size: 64 * MIB }, { base: 2 ** 32, size: MIB }], cpu: part(fakeCpu), devices: {}, boot })
  return planBoot(resolve(definition, catalogue), { fill: (bytes) => bytes.fill(5) }, { image: (file) => new Uint8Array(file.length) })
}

test('an x86 machine without a kernel begins as after a reset', () => {
  expect(plan({ protocol: 'x86' })).toEqual({ segments: [], entry: { pc: 0xffff_fff0, args: [], start: { kind: 'reset' } } })
})

test('one with a kernel is told of all memory, the initrd and the command line', () => {
  const kernel = new Uint8Array(64)
  const view = new DataView(kernel.buffer)
  // A multiboot header that says where the file goes.
  for (const [index, value] of [0x1bad_b002, 0x1_0000, -0x1bad_b002 - 0x1_0000, 3 * MIB, 3 * MIB, 0, 0, 3 * MIB + 32].entries()) view.setUint32(4 * index, value >>> 0, true)
  const { segments, entry } = plan({ protocol: 'x86', kernel, initrd: { file: '123' }, append: 'x' })
  expect(entry).toEqual({ pc: 3 * MIB + 32, args: [], start: { kind: 'protected', pc: 3 * MIB + 32, gdt: { base: 0x500, limit: 39 }, eax: 0x2bad_b002, ebx: 0x7000, esi: 0 } })
  expect(segments.map(({ part: name, address, bytes }) => `${name} ${address.toString(16)} ${bytes.length}`)).toEqual([
    'gdt 500 40', `multiboot information 7000 116`, `multiboot information 8000 ${16 + 5 * 24 + 10}`, 'command line 20000 2', 'kernel 300000 64', 'initrd 3fff000 3',
  ])
  expect(() => plan({ protocol: 'x86', kernel, start: 'pvh' })).toThrow(expect.objectContaining({ code: 'boot-protocol' }))
})
