import type { MachineReport } from '@machinist/hypervisor'
import { expect, it } from 'vitest'
import { fakeHypervisor, SPEC } from '../../test/fleet/fake-hypervisor.ts'
import { eventText, mergedResources, POOL_COLUMNS, PS_COLUMNS, stateText, TABLE_COLUMNS, tableLines, tableSections, timeText } from '@machinist/hypervisor/text'
import { actOnAll } from './run.ts'

async function fleet(): Promise<ReturnType<typeof fakeHypervisor>> {
  const hypervisor = fakeHypervisor()
  await hypervisor.addPool({ path: 'night', resources: { cpu: { shares: 500, limit: 0.5 }, memory: { reservation: 2 ** 26 } } })
  await hypervisor.addPool({ path: 'night/batch' })
  await hypervisor.add({ name: 'web-1', machine: SPEC, resources: { cpu: { shares: 2000 } } })
  await hypervisor.add({ name: 'job', machine: SPEC, pool: 'night/batch' })
  await hypervisor.start('web-1')
  hypervisor.report('web-1', {
    cpu: { used: 187e9, ready: 0, held: 0 }, disk: { readBytes: 2 ** 20, writtenBytes: 2 ** 19, requests: 1 },
    memory: { touched: 0, own: 16384, shared: 0, merged: 0, ballooned: 0, compressed: 0, swapped: 0 },
  })
  hypervisor.end('job', 0, 'cpu: it\u001b[2J broke')
  return hypervisor
}

it('ps lists machines, and leaves columns out where there is no room', async () => {
  const machines = await (await fleet()).machines()
  expect(tableLines(PS_COLUMNS, machines)).toEqual([
    'NAME   STATE    POOL         GROUP  PROCESSOR   CPU  MEMORY  DISK  NETWORK  ERROR',
    'web-1  running  -            -              0  3:07     64M  1.5M        0',
    'job    failed   night/batch  -              -  0.0s       0     0        0  cpu: it\ufffd[2J broke',
  ])
  expect(tableLines(PS_COLUMNS, machines, 40)).toEqual(['NAME   STATE     CPU  MEMORY', 'web-1  running  3:07     64M', 'job    failed   0.0s       0'])
  expect(tableLines(PS_COLUMNS, machines, 10)).toEqual(['NAME   ST…', 'web-1  ru…', 'job    fa…'])
})

it('the table is a tree for each resource', async () => {
  const sections = tableSections(await (await fleet()).table())
  expect(sections.map(({ title }) => title)).toEqual(['cpu, processors', 'memory, bytes'])
  expect(tableLines(TABLE_COLUMNS, sections[0]?.rows ?? [])).toEqual([
    'NAME        SHARES  RESERVED  LIMIT  WANTS  ENTITLED  USES  LACKS',
    '(host)                     0      -      1      0.75   0.5   0.25',
    '  night/       500         0    0.5      1      0.75   0.5   0.25',
    '    batch/    1000         0      -      1      0.75   0.5   0.25',
    '      job     1000         0      -      1      0.75   0.5   0.25',
    '  web-1       2000         0      -      1      0.75   0.5   0.25',
  ])
})

it('pools are listed with their terms', async () => {
  expect(tableLines(POOL_COLUMNS, await (await fleet()).pools())).toEqual([
    'POOL         CPU                      MEMORY        DISK  SPACE  NETWORK',
    'night        500 shares, at most 0.5  64M reserved  -     -      -',
    'night/batch  -                        -             -     -      -',
  ])
})

it.each<[Partial<MachineReport>, string]>([
  [{ state: 'running', error: 'old' }, 'running'], [{ state: 'created' }, 'off'], [{ state: 'off', status: 0 }, 'off (0)'], [{ state: 'off', status: 3 }, 'off (3)'], [{ state: 'off', error: 'x' }, 'failed'], [{ state: 'paused' }, 'paused'],
])('%j is %s', (report, text) => {
  expect(stateText({ state: 'off', status: null, error: null, ...report })).toBe(text)
})

it('times have hours, minutes and seconds', () => {
  expect([0, 4.21e9, 99.94e9, 187e9, 7387e9].map(timeText)).toEqual(['0.0s', '4.2s', '99.9s', '3:07', '2:03:07'])
})

it('events are lines', () => {
  expect(eventText({ at: 1_764_000_000_123_456_789n, kind: 'failed', name: 'web', text: 'a\nb' })).toBe('2025-11-24T16:00:00.123Z web failed a\ufffdb')
})

it('what is not said of a resource stays as it is', async () => {
  const table = await (await fleet()).table()
  expect(mergedResources(table, 'pool', 'night', { cpu: { limit: 1 } })).toEqual({ cpu: { shares: 500, reservation: 0, limit: 1 }, memory: { shares: 1000, reservation: 2 ** 26, limit: Infinity } })
  expect(() => mergedResources(table, 'pool', 'night', { memory: { limit: 1024 } })).toThrow('more is reserved than the limit allows')
})

it('what is done to several machines is done to all, and failures are told', async () => {
  const hypervisor = await fleet()
  const failures: string[] = []
  const status = await actOnAll(hypervisor, { action: 'kill', names: ['none', 'web-1'], within: 1 }, (text) => { failures.push(text) })
  expect([status, failures]).toEqual([1, ['machinist: none: there is no such machine. machinist ps lists them.']])
  expect(hypervisor.calls.slice(-2)).toEqual(['stop none 0', 'stop web-1 0'])
})
