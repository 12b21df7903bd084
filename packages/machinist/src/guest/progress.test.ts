import { expect, it } from 'vitest'
import { terminalProgress } from './progress.ts'

function record(stream: { isTTY?: boolean; columns?: number }): { text: () => string; shown: ReturnType<typeof terminalProgress> } {
  let text = ''
  return { text: () => text, shown: terminalProgress({ ...stream, write: (more) => (text += more) }) }
}

it('updates one line of a terminal, never wider than it is, and takes it away', () => {
  const { text, shown } = record({ isTTY: true, columns: 40 })
  shown.progress('Downloading', 0.5)
  shown.progress('Downloading', 0.5)
  shown.progress('A step with a very long description indeed', 1)
  shown.done()
  const lines = text().split('\r\u001b[K').slice(1)
  expect(lines).toEqual(['Downloading [########........] 50 %', 'A step with a very long description ind', ''])
  expect(text()).not.toContain('\n')
})

it('writes a line for each step where there is no terminal', () => {
  const { text, shown } = record({})
  for (const fraction of [0, 0.5, 1]) shown.progress('Downloading', fraction)
  shown.progress('Extracting')
  shown.done()
  expect(text()).toBe('Downloading\nExtracting\n')
})
