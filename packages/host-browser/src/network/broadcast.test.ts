import { type Backend, type NetPort, allOffloads } from '@machinist/api'
import type { HostLoop } from '@machinist/machine'
import { expect, onTestFinished, test, vi } from 'vitest'
import { broadcastNetwork } from './broadcast.ts'

/** A loop whose turns, and whose time, a test may hold up. */
class Loop implements HostLoop {
  time = 0
  held = false
  readonly #waiting: (() => void)[] = []
  readonly #timers = new Set<{ readonly due: number; readonly callback: () => void }>()
  now(): number { return this.time }
  soon(callback: () => void): void {
    this.#waiting.push(callback)
    setImmediate(() => { if (!this.held) this.run() })
  }

  run(): void {
    for (const callback of this.#waiting.splice(0)) callback()
  }

  after(ns: number, callback: () => void): () => void {
    const timer = { due: this.time + ns, callback }
    this.#timers.add(timer)
    return () => { this.#timers.delete(timer) }
  }

  pass(ns: number): void {
    this.time += ns
    for (const timer of [...this.#timers]) if (timer.due <= this.time && this.#timers.delete(timer)) timer.callback()
  }
}

function station(network: string, part: string): { readonly port: NetPort; readonly heard: Uint8Array[]; readonly loop: Loop; readonly backend: Backend<NetPort> } {
  const loop = new Loop()
  const backend: Backend<NetPort> = broadcastNetwork(network, { part, loop })
  const port = backend.connect((callback) => { queueMicrotask(callback) })
  const heard: Uint8Array[] = []
  port.accept(allOffloads)
  port.listen({
    readable() {
      for (let frame = port.receive(); frame !== null; frame = port.receive()) {
        expect([frame.checksum, frame.segmentation]).toEqual([undefined, undefined])
        heard.push(frame.bytes)
      }
    },
    writable: () => undefined,
    linkChanged: () => undefined,
  })
  onTestFinished(() => backend.close?.())
  return { port, heard, loop, backend }
}

/** From a station to another one, or to all. */
function frame(from: number, to: number | null, payload: readonly number[], length = 60): Uint8Array {
  const bytes = new Uint8Array(length)
  bytes.set(to === null ? [255, 255, 255, 255, 255, 255] : [2, 0, 0, 0, 0, to])
  bytes.set([2, 0, 0, 0, 0, from, 0x88, 0xb5, ...payload], 6)
  return bytes
}

/** What a frame carries first, and whose it is. */
const gist = (bytes: Uint8Array): readonly [number | undefined, number | undefined] => [bytes[11], bytes[14]]

/** Sends until it comes: stations find one another meanwhile. */
async function meet(...all: readonly ReturnType<typeof station>[]): Promise<void> {
  for (const [at, one] of all.entries()) {
    await vi.waitFor(() => {
      one.port.send({ bytes: frame(at + 1, null, [0]) })
      for (const other of all) if (other !== one) expect(other.heard.some((bytes) => bytes[11] === at + 1)).toBe(true)
    }, { timeout: 10_000 })
  }
  await quiet()
  for (const { heard } of all) heard.length = 0
}

const quiet = (): Promise<void> => new Promise((resolve) => { setTimeout(resolve, 50) })

test('frames go where their address was heard, those for all to all who name the network, and none comes twice', async () => {
  const network = `test ${Math.random()}`
  const [one, two, three, stranger] = [station(network, 'one'), station(network, 'two'), station(network, 'three'), station(`${network} of others`, 'stranger')]
  await meet(one, two, three)
  one.port.send({ bytes: frame(1, null, [10]) })
  two.port.send({ bytes: frame(2, 3, [20]) })
  three.port.send({ bytes: frame(3, 1, [30]) })
  await vi.waitFor(() => { expect([one, two, three].map(({ heard }) => heard.map(gist))).toEqual([[[3, 30]], [[1, 10]], expect.arrayContaining([[1, 10], [2, 20]])]) })
  await quiet()
  expect([one, two, three].map(({ heard }) => heard.length)).toEqual([1, 1, 2])
  expect(stranger.heard).toEqual([])
})

test('whatever another page of the origin says is a plain frame, or nothing', async () => {
  const network = `test ${Math.random()}`
  const one = station(network, 'one')
  const title = `machinist:switch:${network}`
  const hall = new BroadcastChannel(title)
  onTestFinished(() => { hall.close() })
  let id = ''
  hall.onmessage = (event: unknown) => { id = (event as { readonly data: { readonly from: string } }).data.from }
  for (const message of [null, 7, 'x', {}, { from: 'x' }, { from: 3 }, { from: 'f'.repeat(33) }]) hall.postMessage(message)
  const own = 'f'.repeat(32)
  hall.postMessage({ from: own })
  await vi.waitFor(() => { expect(id).not.toBe('') })
  const line = new BroadcastChannel(`${title}:${[id, own].sort().join(':')}`)
  onTestFinished(() => { line.close() })
  const bytes = frame(9, null, [1])
  const shared = new Uint8Array(new SharedArrayBuffer(20))
  for (const message of [null, 7, 'x', {}, { bytes }, { taken: 'x' }, { taken: -1 }, { taken: NaN }, { taken: 1e300 }, { gone: 7 }, [bytes], shared, bytes.slice(0, 13), new Uint8Array(70_000), new Uint16Array(20), new Uint8Array(new ArrayBuffer(1000), 0, 60)]) line.postMessage(message)
  line.postMessage(bytes)
  await vi.waitFor(() => { expect(one.heard.map(gist)).toEqual([[9, 1]]) })
})

test('what waits for a station that takes nothing is bounded, holds up no other, and it is met again when it goes on', async () => {
  const network = `test ${Math.random()}`
  const [one, slow, quick] = [station(network, 'one'), station(network, 'slow'), station(network, 'quick')]
  await meet(one, slow, quick)
  let posted = 0
  const gone: unknown[] = []
  const { postMessage } = BroadcastChannel.prototype
  vi.spyOn(BroadcastChannel.prototype, 'postMessage').mockImplementation(function (this: BroadcastChannel, message: unknown) {
    if (message instanceof Uint8Array) posted += message.length
    else if (typeof message === 'object' && message !== null && 'gone' in message) gone.push(message.gone)
    postMessage.call(this, message)
  })
  onTestFinished(() => { vi.restoreAllMocks() })
  slow.loop.held = true
  // Many times what may be on its way and what may wait for it, to its address alone.
  for (let sent = 0; sent < 6000; sent++) {
    one.port.send({ bytes: frame(1, 2, [sent & 255], 1500) })
    if (sent % 100 === 99) await new Promise((resolve) => { setImmediate(resolve) })
  }
  await quiet()
  expect(posted).toBeGreaterThan(900_000)
  expect(posted).toBeLessThan(1.1 * (1 << 20))
  one.port.send({ bytes: frame(1, 3, [77]) })
  await vi.waitFor(() => { expect(quick.heard.map(gist)).toEqual([[1, 77]]) })
  // It goes on: what waited comes, and what is sent then.
  slow.loop.held = false
  slow.loop.run()
  await vi.waitFor(() => { expect(slow.heard.length).toBeGreaterThan(900) })
  await quiet()
  one.port.send({ bytes: frame(1, 2, [99]) })
  await vi.waitFor(() => { expect(gist(slow.heard.at(-1) ?? new Uint8Array())).toEqual([1, 99]) })
  // It does not go on for half a minute: it is forgotten.
  slow.loop.held = true
  for (let sent = 0; sent < 2000; sent++) {
    one.port.send({ bytes: frame(1, 2, [1], 1500) })
    if (sent % 100 === 99) await new Promise((resolve) => { setImmediate(resolve) })
  }
  await quiet()
  one.loop.pass(29e9)
  expect(gone).toEqual([])
  one.loop.pass(2e9)
  expect(gone).toEqual(['lost'])
  slow.loop.held = false
  slow.loop.run()
  await meet(one, slow)
})
