import type { NetPort } from '@machinist/api'
import type { HostLoop } from '@machinist/machine'
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest'
import { relayNetwork } from './relay.ts'

/** A loop whose time passes when a test says so. */
class Loop implements HostLoop {
  time = 0
  readonly #timers = new Set<{ readonly due: number; readonly callback: () => void }>()
  now(): number { return this.time }
  soon(callback: () => void): void { callback() }
  after(ns: number, callback: () => void): () => void {
    const timer = { due: this.time + ns, callback }
    this.#timers.add(timer)
    return () => { this.#timers.delete(timer) }
  }

  /** In steps of a second. */
  pass(seconds: number): void {
    for (const end = this.time + seconds * 1e9; this.time < end;) {
      this.time += 1e9
      for (const timer of [...this.#timers]) if (timer.due <= this.time && this.#timers.delete(timer)) timer.callback()
    }
  }
}

class FakeSocket {
  static readonly made: FakeSocket[] = []
  static refuses = false
  readyState = 0
  bufferedAmount = 0
  readonly sent: Uint8Array[] = []
  onopen: (() => void) | null = null
  onclose: (() => void) | null = null
  onmessage: ((event: { readonly data: unknown }) => void) | null = null
  constructor() {
    if (FakeSocket.refuses) throw new Error('an insecure connection')
    FakeSocket.made.push(this)
  }

  send(bytes: Uint8Array): void { this.sent.push(bytes) }
  // Of a peer that is gone, a browser waits a minute for the other close.
  close(): void { this.readyState = 2 }
  open(): void {
    this.readyState = 1
    this.onopen?.()
  }
}

beforeEach(() => {
  FakeSocket.made.length = 0
  FakeSocket.refuses = false
  vi.stubGlobal('WebSocket', FakeSocket)
  return () => { vi.unstubAllGlobals() }
})

function network(): { readonly port: NetPort; readonly loop: Loop; readonly warned: string[]; readonly links: boolean[] } {
  const loop = new Loop()
  const warned: string[] = []
  const links: boolean[] = []
  const backend = relayNetwork({ url: 'ws://192.0.2.1:8022/' }, { part: 'net0.net', loop, warn: (message) => { warned.push(message) } })
  const port = backend.connect((callback) => { callback() })
  port.listen({ readable: () => undefined, writable: () => undefined, linkChanged: () => { links.push(port.link) } })
  onTestFinished(() => backend.close?.())
  return { port, loop, warned, links }
}

it('the cable is out until the relay has answered, and when it is gone', () => {
  const { port, loop, links } = network()
  expect(port.link).toBe(false)
  const [socket] = FakeSocket.made
  socket?.open()
  expect(port.link).toBe(true)
  const frame = Uint8Array.from({ length: 60 }, (_, at) => at < 6 ? 255 : 2)
  port.send({ bytes: frame })
  expect(socket?.sent).toEqual([frame])
  socket?.onclose?.()
  loop.pass(2)
  FakeSocket.made[1]?.open()
  expect(links).toEqual([true, false, true])
})

it('a relay that says nothing for 45 s is gone, and another one is looked for; one that says that it is there is not', () => {
  const { port, loop, warned } = network()
  const [first] = FakeSocket.made
  first?.open()
  for (let beat = 0; beat < 20; beat++) {
    loop.pass(15)
    first?.onmessage?.({ data: new ArrayBuffer(0) })
  }
  expect([port.link, warned.length, FakeSocket.made.length]).toEqual([true, 0, 1])
  loop.pass(46)
  expect([port.link, warned.length, first?.readyState]).toEqual([false, 1, 2])
  loop.pass(2)
  FakeSocket.made[1]?.open()
  // What becomes of the first is nobody's concern any more.
  first?.onclose?.()
  expect([port.link, warned.length, FakeSocket.made.length]).toEqual([true, 1, 2])
})

it('an answer that never comes is waited for as long', () => {
  const { loop, warned } = network()
  loop.pass(50)
  expect([warned.length, FakeSocket.made.length]).toEqual([1, 2])
})

it('where the browser does not connect at all, this is an error at first, and a relay that is gone later', () => {
  FakeSocket.refuses = true
  expect(() => network()).toThrow(expect.objectContaining({ code: 'backend-option', part: 'net0.net', value: 'ws://192.0.2.1:8022/' }) as Error)
  FakeSocket.refuses = false
  const { port, loop, warned } = network()
  FakeSocket.made[0]?.open()
  FakeSocket.refuses = true
  FakeSocket.made[0]?.onclose?.()
  loop.pass(10)
  expect([port.link, warned.length]).toEqual([false, 4])
  FakeSocket.refuses = false
  loop.pass(10)
  FakeSocket.made[1]?.open()
  expect(port.link).toBe(true)
})
