import type { DebugRegister } from '@machinist/api'
import { expect, test } from 'vitest'
import { targetDescription } from './description.ts'
import { readAll } from './registers.ts'

const registers: readonly DebugRegister[] = [
  { name: 'rax', number: 0, bits: 64, group: 'general', type: 'integer' }, { name: 'st0', number: 1, bits: 80, group: 'float', type: 'extended' },
  { name: 'xmm0', number: 2, bits: 128, group: 'vector', type: 'vector' }, { name: 'cr0', number: 100, bits: 64, group: 'system', type: 'integer' },
]

test('groups that GDB knows as one feature are one, types are described where they are used, and the rest has our name', () => {
  const text = targetDescription({ architecture: 'i386:x86-64', registers })
  expect([...text.matchAll(/<feature name="([^"]*)">/g)].map(([, name]) => name)).toEqual(['org.gnu.gdb.i386.core', 'org.gnu.gdb.i386.sse', 'machinist.system'])
  expect(text).toMatch(/core">\n<reg name="rax" [^\n]*\n<reg name="st0" bitsize="80" regnum="1" type="i387_ext" group="float"\/>\n<\/feature>/)
  expect(text.match(/<union id="vec128">/g)).toHaveLength(1)
})

test('a g packet has the registers whose numbers follow one another, each in its own width', () => {
  const hart = { registers, readRegister: (number: number) => BigInt(number + 1) }
  expect(readAll(hart as never)).toBe(`01${'0'.repeat(14)}02${'0'.repeat(18)}03${'0'.repeat(30)}`)
})
