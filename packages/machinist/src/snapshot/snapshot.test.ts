import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMachinistError, machinistError } from '@machinist/api'
import { askForSnapshot, listenForSnapshots, listSnapshots, SnapshotTree, type TreeRequest } from '@machinist/host-node'
import fc from 'fast-check'
import { afterAll, expect, it } from 'vitest'
import { parseCommand, restoreOptions } from '../arguments.ts'
import { timeName, treeText } from './snapshot.ts'

const root = mkdtempSync(join(tmpdir(), 'machinist-snapshots-'))
afterAll(() => { rmSync(root, { recursive: true }) })

const codeOf = async (work: () => unknown): Promise<string> => {
  try {
    await work()
  } catch (error) {
    if (isMachinistError(error)) return `${error.code} ${error.part}`
    throw error
  }
  return 'none'
}

it('command lines are understood, or refused', async () => {
  expect(parseCommand(['snapshot', 'take', 'vm'])).toEqual({ kind: 'snapshot', options: { action: 'take', folder: 'vm' } })
  expect(parseCommand(['snapshot', 'take', 'vm', 'a b'])).toEqual({ kind: 'snapshot', options: { action: 'take', folder: 'vm', name: 'a b' } })
  expect(parseCommand(['snapshot', 'list', 'vm', '--json'])).toEqual({ kind: 'snapshot', options: { action: 'list', folder: 'vm', json: true } })
  expect(parseCommand(['snapshot', 'delete', 'vm', 'x'])).toEqual({ kind: 'snapshot', options: { action: 'delete', folder: 'vm', name: 'x' } })
  expect(parseCommand(['snapshot', 'revert', '--help'])).toEqual({ kind: 'help', topic: 'snapshot revert' })
  for (const [args, part] of [
    [['snapshot'], 'snapshot'], [['snapshot', 'eat', 'vm'], 'eat'], [['snapshot', 'take'], 'snapshot take'], [['snapshot', 'revert', 'vm'], 'snapshot revert'], [['snapshot', 'list', 'vm', 'x'], 'snapshot list'],
    [['snapshot', 'take', 'vm', '--json'], '--json'], [['snapshot', 'take', ''], 'snapshot take'],
    [['--snapshots', ''], '--snapshots'], [['--snapshots', 'vm', '--save', 'x'], '--snapshots'], [['--snapshots', 'vm', '--exec', 'ls'], '--snapshots'], [['--snapshots', 'vm', '--disk', 'a.img,overlay'], '--snapshots'],
    [['--snapshots', 'vm', 'machine.json'], '--snapshots'], [['profile', '--snapshots', 'vm'], '--snapshots'],
  ] as const) expect(await codeOf(() => parseCommand(args)), args.join(' ')).toBe(`usage ${part}`)
  const decided = (...args: string[]): unknown => {
    const command = parseCommand(args)
    return command.kind === 'run' ? command.options.snapshots?.decided : command.kind
  }
  expect([decided('--snapshots', 'vm'), decided('run', '--snapshots', 'vm', '--net', 'none', '--quiet')]).toEqual([null, null])
  expect([decided('--snapshots', 'vm', '--harts', '2'), decided('--snapshots', 'vm', 'debian.qcow2'), decided('--snapshots', 'vm', '--disk', 'x')]).toEqual(['--harts', 'debian.qcow2', '--disk'])
  expect(restoreOptions([['--harts', '2', '--disk', 'x', '--snapshots', 'vm'], ['run', '--snapshots', 'vm', '--net', 'none', '--gdb', '1234']], 'vm')).toMatchObject({ harts: 2, nets: [], disks: [{ path: 'x' }], gdb: { port: 1234 } })
})

it('a tree is shown as one, without what a terminal would obey', () => {
  const at = (name: string, parent: string | null, running: boolean, size: number): Parameters<typeof treeText>[0]['snapshots'][number] => ({ name, parent, running, size, time: new Date(2026, 10, 29, 18, 2, 7) })
  expect(timeName(new Date(2026, 10, 29, 18, 2, 7))).toBe('2026-11-29 18:02:07')
  expect(treeText({ snapshots: [at('clean', null, true, 2 ** 20), at('a\x1b[2J', 'clean', false, 0), at('b', 'clean', true, 1024), at('other', null, false, 100)], current: { parent: 'clean', resume: false, size: 5 } })).toBe([
    '├─ clean     2026-11-29 18:02:07  running  1 MiB',
    '│  ├─ a\ufffd[2J  2026-11-29 18:02:07  off      0 B',
    '│  ├─ b      2026-11-29 18:02:07  running  1 KiB',
    '│  └─ (now)                                5 B',
    '└─ other     2026-11-29 18:02:07  off      100 B',
    '',
  ].join('\n'))
})

it('whoever runs the machine is asked through a socket, and answers with what came of it', async () => {
  const asked: TreeRequest[] = []
  const request: TreeRequest = { action: 'take', name: 'x' }
  expect(await askForSnapshot(root, request)).toBe(false)
  const end = await listenForSnapshots(root, (each) => {
    asked.push(each)
    return each.name === 'x' ? Promise.resolve() : Promise.reject(machinistError({ code: 'snapshot-name', part: 'vm', value: each.name, remedy: 'Use another.' }, 'no'))
  })
  expect(await askForSnapshot(root, request)).toBe(true)
  await expect(askForSnapshot(root, { action: 'delete', name: 'y' })).rejects.toMatchObject({ code: 'snapshot-name', value: 'y', message: 'vm: no (y). Use another.' })
  expect(asked).toEqual([request, { action: 'delete', name: 'y' }])
  for (const text of ['nonsense\n', '{"action":"eat","name":"x"}\n', 'null\n', 'x'.repeat(100_000)]) {
    const reply = await new Promise<string>((resolve) => {
      let answer = ''
      const socket = connect(join(root, 'control'), () => { socket.write(text) })
      socket.on('data', (bytes: Buffer) => { answer += bytes.toString() })
      socket.on('close', () => { resolve(answer) })
      socket.on('error', () => {})
    })
    if (text.length < 1000) expect(reply).toContain('snapshot-request')
  }
  expect(asked).toHaveLength(2)
  end?.()
  expect(await askForSnapshot(root, request)).toBe(false)
})

it('a list of snapshots that was changed in any way is refused with a typed error, or means something', async () => {
  const folder = join(root, 'vm')
  const disk = join(root, 'disk.img')
  writeFileSync(disk, '')
  truncateSync(disk, 1 << 20)
  const tree = await SnapshotTree.create(folder, [{ name: 'disk0', path: disk }], { line: [] })
  await tree.take('a')
  await tree.take('b')
  await tree.close()
  const path = join(folder, 'snapshots.json')
  const text = readFileSync(path, 'utf8')
  const json = fc.constantFrom(undefined, null, -1, 0, 1, 2, 1e300, '', 'a', '../../x', 'disk0.1.qcow2', [], {}, true)
  const seed = Number(process.env['SNAPSHOT_SEED'] ?? 1)
  const spoilt = (value: unknown, way: readonly number[], by: unknown): unknown => {
    const [first = 0, ...rest] = way
    if (typeof value !== 'object' || value === null || way.length === 0) return by
    const keys = Object.keys(value)
    const chosen = keys[first % Math.max(1, keys.length)]
    if (Array.isArray(value)) return value.map((each: unknown, index) => (String(index) === chosen ? spoilt(each, rest, by) : each))
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, key === chosen ? spoilt(each, rest, by) : each]))
  }
  fc.assert(fc.property(fc.array(fc.nat(8), { maxLength: 5 }), json, (way, by) => {
    writeFileSync(path, JSON.stringify(spoilt(JSON.parse(text), way, by)) ?? '')
    try {
      listSnapshots(folder)
    } catch (error) {
      expect(isMachinistError(error) && error.code).toBe('snapshot-tree')
    }
  }), { numRuns: 300, seed })
  writeFileSync(path, text)
  expect(listSnapshots(folder).snapshots.map(({ name }) => name)).toEqual(['a', 'b'])
})
