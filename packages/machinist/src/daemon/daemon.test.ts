import { expect, it } from 'vitest'
import { helpText } from '../command-line/help.ts'
import { parseCommand } from '../arguments.ts'

it.each([
  ['start', { action: 'start', choice: {} }], ['start --processors 3', { action: 'start', choice: { processors: 3 } }], ['start --at-end off', { action: 'start', choice: { atEnd: 'off' } }], ['run --at-end save', { action: 'run', choice: { atEnd: 'save' } }],
  ['status', { action: 'status', json: false }], ['status --json', { action: 'status', json: true }], ['stop', { action: 'stop', how: { machines: 'save' } }],
  ['stop --off', { action: 'stop', how: { machines: 'off', within: 0 } }], ['stop --off --within 1.5', { action: 'stop', how: { machines: 'off', within: 1500 } }],
])('machinist daemon %s', (line, options) => {
  expect(parseCommand(['daemon', ...line.split(' ')])).toEqual({ kind: 'daemon', options })
})

it.each([
  ['', 'it is not said what to do'], ['begin', 'no such command'], ['start now', 'too many arguments'], ['start --json', 'is not for machinist daemon start'], ['status --off', 'is not for machinist daemon status'],
  ['stop --within 5', 'need no time'], ['stop --off --within x', 'not a number of seconds'], ['stop --off --within=-1', 'not a number of seconds'], ['run --processors 0', 'not a number of processors'], ['run --at-end burn', 'no such choice'],
])('machinist daemon %s is refused: %s', (line, problem) => {
  expect(() => parseCommand(['daemon', ...line.split(' ').filter((word) => word !== '')])).toThrow(expect.objectContaining({ code: 'usage', message: expect.stringContaining(problem) as string }))
})

it('has help', () => {
  expect(parseCommand(['daemon', 'start', '--help'])).toEqual({ kind: 'help', topic: 'daemon start' })
  expect(helpText('daemon')).toContain('end the hypervisor in the background')
})
