import type { Backend } from '@machinist/api'
import { describe, expect, it } from 'vitest'
import { openBackends } from './open-backends.ts'
import type { MachineDefinition } from './definition.ts'

const definition = {
  devices: {
    first: { kind: 'disk', backends: { disk: { type: 'disk', path: 'a' }, other: 'live' } },
    none: { kind: 'uart' },
    second: { kind: 'disk', backends: { disk: { type: 'disk', path: 'b' }, net: { type: 'nat' } } },
  },
} as unknown as MachineDefinition

describe('openBackends', () => {
  it('opens those of a type, which the definition then names', async () => {
    const asked: string[] = []
    const { definition: open, backends } = await openBackends(definition, 'disk', (descriptor, part) => {
      asked.push(`${part} ${String(descriptor['path'])}`)
      return Promise.resolve({ kind: part, connect: () => part } satisfies Backend<string>)
    })
    expect(asked).toEqual(['first.disk a', 'second.disk b'])
    expect([...backends].map(([part, { kind }]) => [part, kind])).toEqual([['first.disk', 'first.disk'], ['second.disk', 'second.disk']])
    expect(open.devices).toEqual({
      first: { kind: 'disk', backends: { disk: 'first.disk', other: 'live' } },
      none: { kind: 'uart' },
      second: { kind: 'disk', backends: { disk: 'second.disk', net: { type: 'nat' } } },
    })
    expect(definition.devices['first']?.backends?.['disk']).toEqual({ type: 'disk', path: 'a' })
  })

  it('closes what it opened when one is refused', async () => {
    const closed: string[] = []
    await expect(openBackends(definition, 'disk', (_, part) => part === 'second.disk'
      ? Promise.reject(new Error('no'))
      : Promise.resolve({ kind: part, connect: () => part, close: () => { closed.push(part) } } satisfies Backend<string>))).rejects.toThrow('no')
    expect(closed).toEqual(['first.disk'])
  })
})
