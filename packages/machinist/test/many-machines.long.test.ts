/** Several guests under one hypervisor, by the commands of the built program: attached, and in the background. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { CLI, type Ended, PATIENCE, PROMPT, type Running, scratch, start } from './support.ts'

const FLEET = {
  pools: { day: { cpu: { shares: 2000 } }, night: {} },
  machines: { web: { count: 2, memory: '128M', pool: 'day' }, batch: { memory: '128M', pool: 'night', resources: { cpu: { shares: 500 } } } },
}
const NAMES = ['web-1', 'web-2', 'batch']

/** A user of a hypervisor that no other test knows. */
function user(): { readonly folder: string; begin(...args: string[]): Running; say(...args: string[]): Promise<Ended>; ok(...args: string[]): Promise<string> } {
  const folder = scratch()
  writeFileSync(join(folder, 'fleet.json'), JSON.stringify(FLEET))
  const env = { MACHINIST_SOCKET: join(folder, 'run', 'h.sock'), MACHINIST_STATE: join(folder, 'state') }
  const begin = (...args: string[]): Running => start(process.execPath, [CLI, ...args], { env, cwd: folder })
  const say = (...args: string[]): Promise<Ended> => start(process.execPath, [CLI, ...args], { env, cwd: folder, input: '' }).ended
  return {
    folder, begin, say,
    async ok(...args) {
      const { status, stdout, stderr } = await say(...args)
      expect(status, `${args.join(' ')}: ${stderr}`).toBe(0)
      return stdout.toString()
    },
  }
}

/** Asks until something is so. */
async function until(is: () => Promise<boolean>, told: () => string = () => ''): Promise<void> {
  for (const end = Date.now() + PATIENCE; Date.now() < end;) {
    if (await is()) return
    await new Promise((resolve) => { setTimeout(resolve, 500) })
  }
  throw new Error(`it never was so${told()}`)
}

/** Asks until the answer has something. */
async function untilSaid(ask: () => Promise<Ended>, what: string | RegExp): Promise<void> {
  let last: Ended | null = null
  await until(async () => {
    last = await ask()
    const answer = last.stdout.toString()
    return typeof what === 'string' ? answer.includes(what) : what.test(answer)
  }, () => `: nothing had ${String(what)}: ${last?.stdout.toString() ?? ''}${last?.stderr ?? ''}`)
}

interface Report {
  readonly name: string
  readonly state: string
  readonly pool: string
}

it('in the background: three guests boot, and commands look at them, change them and end them', async () => {
  const { folder, say, ok, begin } = user()
  expect(await say('ps')).toMatchObject({ status: 1, stderr: expect.stringContaining('none runs in the background') })
  await ok('up', '-d', 'fleet.json')
  const reports = async (): Promise<readonly Report[]> => JSON.parse(await ok('ps', '--json')) as Report[]
  expect((await reports()).map(({ name, state, pool }) => [name, state, pool])).toEqual([['web-1', 'running', 'day'], ['web-2', 'running', 'day'], ['batch', 'running', 'night']])
  for (const name of NAMES) await untilSaid(() => say('logs', name), PROMPT)

  // A console, to and fro.
  const session = begin('console', 'web-1')
  session.type('echo sum $((6*7))\n')
  await session.wait('sum 42')
  session.type('while :; do :; done\n')
  await until(async () => {
    const { rows: [first] } = JSON.parse(await ok('top', '--once', '--json')) as { readonly rows: readonly { readonly name: string; readonly used: number }[] }
    return first?.name === 'web-1' && first.used > 10
  })
  session.type('\x03')
  expect(await ok('top', '--once', '--pools', '--view', 'cpu')).toMatch(/^day +2 +2 running/m)

  // Terms are changed while they run, and what is not said stays.
  await ok('set', 'batch', 'cpu.limit=50%', 'pool=day')
  const table = await ok('table')
  expect(table).toMatch(/^ +batch +500 +0 +0\.5 /m)
  expect(await say('set', 'bacth', 'cpu.shares=1')).toMatchObject({ status: 1, stderr: expect.stringContaining('Did you mean batch?') })
  await ok('pool', 'add', 'day/late', 'memory.limit=1G')
  expect(await ok('pool', 'list')).toMatch(/^day\/late +.*at most 1G/m)
  expect(await say('pool', 'remove', 'day')).toMatchObject({ status: 1 })
  await ok('pool', 'remove', 'day/late')

  // States.
  await ok('pause', 'web-1', 'web-2')
  expect((await reports()).map(({ state }) => state)).toEqual(['paused', 'paused', 'running'])
  await ok('resume', 'web-1', 'web-2')
  await ok('fork', 'web-1', 'copy')
  const copied = begin('console', 'copy')
  copied.type('echo copy $((40+2))\n')
  await copied.wait('copy 42')
  await ok('snapshot', 'save', 'web-2', 'web-2.snapshot')
  expect(existsSync(join(folder, 'web-2.snapshot'))).toBe(true)
  await ok('kill', 'web-2')
  await ok('start', 'web-2', '--from', 'web-2.snapshot')
  const resumed = begin('console', 'web-2')
  resumed.type('echo again $((20+1))\n')
  await resumed.wait('again 21')
  // A console whose machine goes off ends, where nobody sits at it.
  resumed.type('poweroff\n')
  expect((await resumed.ended).status).toBe(0)
  await untilSaid(() => say('ps'), /^web-2 +off \(0\)/m)
  expect(await ok('events', 'web-2')).toMatch(/started[\s\S]*off/)
  const metrics = await ok('metrics')
  expect(metrics).toMatch(/^machinist_machine_cpu_used_seconds_total\{machine="web-1",pool="day"\} [0-9.]+$/m)
  expect(metrics.endsWith('# EOF\n')).toBe(true)

  // The file again: what is off is started, and the terms are those of the file.
  await ok('up', '-d', 'fleet.json')
  expect((await reports()).map(({ name, state, pool }) => `${name} ${state} ${pool}`)).toEqual(['web-1 running day', 'web-2 running day', 'batch running night', 'copy running day'])
  await ok('rm', 'copy')
  await ok('down', 'fleet.json')
  expect(await reports()).toEqual([])
  await ok('down')
  expect((await say('ps')).status).toBe(1)
})

it('attached: consoles are shown together, other terminals reach the machines, and SIGINT stops all', async () => {
  const { begin, say } = user()
  const fleet = begin('up', 'fleet.json')
  for (const name of NAMES) await untilSaid(() => say('logs', name), PROMPT)
  expect(fleet.text()).toMatch(/^batch \| .*Linux version/m)
  expect(await say('up', '-d', 'fleet.json')).toMatchObject({ status: 1, stderr: expect.stringContaining('machinist up runs at a terminal') })
  fleet.kill('SIGINT')
  const { status, stdout, stderr } = await fleet.ended
  expect([status, stderr]).toEqual([0, expect.stringContaining('Stopping.')])
  expect(stdout.toString().match(/\[off/g)).toHaveLength(3)
  expect((await say('ps')).status).toBe(1)
})

it('attached: it ends when the guests have switched themselves off', async () => {
  const { begin, say } = user()
  const fleet = begin('up', 'fleet.json')
  for (const name of NAMES) {
    await untilSaid(() => say('logs', name), PROMPT)
    const session = begin('console', name)
    session.type('poweroff\n')
  }
  expect((await fleet.ended).status).toBe(0)
})
