import { describe, expect, it } from 'vitest'
import { machinistError } from '@machinist/api'
import { fakeChar, type FakeChar } from '@machinist/registers/testing'
import { FuzzRandom } from '@machinist/virtio/testing'
import { fakeHypervisor, SPEC, type FakeHypervisor } from '../../../machinist/test/fleet/fake-hypervisor.ts'
import { type Monitor, startMonitor } from './monitor.ts'

const SEED = Number(process.env['MACHINIST_SEED'] ?? 1)

interface Bench {
  readonly line: FakeChar
  readonly hypervisor: FakeHypervisor
  readonly monitor: Monitor
  readonly offs: number[]
  /** Types, and returns what came on the line then, without what redraws it. */
  type(text: string): Promise<string>
  /** Lets time pass. */
  pass(nanoseconds: number): Promise<string>
}

async function bench(first?: string): Promise<Bench> {
  const line = fakeChar()
  const hypervisor = fakeHypervisor()
  for (const name of ['web', 'db']) await hypervisor.add({ name, machine: SPEC })
  const offs: number[] = []
  let now = 0
  let waiting: { at: number; call: () => void } | null = null
  const monitor = startMonitor({
    hypervisor, console: line, now: () => now, hardware: () => ({ harts: 4, memory: 2 ** 30, free: 2 ** 29, heap: { size: 64 * 2 ** 20, taken: 6 * 2 ** 20, used: 5.5 * 2 ** 20 }, up: 3725e9, idle: 90e9 }), powerOff: () => { offs.push(now) }, ...(first !== undefined && { first }),
    after(duration, call) {
      waiting = { at: now + duration, call }
      return () => { waiting = null }
    },
    images: [{ name: 'root', size: 8 * 2 ** 30, readOnly: true, uuid: '', disk: '/soc/virtio', partition: 2 }],
  })
  let seen = 0
  const came = async (): Promise<string> => {
    for (let turn = 0; turn < 50; turn++) await Promise.resolve()
    const text = line.text().slice(seen)
    seen = line.sent.length
    return text.replaceAll(/\r\u001b\[K/g, '').replaceAll('\r\n', '\n')
  }
  await came()
  return {
    line, hypervisor, monitor, offs,
    type(text) {
      line.type(text)
      return came()
    },
    pass(nanoseconds) {
      now += nanoseconds
      if (waiting !== null && waiting.at <= now) waiting.call()
      return came()
    },
  }
}

describe('the monitor', () => {
  it('shows what the hardware has, and what the hypervisor takes', async () => {
    const { type } = await bench()
    expect(await type('hardware\r')).toContain('harts                 4\nmemory for machines   1G, of which 512M are free\nheap of the engine    64M, of which 6M are taken, 5.5M used\nup                    1:02:05\nidle                  90.0s of the hart that runs JavaScript\n')
  })

  it('lists machines as the command line does', async () => {
    const { type } = await bench()
    await type('start web\r')
    const text = await type('ps\r')
    expect(text.split('\n').slice(0, 4).map((line) => line.trim())).toEqual(['ps', expect.stringMatching(/^NAME +STATE/), expect.stringMatching(/^web +running/), expect.stringMatching(/^db +off/)])
    expect(text.endsWith('machinist> ')).toBe(true)
  })

  it('shows the console of a machine first', async () => {
    const { line, type, hypervisor } = await bench('db')
    expect(line.text()).toContain('machinist> console db\r\n[db. Ctrl-A X comes back')
    await type('root\r')
    expect(hypervisor.typed).toEqual({ db: 'root\r' })
    expect((await type('\u0001x')).endsWith('machinist> ')).toBe(true)
  })

  it('starts, stops, pauses, resumes and sets machines, and says what failed', async () => {
    const { type, hypervisor } = await bench()
    for (const line of ['start web db', 'pause web', 'resume web', 'reset web', 'stop web', 'kill db', 'set web cpu.shares=2000 memory.limit=512M restart=always']) await type(`${line}\r`)
    expect(hypervisor.calls.filter((call) => !call.startsWith('add'))).toEqual(['start web', 'start db', 'pause web', 'resume web', 'reset web', 'stop web 30000', 'stop db 0', 'set web'])
    expect((await hypervisor.table()).rows.find(({ name }) => name === 'web')?.resources).toMatchObject({ cpu: { shares: 2000 }, memory: { limit: 512 * 2 ** 20 } })
    expect(await type('start nobody web\r')).toContain('there is no such machine')
    for (const [line, text] of [['fly', 'there is no such command'], ['start', 'something is missing. Use start NAME...'], ['ps all', 'too much was given'], ['set web cpu.limit=much', 'is not an amount of cpu'], ['set web speed=1', 'there is no such setting'], ['top soon', 'is not a number of seconds'], ['top io soon', 'is not a number of seconds'], ['top 1 2', 'too much was given'], ['constructor', 'there is no such command']] as const) {
      expect(await type(`${line}\r`)).toContain(text)
    }
  })

  it('shows images, the table, events and help', async () => {
    const { type } = await bench()
    expect(await type('images\r')).toMatch(/root +8G +no +\/soc\/virtio, partition 2/)
    expect(await type('table\r')).toMatch(/cpu, processors\n.*\(host\)/s)
    expect(await type('events web\r')).toContain('web added')
    const help = await type('help\r')
    for (const word of ['ps', 'top', 'console', 'start', 'stop', 'pause', 'resume', 'set', 'help']) expect(help).toMatch(new RegExp(`^${word}\\b`, 'm'))
  })

  it('shows what machines do again and again, until a key is pressed', async () => {
    const { type, pass, hypervisor } = await bench()
    hypervisor.report('web', { cpu: { used: 0, ready: 0, held: 0 } })
    await type('top 1\r')
    hypervisor.report('web', { cpu: { used: 0.25e9, ready: 0, held: 0 } })
    expect(await pass(1e9)).toMatch(/NAME.*%USED[^]*web .* 25\.0/)
    expect(await pass(1e9)).toMatch(/web .* 0\.0/)
    expect(await type('q')).toBe('machinist> ')
    expect(await type('ps\r')).toContain('NAME')
    await type('top memory 1\r')
    const memory = await pass(1e9)
    expect(memory).toMatch(/NAME.*OWN.*SHARED.*MERGED.*BALLOON.*COMPR/)
    expect(memory).not.toMatch(/%USED|READ/)
    await type('q')
  })

  it('multiplexes consoles: what was said last, keys to the guest, Ctrl-A for itself', async () => {
    const { type, hypervisor } = await bench()
    hypervisor.say('web', 'earlier\r\n')
    expect(await type('console web\r')).toContain('earlier')
    hypervisor.say('web', 'login: ')
    expect(await type('root\r\u0003')).toContain('login: ')
    expect(await type('\u0001h')).toContain('back to the monitor')
    await type('\u0001aX\u0001')
    await type('a\u0001z')
    expect(hypervisor.typed).toEqual({ web: 'root\r\u0003\u0001X\u0001\u0001z' })
    hypervisor.say('db', 'not shown')
    expect(await type('\u0001n')).toContain('not shown')
    await type('for db\u0001xps\r')
    expect(hypervisor.typed['db']).toBe('for db')
    hypervisor.say('db', 'unseen')
    expect(await type('ps\r')).toMatch(/^ps\nNAME/)
  })

  it('comes back when a machine is removed, and says so', async () => {
    const { type, hypervisor } = await bench()
    await type('console web\r')
    await hypervisor.remove('web')
    expect(await type('')).toMatch(/the console of web was closed\]\nmachinist> $/)
    expect(await type('console web\r')).toContain('there is no such machine')
  })

  it('edits lines, and has those of before', async () => {
    const { type, hypervisor } = await bench()
    await type('start wxx\u007f\u007feb\r\n')
    await type('nonsense\u0015pause  web db\u0017web\r')
    await type('oops\u0003\u001b[A\u001b[A\r')
    await type('\u001b[A\u001b[A\u001b[B\u001b[B\u001b[Cps\r')
    await type('\u001bOA\u001b[1;5D\u0015resume web\n')
    expect(hypervisor.calls.slice(2)).toEqual(['start web', 'pause web', 'start web', 'resume web'])
  })

  it('tells of events beside what is being typed', async () => {
    const { type, hypervisor } = await bench()
    await type('star')
    hypervisor.end('web', 1, 'cpu: broke')
    expect(await type('')).toBe('[web: failed, cpu: broke]\nmachinist> star')
    await type('t db\r')
    expect(hypervisor.calls.at(-1)).toBe('start db')
  })

  it('shows an exception with its place in the sources, and goes on', async () => {
    const { type, hypervisor, monitor } = await bench()
    hypervisor.refuse('start web', new TypeError('a mistake of ours'))
    expect(await type('start web\r')).toMatch(/TypeError: a mistake of ours\n +at .*monitor\.test\.ts:[0-9]+/)
    hypervisor.refuse('start web', machinistError({ code: 'not-admitted', part: 'web', remedy: 'Stop another.' }, 'there is no room'))
    expect(await type('start web\r')).toContain('web: there is no room. Stop another.')
    monitor.report(new RangeError('nobody caught it'))
    expect(await type('')).toMatch(/An error that nobody handled: RangeError: nobody caught it\n +at [^]*machinist> $/)
  })

  it('switches the hardware off when all machines are', async () => {
    const { type, hypervisor, offs } = await bench()
    await type('start web\r')
    await type('off\r')
    expect([hypervisor.calls.at(-1), offs.length]).toEqual(['stop web 30000', 1])
  })

  it('leaves out what a slow line cannot take, and says how much', async () => {
    const { line, type, hypervisor } = await bench()
    await type('console web\r')
    line.room = 0
    for (let count = 0; count < 100; count++) hypervisor.say('web', 'x'.repeat(1000))
    expect(line.text().match(/x/g)).toBeNull()
    line.drain(Infinity)
    const text = await type('')
    expect(text.match(/x{1000}/g)!.length).toBe(65)
    expect(text).toMatch(/\[35000 bytes were left out/)
  })

  it('takes any bytes', async () => {
    const random = new FuzzRandom(SEED)
    const { line, type, pass, hypervisor } = await bench()
    const pieces = ['ps\r', 'top\r', 'console web\r', 'console db\r', '\u0001x', '\u0001n', '\u0001h', '\u001b[A', 'start web\r', 'set web \r', '\u0003', 'help\r']
    for (let step = 0; step < 2000; step++) {
      line.type(random.chance(0.6) ? random.pick(pieces as [string, ...string[]]) : [...random.bytes(1 + random.below(8))])
      if (random.chance(0.1)) hypervisor.say(random.pick(['web', 'db']), 'said')
      if (random.chance(0.2)) await pass(3e9)
    }
    await type('\u0001x')
    await type('\u0001x')
    await type('q\u0003')
    await type('\u0003')
    expect(await type('ps\r')).toMatch(/NAME +STATE/)
  })
})
