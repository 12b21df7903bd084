import { virt, virtCatalogue } from '@machinist/boards'
import { type BackendDescriptor, parseDefinition } from '@machinist/machine'
import { expect, it } from 'vitest'
import { commandLines, connectedHere, describedBackends } from './connections.ts'

const saved = parseDefinition(JSON.parse(JSON.stringify(virt({ console: 'uart0.console', nets: ['nat', { type: 'switch', name: 'lan' }], disks: ['disk0.disk', { type: 'disk', path: 'b.img', mode: 'ro' }] }).definition)))
const backendsOf = (connect: Readonly<Record<string, BackendDescriptor>>, about: unknown): Record<string, unknown> => {
  const { devices } = connectedHere(saved, virtCatalogue, { connect }, about)
  return Object.fromEntries(['uart0', 'net0', 'net1', 'disk0', 'disk1', 'power'].flatMap((name) => Object.entries(devices[name]?.backends ?? {}).map(([port, choice]) => [`${name}.${port}`, choice])))
}
const [diskPort = ''] = Object.keys(saved.devices['disk0']?.backends ?? {})
const [netPort = ''] = Object.keys(saved.devices['net0']?.backends ?? {})

it('what other programs connected is a terminal, an unplugged network, and a disk that the page told of', () => {
  const told = { type: 'disk', path: 'a.img' }
  expect(backendsOf({}, { backends: { [`disk0.${diskPort}`]: told, [`net0.${netPort}`]: told } })).toMatchObject({
    'uart0.console': 'terminal', [`net0.${netPort}`]: { type: 'unplugged' }, [`net1.${netPort}`]: { type: 'switch', name: 'lan' },
    [`disk0.${diskPort}`]: told, [`disk1.${diskPort}`]: { type: 'disk', path: 'b.img', mode: 'ro' },
  })
  expect(backendsOf({ [`net0.${netPort}`]: { type: 'switch', name: 'other' } }, null)[`net0.${netPort}`]).toEqual({ type: 'switch', name: 'other' })
})

it('a file cannot have a disk that is kept here unless the page gives it', () => {
  const kept = { type: 'disk', keep: 'mine' }
  expect(() => backendsOf({}, { backends: { [`disk0.${diskPort}`]: kept } })).toThrow('kept here')
  expect(backendsOf({ [`disk0.${diskPort}`]: kept }, null)[`disk0.${diskPort}`]).toEqual(kept)
})

it.each([null, 7, { backends: 7 }, { backends: { __proto__: null, [`disk0.${diskPort}`]: 'x' } }])('what a file says of itself may be anything: %j', (about) => {
  expect(backendsOf({}, about)[`disk0.${diskPort}`]).toBe('disk0.disk')
})

it('tells disks, and how machinist goes on', () => {
  expect(describedBackends(saved, 'disk')).toEqual({ [`disk1.${diskPort}`]: { type: 'disk', path: 'b.img', mode: 'ro' } })
  expect(commandLines(saved)).toEqual([['--net', 'nat', '--net', 'nat']])
})

it('unplugs all networks but those that are given, and gives nothing to what is not there', () => {
  const { devices } = connectedHere(saved, virtCatalogue, { unplug: true, connect: { [`net0.${netPort}`]: { type: 'switch', name: 'other' } } }, null)
  expect([devices['net0']?.backends?.[netPort], devices['net1']?.backends?.[netPort]]).toEqual([{ type: 'switch', name: 'other' }, { type: 'unplugged' }])
  expect(() => backendsOf({ 'net7.net': 'unplugged' }, null)).toThrow('no part has such a backend')
})

it('has the relay of the page in the place of networks that are not here, and not that of another page', () => {
  const { devices } = connectedHere(saved, virtCatalogue, {}, null, true)
  expect([devices['net0']?.backends?.[netPort], devices['net1']?.backends?.[netPort]]).toEqual(['relay', { type: 'switch', name: 'lan' }])
  expect(connectedHere({ ...saved, devices }, virtCatalogue, {}, null).devices['net0']?.backends?.[netPort]).toEqual({ type: 'unplugged' })
})

it.each<[BackendDescriptor]>([['relay'], [{ type: 'relay' }], [{ type: 'relay', url: 'wss://example.org/' }], [{ type: 'relay', url: 'wss://example.org/', token: 'a-token-of-some-length' }]])('a file does not say which relay the page connects to: %j', (relay) => {
  const { net0 } = saved.devices
  if (net0 === undefined) throw new Error('no network')
  const hostile = { ...saved, devices: { ...saved.devices, net0: { ...net0, backends: { [netPort]: relay } } } }
  const chosen = (connect: Readonly<Record<string, BackendDescriptor>>, relayed: boolean): unknown => connectedHere(hostile, virtCatalogue, { connect }, { backends: { [`net0.${netPort}`]: relay } }, relayed).devices['net0']?.backends?.[netPort]
  expect([chosen({}, false), chosen({}, true)]).toEqual([{ type: 'unplugged' }, 'relay'])
  const own = { type: 'relay', url: 'ws://127.0.0.1:8022/' }
  expect(chosen({ [`net0.${netPort}`]: own }, true)).toEqual(own)
})
