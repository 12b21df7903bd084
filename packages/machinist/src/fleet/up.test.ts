import { machinistError } from '@machinist/api'
import { describe, expect, it } from 'vitest'
import { fakeHypervisor, SPEC, type FakeHypervisor } from '../../test/fleet/fake-hypervisor.ts'
import type { Fleet } from './file/fleet.ts'
import { calmLine, PrefixedLines } from './prefixed.ts'
import { lower, raiseFleet, runAttached } from './up.ts'

const FLEET: Fleet = {
  pools: [{ path: 'night', resources: { cpu: { shares: 500 } } }],
  machines: [{ name: 'db', entry: 'db', machine: SPEC, pool: 'night' }, { name: 'web-1', entry: 'web', machine: SPEC }, { name: 'web-2', entry: 'web', machine: SPEC }],
}
const NAMES = FLEET.machines.map(({ name }) => name)

/** Waits until something is so. */
async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((resolve) => { setImmediate(resolve) })
}

describe('a fleet is brought up', () => {
  it('with its pools and machines, and a second time with its new terms alone', async () => {
    const hypervisor = fakeHypervisor()
    expect(await raiseFleet(hypervisor, FLEET)).toMatchObject({ added: FLEET.machines, known: [] })
    expect(hypervisor.calls).toEqual(['addPool night', 'add db', 'add web-1', 'add web-2', 'start db', 'start web-1', 'start web-2'])
    hypervisor.calls.length = 0
    hypervisor.end('db', 0)
    expect(await raiseFleet(hypervisor, FLEET)).toMatchObject({ added: [], known: FLEET.machines, started: [{ name: 'db' }] })
    expect(hypervisor.calls).toEqual(['setPool night', 'set db', 'set web-1', 'set web-2', 'start db'])
  })

  it('wholly, or not at all', async () => {
    const hypervisor = fakeHypervisor()
    hypervisor.refuse('start web-2', machinistError({ code: 'not-admitted', part: 'web-2', remedy: 'Reserve less.' }, 'there is not so much'))
    await expect(raiseFleet(hypervisor, FLEET)).rejects.toMatchObject({ code: 'not-admitted' })
    expect([await hypervisor.machines(), await hypervisor.pools()]).toEqual([[], []])
  })

  it('and down again, the last entry first', async () => {
    const hypervisor = fakeHypervisor()
    await raiseFleet(hypervisor, FLEET)
    hypervisor.calls.length = 0
    await lower(hypervisor, FLEET.machines, 5000, (name) => { throw new Error(name) })
    expect(hypervisor.calls).toEqual(['stop web-1 5000', 'stop web-2 5000', 'stop db 5000'])
  })
})

/** An attached run, what it writes, and a way to interrupt it. */
function attached(hypervisor: FakeHypervisor): { readonly ended: Promise<number>; readonly text: () => string; readonly notes: string[]; interrupt(): void } {
  let written = ''
  const notes: string[] = []
  const stops: (() => void)[] = []
  const ended = runAttached(hypervisor, FLEET, {
    write(text) { written += text },
    note(text) { notes.push(text) },
    colour: false,
    interrupts(stop) {
      stops.push(stop)
      return () => { stops.length = 0 }
    },
  })
  return { ended, text: () => written, notes, interrupt() { for (const stop of stops) stop() } }
}

describe('attached', () => {
  it('shows all consoles with names, until all machines are off', async () => {
    const hypervisor = fakeHypervisor()
    const { ended, text } = attached(hypervisor)
    await until(() => hypervisor.calls.includes('start web-2'))
    hypervisor.say('web-1', 'one\r\nt')
    hypervisor.say('db', 'base\n')
    hypervisor.say('web-1', 'wo\r\n# ')
    for (const name of ['web-1', 'db']) hypervisor.end(name, 0)
    hypervisor.end('web-2', 3)
    expect(await ended).toBe(3)
    expect(text()).toBe('web-1 | one\ndb    | base\nweb-1 | two\nweb-1 | # \nweb-1 | [off]\ndb    | [off]\nweb-2 | [off]\n')
  })

  it('stops all in order at the first interruption, and pulls the plugs at the second', async () => {
    const hypervisor = fakeHypervisor()
    const { ended, notes, interrupt } = attached(hypervisor)
    await until(() => hypervisor.calls.includes('start web-2'))
    interrupt()
    interrupt()
    expect(await ended).toBe(0)
    expect(hypervisor.calls.slice(7).sort()).toEqual([...NAMES.map((name) => `stop ${name} 0`), ...NAMES.map((name) => `stop ${name} 10000`)].sort())
    expect(notes[0]).toBe('Stopping. Ctrl-C again pulls the plugs.')
  })

  it('ends with 1 when a machine failed, and says why', async () => {
    const hypervisor = fakeHypervisor()
    const { ended, notes } = attached(hypervisor)
    await until(() => hypervisor.calls.includes('start web-2'))
    hypervisor.end('db', 0, 'uart0: a bug')
    for (const name of ['web-1', 'web-2']) hypervisor.end(name, 0)
    expect(await ended).toBe(1)
    expect(notes).toContain('db: failed: uart0: a bug')
  })

  it('goes on while a machine that ended is started again', async () => {
    const hypervisor = fakeHypervisor()
    const { ended } = attached(hypervisor)
    await until(() => hypervisor.calls.includes('start web-2'))
    hypervisor.end('db', 0)
    await hypervisor.start('db')
    for (const name of ['web-1', 'web-2']) hypervisor.end(name, 0)
    const early = await Promise.race([ended, new Promise((resolve) => { setTimeout(resolve, 20, 'goes on') })])
    expect(early).toBe('goes on')
    hypervisor.end('db', 0)
    expect(await ended).toBe(0)
  })
})

describe('what a guest writes', () => {
  it.each([
    ['plain\r', 'plain'], ['12 %\r99 %\r', '99 %'], ['\u001b[2J\u001b[1;1Hhome', 'home'], ['\u001b]0;title\u0007text', 'text'], ['\u001b[6n\u001bcx', 'x'], ['a\tb', 'a        b'],
    ['\u001b[31mred', 'red'], ['\u0007bell\0\u009b2J', 'bell2J'], ['\u001b[', ''], ['grüße 😀', 'grüße 😀'],
  ])('%j is shown as %j', (given, shown) => {
    expect(calmLine(given, false)).toBe(shown)
  })
  it('keeps its colours where there are colours', () => {
    expect(calmLine('a \u001b[1;31mred\u001b[0m\u001b[2K', true)).toBe('a \u001b[1;31mred\u001b[0m\u001b[0m')
  })
  it('comes in pieces of any size, and in lines that end', () => {
    const lines: string[] = []
    const sink = new PrefixedLines(['a'], (text) => { lines.push(text) }, false).of('a')
    for (const byte of new TextEncoder().encode('grüße €\n😀')) sink.push(Uint8Array.of(byte))
    sink.push(new TextEncoder().encode('x'.repeat(5000)))
    sink.end()
    // 😀 is four bytes and two letters of JavaScript.
    expect(lines.map((line) => line.length - 'a | \n'.length)).toEqual([7, 4094, 908])
    expect(lines[0]).toBe('a | grüße €\n')
  })
})
