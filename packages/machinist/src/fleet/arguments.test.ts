import { isMachinistError } from '@machinist/api'
import { describe, expect, it } from 'vitest'
import { parseCommand } from '../arguments.ts'
import type { FleetCommand } from './arguments.ts'

function parse(line: string): FleetCommand {
  const command = parseCommand(line.split(' '))
  if (command.kind !== 'fleet') throw new Error(`it is ${command.kind}`)
  return command.command
}

function refusal(line: string): string {
  try {
    parse(line)
  } catch (error) {
    if (!isMachinistError(error) || error.code !== 'usage') throw error
    return error.message
  }
  throw new Error('nothing was refused')
}

describe('the command line', () => {
  it.each<[string, FleetCommand]>([
    ['up fleet.json', { action: 'up', file: 'fleet.json', detach: false, choice: {} }],
    ['up -d --processors 4 --memory 1G fleet.json', { action: 'up', file: 'fleet.json', detach: true, choice: { processors: 4, memory: 2 ** 30 } }],
    ['down', { action: 'down', file: null, within: 30_000 }],
    ['ps --json', { action: 'ps', json: true, names: false }],
    ['ps --names', { action: 'ps', json: false, names: true }],
    ['top', { action: 'top', options: { mode: 'screen', delay: 2000, count: Infinity, view: 'all', sort: 'used', pools: false, json: false } }],
    ['top --once --pools --view io --sort read', { action: 'top', options: { mode: 'once', delay: 2000, count: 1, view: 'io', sort: 'read', pools: true, json: false } }],
    ['top --batch --count 3 --delay 0.5', { action: 'top', options: { mode: 'batch', delay: 500, count: 3, view: 'all', sort: 'used', pools: false, json: false } }],
    ['stop web-1 web-2 web-1 --within 5', { action: 'stop', names: ['web-1', 'web-2'], within: 5000 }],
    ['start web --from web.snapshot', { action: 'start', names: ['web'], within: 30_000, from: 'web.snapshot' }],
    ['set web cpu.shares=2000 cpu.limit=50% memory.limit=512M network.limit=none pool=night/batch autostart=yes restart=always', {
      action: 'set', name: 'web',
      changes: { resources: { cpu: { shares: 2000, limit: 0.5 }, memory: { limit: 2 ** 29 }, network: { limit: Infinity } }, pool: 'night/batch', autostart: true, restart: 'always' },
    }],
    ['set web pool=/', { action: 'set', name: 'web', changes: { pool: '' } }],
    ['pool add night cpu.shares=500', { action: 'pool add', path: 'night', resources: { cpu: { shares: 500 } } }],
    ['pool remove night/batch', { action: 'pool remove', path: 'night/batch' }],
    ['fork web copy --pool night', { action: 'fork', name: 'web', copy: 'copy', pool: 'night' }],
    ['move web 1', { action: 'move', name: 'web', processor: 1 }],
    ['logs -f web', { action: 'logs', name: 'web', follow: true }],
    ['events', { action: 'events', name: null, follow: false, json: false }],
    ['metrics --listen 9100', { action: 'metrics', listen: { host: '127.0.0.1', port: 9100 }, detach: false }],
    ['metrics -d', { action: 'metrics', listen: null, detach: true }],
    ['metrics --listen [::1]:9100', { action: 'metrics', listen: { host: '::1', port: 9100 }, detach: false }],
  ])('%s', (line, command) => {
    expect(parse(line)).toEqual(command)
  })

  it.each([
    ['up', 'up: an argument is missing. Use machinist up FILE'],
    ['up a.json b.json', 'up: too many arguments (b.json).'],
    ['up fleet.json --memory much', '--memory: not a size (much).'],
    ['ps --follow', '--follow: is not for machinist ps.'],
    ['console ../web', 'NAME: is not the name of a machine (../web).'],
    ['set web cpu.share=1', 'cpu.share: there is no such setting (cpu.share=1). Did you mean cpu.shares? The settings are pool,'],
    ['set web cpu', 'cpu: is not a setting. Use KEY=VALUE'],
    ['set web cpu.shares=many', 'cpu.shares: is not a number of shares (many).'],
    ['set web memory.reservation=1G memory.limit=1M', 'memory.limit: more is reserved than the limit allows'],
    ['set web restart=perhaps', 'restart: is not known (perhaps).'],
    ['pool add night pool=day', 'pool: there is no such setting (pool=day).'],
    ['pool add night/', 'PATH: is not the path of a pool (night/).'],
    ['move web one', 'PROCESSOR: not a whole number in its range (one). Use 0 to 511.'],
    ['top --once --count 3', '--count: does not go with --once'],
    ['top --delay 0', '--delay: not a number of seconds (0). Use 0.1 to 3600.'],
    ['top --view disks', '--view: there is no such view (disks).'],
    ['metrics --listen many', '--listen: not a port (many).'],
    ['metrics --listen 70000', '--listen: not a port (70000).'],
    ['start a b --from x', '--from: is for one machine (b).'],
  ])('%s is refused', (line, text) => {
    expect(refusal(line)).toContain(text)
  })

  it('saves a machine by the words of snapshots', () => {
    expect(parseCommand(['snapshot', 'save', 'web', 'web.snapshot'])).toEqual({ kind: 'snapshot', options: { action: 'save', name: 'web', file: 'web.snapshot' } })
    expect(parseCommand(['pool'])).toEqual({ kind: 'help', topic: 'pool' })
  })
})
