import { describe, expect, it, vi } from 'vitest'
import { fakeHypervisor, SPEC, type FakeHypervisor } from '../../../test/fleet/fake-hypervisor.ts'
import type { TopOptions } from '../arguments.ts'
import type { Terminal } from '../terminal.ts'
import { columnsOf, look, type Look, machineRows, poolRows, sorted, sumOf, TOP_COLUMNS } from '@machinist/hypervisor/text'
import { plainText, screenLines } from './screen.ts'
import { keysOf, runTop } from './top.ts'

const MIB = 2 ** 20

async function fleet(): Promise<FakeHypervisor> {
  const hypervisor = fakeHypervisor()
  await hypervisor.addPool({ path: 'night' })
  await hypervisor.addPool({ path: 'night/batch' })
  for (const [name, pool] of [['a', ''], ['b', 'night'], ['c', 'night/batch']] as const) {
    await hypervisor.add({ name, pool, machine: SPEC })
    await hypervisor.start(name)
  }
  return hypervisor
}

/** Two looks, a second apart, between which machines did something. */
async function looks(): Promise<{ readonly hypervisor: FakeHypervisor; readonly before: Look; readonly now: Look }> {
  const hypervisor = await fleet()
  hypervisor.report('a', { cpu: { used: 5e9, ready: 1e9, held: 0 }, retired: 100e6 })
  const before = { ...await look(hypervisor, () => 0), at: 0 }
  hypervisor.report('a', { cpu: { used: 5.25e9, ready: 1.5e9, held: 0.125e9 }, retired: 150e6, network: { sentBytes: 1024, receivedBytes: 2048, frames: 3 } })
  hypervisor.report('b', { cpu: { used: 0.5e9, ready: 0, held: 0 }, memory: { touched: 1024, own: 256, shared: 512, merged: 2560, ballooned: 5120, compressed: 1, swapped: 0 } })
  hypervisor.report('c', { cpu: { used: 1e9, ready: 0, held: 0 }, disk: { readBytes: 3 * MIB, writtenBytes: MIB, requests: 7 } })
  return { hypervisor, before, now: { ...await look(hypervisor, () => 0), at: 1e9 } }
}

describe('what machines did between two looks', () => {
  it('is in percent of a processor, in bytes, and in a second', async () => {
    const { before, now } = await looks()
    const [a, b, c] = machineRows(now, before)
    expect(a).toMatchObject({ name: 'a', used: 25, ready: 50, held: 12.5, mips: 50, sent: 1024, received: 2048, frames: 3, entitled: 75, lacking: 25, processor: 0, state: 'running' })
    expect(b).toMatchObject({ used: 50, touched: 4 * MIB, own: MIB, shared: 2 * MIB, merged: 10 * MIB, ballooned: 20 * MIB, compressed: 4096, swapped: 0 })
    expect(c).toMatchObject({ used: 100, read: 3 * MIB, written: MIB, requests: 7 })
  })
  it('of a machine that came again under its name is what it has done at all', async () => {
    const { hypervisor, before } = await looks()
    hypervisor.report('a', { cpu: { used: 0.5e9, ready: 0, held: 0 } })
    expect(machineRows({ ...await look(hypervisor, () => 0), at: 1e9 }, before)[0]).toMatchObject({ used: 50, ready: 0 })
  })
  it('is nothing with one look alone', async () => {
    const { now } = await looks()
    expect(machineRows(now, null)[0]).toMatchObject({ used: 0, read: 0 })
  })
  it('of a pool is that of all in it', async () => {
    const { before, now } = await looks()
    expect(poolRows(now, machineRows(now, before))).toMatchObject([{ name: 'night', machines: 2, used: 150, read: 3 * MIB, own: MIB, state: '2 running' }, { name: 'night/batch', pool: 'night', machines: 1, used: 100 }])
    expect(sumOf(machineRows(now, before))).toMatchObject({ used: 175, ready: 50 })
  })
})

describe('the text of a look', () => {
  const time = new Date(2026, 10, 29, 9, 5, 7)
  it('has the host and all machines, sorted', async () => {
    const { before, now } = await looks()
    const text = plainText(now, before, { view: 'all', pools: false, sort: 'used', reverse: false }, time).split('\n')
    expect(text.slice(0, 5)).toEqual([
      'machinist top 09:05:07  3 machines, 3 running',
      'cpu      1.75 of 2 used, 0.50 ready, 0.13 held back',
      'memory   1M of 1G own, 2M shared; merged 10M, balloon 20M, compressed 4K, swapped 0',
      'disk     3M/s read, 1M/s written',
      'network  2K/s received, 1K/s sent',
    ])
    expect(text.slice(7, 10).map((line) => line.slice(0, 1))).toEqual(['c', 'b', 'a'])
    expect(text[6]).toMatch(/^NAME +POOL +STATE +P +%USED +%READY +%HELD +%DUE +%LACK +MIPS +TOUCHED +OWN +SHARED +MERGED +BALLOON +COMPR +SWAP +READ\/s +WRITE\/s +REQ\/s +RECV\/s +SENT\/s +FRAME\/s$/)
  })
  it.each([[80, 24], [40, 10], [200, 50], [20, 3], [1, 1]])('fits a screen of %i by %i', async (width, height) => {
    const { before, now } = await looks()
    for (const help of [false, true]) for (const pools of [false, true]) {
      const { lines } = screenLines(now, before, { view: 'all', pools, sort: 'used', reverse: false, width, height, from: 0, help, delay: 2000, note: null }, time)
      expect(lines.length).toBeLessThanOrEqual(height)
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(width)
    }
  })
  it('shows what is used first in 80 letters', async () => {
    const { before, now } = await looks()
    const { lines, head } = screenLines(now, before, { view: 'all', pools: false, sort: 'used', reverse: false, width: 80, height: 24, from: 0, help: false, delay: 2000, note: null }, time)
    expect(lines[head]).toBe('NAME  STATE    %USED  %READY  %HELD    OWN  READ/s  WRITE/s  RECV/s  SENT/s')
  })
})

it('columns have names and views of their own, and sort from the most to the least', async () => {
  const { before, now } = await looks()
  expect(new Set(TOP_COLUMNS.map(({ key }) => key)).size).toBe(TOP_COLUMNS.length)
  expect(columnsOf('memory', false).map(({ title }) => title)).toEqual(['NAME', 'POOL', 'STATE', 'TOUCHED', 'OWN', 'SHARED', 'MERGED', 'BALLOON', 'COMPR', 'SWAP'])
  expect(columnsOf('io', true).map(({ key }) => key)).toEqual(['name', 'machines', 'state', 'read', 'written', 'requests', 'received', 'sent', 'frames'])
  const rows = machineRows(now, before)
  expect([sorted(rows, 'ready'), sorted(rows, 'used', true), sorted(rows, 'name')].map((each) => each.map(({ name }) => name).join(''))).toEqual(['abc', 'abc', 'abc'])
  expect(sorted([{ ...rows[0], name: 'w-10' }, { ...rows[0], name: 'w-9' }] as never, 'used').map(({ name }) => name)).toEqual(['w-9', 'w-10'])
})

/** A terminal whose keys a test presses; looks come at once. */
function keyboard(interactive: boolean): { readonly terminal: Terminal; press(text: string): void; text(): string; readonly released: string[] } {
  let [keys, text]: [(text: string) => void, string] = [() => {}, '']
  const released: string[] = []
  return {
    text: () => text, released,
    press(pressed) { keys(pressed) },
    terminal: {
      interactive, width: Infinity,
      write(more) { text += more },
      size: () => ({ width: 80, height: 24 }),
      pause: () => new Promise((resolve) => { setTimeout(resolve, 1, true) }),
      raw(listener, _, undo) {
        keys = listener
        return () => {
          undo()
          released.push('raw')
        }
      },
    },
  }
}

const OPTIONS: TopOptions = { mode: 'screen', delay: 2000, count: Infinity, view: 'all', sort: 'used', pools: false, json: false }

describe('machinist top', () => {
  it('draws until q, and gives the terminal back', async () => {
    const { terminal, press, text, released } = keyboard(true)
    const ended = runTop(await fleet(), OPTIONS, terminal)
    await vi.waitUntil(() => text().includes('3 machines, 3 running'))
    expect(text()).toContain('\u001b[?1049h')
    press('p')
    expect(text()).toContain('MACHINES')
    press('h')
    expect(text()).toContain('sort by another column')
    press('h')
    press('m>')
    expect(text()).toContain('by touched'.replace('touched', 'name'))
    press('z')
    expect(text()).toContain('No such key.')
    press('q')
    await ended
    expect(text().endsWith('\u001b[?25h\u001b[?1049l')).toBe(true)
    expect(released).toEqual(['raw'])
  })
  it('gives the terminal back when the hypervisor goes', async () => {
    const { terminal, text, released } = keyboard(true)
    const hypervisor = await fleet()
    let asked = 0
    await expect(runTop({ ...hypervisor, machines: () => ++asked > 1 ? Promise.reject(new Error('gone')) : hypervisor.machines() }, OPTIONS, terminal)).rejects.toThrow('gone')
    expect(text().endsWith('\u001b[?25h\u001b[?1049l')).toBe(true)
    expect(released).toEqual(['raw'])
  })
  it('writes text where nobody sits, as often as is asked', async () => {
    const { terminal, text } = keyboard(false)
    await runTop(await fleet(), { ...OPTIONS, count: 2 }, terminal)
    expect(text().match(/machinist top/g)).toHaveLength(2)
    expect(text()).not.toContain('\u001b')
  })
  it('writes JSON, a line for each look', async () => {
    const { terminal, text } = keyboard(true)
    await runTop(await fleet(), { ...OPTIONS, mode: 'once', count: 1, json: true, pools: true }, terminal)
    expect(JSON.parse(text())).toMatchObject({ rows: [{ name: 'night', machines: 2 }, { name: 'night/batch', machines: 1 }] })
  })
  it('refuses to sort by what there is not', async () => {
    await expect(runTop(await fleet(), { ...OPTIONS, sort: 'raedy' }, keyboard(true).terminal)).rejects.toThrow('Did you mean ready')
  })
  it('knows keys from sequences', () => {
    expect(keysOf('a\u001b[A\u001b[5~q\u001bOB')).toEqual(['a', '\u001b[A', '\u001b[5~', 'q', '\u001b[B'])
  })
})
