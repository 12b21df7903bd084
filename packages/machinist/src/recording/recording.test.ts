import { isMachinistError } from '@machinist/api'
import { expect, test } from 'vitest'
import { parseCommand, restoreOptions } from '../arguments.ts'
import { counted } from './record.ts'

function refused(args: readonly string[]): string {
  try {
    parseCommand(args)
  } catch (error) {
    if (isMachinistError(error)) return `${error.code} ${error.part}`
    throw error
  }
  return 'nothing'
}

test('replay takes a file, and run and restore take one to record into', () => {
  expect(parseCommand(['replay', 'a.rec'])).toEqual({ kind: 'replay', choice: { file: 'a.rec', quiet: false } })
  expect(parseCommand(['replay', '--quiet', 'a.rec'])).toMatchObject({ choice: { quiet: true } })
  expect(parseCommand(['replay', 'a', '--until', '1000000'])).toMatchObject({ choice: { until: 1_000_000 } })
  expect(parseCommand(['replay', 'a', '--gdb', '[::1]:1234', '--gdb-wait'])).toMatchObject({ choice: { gdb: { host: '::1', port: 1234 }, gdbWait: true } })
  expect(parseCommand(['replay', '--help'])).toEqual({ kind: 'help', topic: 'replay' })
  expect(parseCommand(['--record', 'x', '--exec', 'ls'])).toMatchObject({ options: { exec: 'ls', record: { path: 'x', lines: [['--record', 'x', '--exec', 'ls']] } } })
  expect(parseCommand(['restore', 'a.snapshot', '--record', 'x'])).toMatchObject({ kind: 'restore', words: ['--record=x'] })
  // What was recorded when the machine was saved is not recorded again.
  expect(restoreOptions([['--record', 'x'], []], 'a.snapshot').record).toBeUndefined()
  expect(restoreOptions([['--record', 'x'], ['--record=y']], 'a.snapshot').record).toEqual({ path: 'y', lines: [['--record', 'x'], ['--record=y']] })
})

test.each([
  [['replay'], 'usage replay'], [['replay', 'a', 'b'], 'usage replay'], [['replay', '--harts', '2', 'a'], 'usage --harts'], [['--record', ''], 'usage --record'],
  [['replay', 'a', '--until', '-1'], 'usage --until'], [['replay', 'a', '--until', '1e6'], 'usage --until'], [['replay', 'a', '--gdb', 'x'], 'usage --gdb'], [['replay', 'a', '--gdb-wait'], 'usage --gdb-wait'],
  [['--record', 'x', '--dump-dtb', 'y'], 'usage --record'], [['--record', 'x', '--gdb', '1234'], 'usage --record'], [['--record', 'x', '--snapshots', 'y'], 'usage --record'],
] as const)('%j is refused', (args, what) => {
  expect(refused(args)).toBe(what)
})

test('a machine that is recorded has counted time, and the date and random numbers of the host unless it says otherwise', () => {
  const definition = { version: 1 as const, name: 'a', memory: [], cpu: { kind: 'riscv' }, devices: {}, time: 'real' as const }
  const blueprint = { definition, catalogue: [], backends: new Map() }
  expect(counted(blueprint).definition).toMatchObject({ time: { instructionsPerSecond: 1e9 }, randomness: 'host', wallClock: 'host' })
  expect(counted({ ...blueprint, definition: { ...definition, randomness: { seed: 1 } } }).definition).toMatchObject({ randomness: { seed: 1 } })
  const slow = { ...blueprint, definition: { ...definition, time: { instructionsPerSecond: 5 } } }
  expect(counted(slow)).toBe(slow)
})
