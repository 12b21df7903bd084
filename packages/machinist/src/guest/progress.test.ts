import { afterEach, expect, it, vi } from 'vitest'
import { step } from './apt.ts'
import { terminalProgress } from './progress.ts'

afterEach(() => { vi.unstubAllEnvs() })

function record(stream: { isTTY?: boolean; columns?: number }, now?: () => number): { text: () => string; shown: ReturnType<typeof terminalProgress> } {
  let text = ''
  return { text: () => text, shown: terminalProgress({ ...stream, write: (more) => (text += more) }, now) }
}

it('updates one line of a terminal, never wider than it is, and takes it away', () => {
  vi.stubEnv('TERM', 'xterm')
  const { text, shown } = record({ isTTY: true, columns: 51 })
  shown.progress('Downloading', 0.5)
  shown.progress('Downloading', 0.5)
  shown.progress('A step with a description that is very long indeed', 1)
  shown.progress('A step with a description that is very long indeed')
  shown.done()
  const lines = text().split('\r\u001b[K').slice(1)
  expect(lines).toEqual(['Downloading [########........] 50 %', 'A step with a description [################] 100 %', 'A step with a description that is very long indeed', ''])
  expect(Math.max(...lines.map((line) => line.length))).toBe(50)
  expect(text()).not.toContain('\n')
})

it('shows how far it is even where a terminal is narrow', () => {
  vi.stubEnv('TERM', 'xterm')
  const { text, shown } = record({ isTTY: true, columns: 20 })
  shown.progress('Downloading packages', 0.42)
  expect(text()).toBe('\r\u001b[KDownloading pa 42 %')
})

it.each([[{}, 'xterm'], [{ isTTY: true }, 'dumb']])('writes plain lines where there is no terminal, none twice', (stream, term) => {
  vi.stubEnv('TERM', term)
  let time = 0
  const { text, shown } = record(stream, () => time)
  for (const fraction of [undefined, 0, 0.3, 0.5, 1]) shown.progress('Short', fraction)
  shown.progress('Long')
  for (let fraction = 0; fraction <= 1; fraction += 1 / 64) {
    shown.progress('Long', fraction)
    time += 300
  }
  shown.progress('Short')
  shown.done()
  shown.progress('Short', 0.5)
  expect(text()).toBe('Short\nLong\nLong: 26 %\nLong: 53 %\nLong: 79 %\n')
})

it('tells a step once for each percent', () => {
  const told: [string, (number | undefined)?][] = []
  const done = step((...args) => { told.push(args) }, 'Reading')
  for (let thousandth = 0; thousandth <= 30; thousandth++) done(thousandth / 1000)
  expect(told).toEqual([['Reading'], ['Reading', 0], ['Reading', 0.01], ['Reading', 0.02], ['Reading', 0.03]])
})
