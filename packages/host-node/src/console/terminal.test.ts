import { PassThrough } from 'node:stream'
import type { CharPort } from '@machinist/api'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { terminal } from './terminal.ts'

beforeEach(() => { vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }) })
afterEach(() => { vi.useRealTimers() })

interface Piped {
  /** Nanoseconds of the machine. */
  readonly time: { idle: number; all: number }
  readonly port: CharPort
  /** What the guest takes. */
  read(): string
  end(): void
}

/** A guest whose console is a pipe that held `text`. */
async function piped(text: string, tells = true): Promise<Piped> {
  const input = new PassThrough()
  const time = { idle: 0, all: 0 }
  const backend = terminal({ input, output: new PassThrough().resume(), endOfInput: 'eot' })
  const port = backend.connect((callback) => { callback() }, { now: () => time.all, ...(tells && { idle: () => time.idle }), timer: () => ({ arm() {}, cancel() {} }) })
  input.end(text)
  await new Promise((resolve) => { setImmediate(resolve) })
  await new Promise((resolve) => { setImmediate(resolve) })
  const into = new Uint8Array(100)
  return { time, port, read: () => Buffer.from(into.subarray(0, port.read(into))).toString(), end: () => { backend.close() } }
}

/** The host looks, after so many milliseconds of its time in which `idle` and `busy` ones of the guest passed. */
function pass({ time }: Piped, idle: number, busy: number): void {
  for (let n = 0; n < 20; n++) {
    time.idle += idle * 1e6 / 20
    time.all += (idle + busy) * 1e6 / 20
    vi.advanceTimersByTime(100)
  }
}

const say = ({ port }: Piped, text: string): void => { port.write(Buffer.from(text)) }

it('a guest is told of the end when it has taken all, says nothing and waits: not while it boots, however long that takes', async () => {
  const guest = await piped('ls')
  pass(guest, 2000, 0)
  expect(guest.read()).toBe('ls\n')
  // It was long idle, but not since then.
  pass(guest, 0, 3000)
  pass(guest, 100, 1000)
  expect(guest.read()).toBe('')
  say(guest, 'booted')
  pass(guest, 200, 0)
  expect(guest.read()).toBe('')
  pass(guest, 100, 0)
  expect(guest.read()).toBe('\x04')
  // Once, unless it says something.
  pass(guest, 9000, 9000)
  expect(guest.read()).toBe('')
  say(guest, '$ ')
  pass(guest, 1000, 0)
  expect(guest.read()).toBe('\x15\x04')
  guest.end()
})

it('an end behind a line is typed as it is; a guest that never waits is told after a minute of its time', async () => {
  const guest = await piped('ls\n')
  expect(guest.read()).toBe('ls\n')
  pass(guest, 0, 50_000)
  expect(guest.read()).toBe('')
  pass(guest, 0, 20_000)
  expect(guest.read()).toBe('\x04')
  guest.end()
})

it('where nobody tells whether the guest waits, its time decides', async () => {
  const guest = await piped('ls\n', false)
  expect(guest.read()).toBe('ls\n')
  pass(guest, 0, 200)
  expect(guest.read()).toBe('')
  pass(guest, 0, 200)
  expect(guest.read()).toBe('\x04')
  guest.end()
})
