import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ToPage, ToWorker } from '../protocol.ts'
import { type MachineWorkerHandle, openMachine, type OpenMachineOptions } from './machine.ts'

/** A worker that is told what to say. */
class FakeWorker implements MachineWorkerHandle {
  readonly asked: string[] = []
  ended = false
  /** Whether its program comes. */
  loads = true
  /** What it does not answer. */
  silent: readonly string[] = []
  readonly #listeners = new Map<string, ((event: never) => void)[]>()

  addEventListener(type: string, listener: (event: never) => void): void {
    this.#listeners.set(type, [...this.#listeners.get(type) ?? [], listener])
    if (type === 'message' && this.loads) queueMicrotask(() => { this.say({ type: 'ready' }) })
  }

  emit(type: string, event: unknown): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event as never)
  }

  say(data: ToPage): void { this.emit('message', { data }) }

  state(from: string, to: string): void { this.say({ type: 'news', what: 'state', news: { from, to } }) }

  postMessage(message: ToWorker): void {
    this.asked.push(message.type === 'ask' ? message.what : message.type)
    if (message.type !== 'ask' || this.silent.includes(message.what) || this.ended) return
    const answer = message.what === 'make' ? { name: 'fake', consoles: ['uart0.console'] } : null
    queueMicrotask(() => { this.say({ type: 'answer', id: message.id, answer }) })
  }

  terminate(): void { this.ended = true }
}

class FakeDocument extends EventTarget {
  visibilityState: 'visible' | 'hidden' = 'visible'
  turn(to: 'visible' | 'hidden'): void {
    this.visibilityState = to
    this.dispatchEvent(new Event('visibilitychange'))
  }
}

let page: FakeDocument
const virt = { board: 'virt' } as const

beforeEach(() => {
  page = new FakeDocument()
  vi.stubGlobal('location', { href: 'http://page.invalid/here/' })
  vi.stubGlobal('document', page)
})

afterEach(() => { vi.unstubAllGlobals() })

function open(options: OpenMachineOptions = {}, silent: readonly string[] = []): { readonly worker: FakeWorker; readonly machine: ReturnType<typeof openMachine> } {
  const worker = new FakeWorker()
  worker.silent = silent
  return { worker, machine: openMachine(virt, { worker: () => worker, ...options }) }
}

describe('what cannot be opened is told by typed errors', () => {
  test('a worker that browsers refuse at once', async () => {
    const error = await openMachine(virt, { worker: () => { throw Object.assign(new Error('another origin'), { name: 'SecurityError' }) } }).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'worker-failed', value: 'another origin' })
  })

  test('a worker that does not load', async () => {
    const { worker, machine } = open({}, ['make', 'dispose'])
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    worker.emit('error', { message: 'no such file' })
    const failed = expect(machine).rejects.toMatchObject({ code: 'worker-failed', value: 'no such file' })
    await vi.advanceTimersByTimeAsync(6000)
    vi.useRealTimers()
    await failed
    expect(worker.ended).toBe(true)
  })

  test.each([['http://'], ['https://a b/']])('the URL %j, or a base like that', async (url) => {
    await expect(openMachine(url)).rejects.toMatchObject({ code: 'machine-load', value: url })
    const { worker, machine } = open({ base: url })
    await expect(machine).rejects.toMatchObject({ code: 'machine-load', value: url })
    expect(worker.asked).toEqual([])
  })
})

test('what is asked of a worker that failed fails as it did', async () => {
  const { worker, machine } = open()
  const opened = await machine
  worker.emit('error', { message: 'out of memory' })
  await expect(opened.stats()).rejects.toMatchObject({ code: 'worker-failed', value: 'out of memory' })
  // It may have disks to close even so.
  await opened.dispose()
  expect(worker.asked).toEqual(['make', 'dispose'])
  expect(worker.ended).toBe(true)
})

describe('what is given up', () => {
  test('while its description does not come', async () => {
    vi.stubGlobal('fetch', (_: URL, { signal }: { readonly signal: AbortSignal }) => new Promise((_resolve, reject) => { signal.addEventListener('abort', () => { reject(signal.reason as Error) }) }))
    const wanted = new AbortController()
    const machine = expect(openMachine('machine.json', { signal: wanted.signal })).rejects.toMatchObject({ code: 'disposed' })
    wanted.abort()
    await machine
  })

  test('while its worker does not come', async () => {
    const worker = new FakeWorker()
    worker.loads = false
    const wanted = new AbortController()
    const machine = expect(openMachine(virt, { worker: () => worker, signal: wanted.signal })).rejects.toMatchObject({ code: 'disposed' })
    wanted.abort()
    await machine
    expect(worker.ended).toBe(true)
    expect(worker.asked).toEqual([])
  })

  test('before it began makes no worker', async () => {
    const { worker, machine } = open({ signal: AbortSignal.abort() })
    await expect(machine).rejects.toMatchObject({ code: 'disposed' })
    expect(worker.asked).toEqual([])
  })

  test('while it loads ends its worker', async () => {
    const giving = new AbortController()
    const { worker, machine } = open({ signal: giving.signal }, ['make'])
    await vi.waitFor(() => { expect(worker.asked).toEqual(['make']) })
    giving.abort()
    await expect(machine).rejects.toMatchObject({ code: 'disposed' })
    expect(worker.asked).toEqual(['make', 'dispose'])
    expect(worker.ended).toBe(true)
  })

  test('leaves nobody waiting who asked before', async () => {
    const { worker, machine } = open({}, ['stats'])
    const opened = await machine
    const stats = expect(opened.stats()).rejects.toMatchObject({ code: 'disposed' })
    await opened.dispose()
    await stats
    await expect(opened.stats()).rejects.toMatchObject({ code: 'disposed' })
    expect(worker.ended).toBe(true)
  })
})

test('what nobody sees stands still, from the start and after the browser froze it, if so told', async () => {
  page.visibilityState = 'hidden'
  const { worker, machine } = open({ whenHidden: 'pause' })
  const opened = await machine
  const asked = async (): Promise<readonly string[]> => {
    await new Promise((resolve) => { setTimeout(resolve, 0) })
    return worker.asked.splice(0)
  }
  await asked()
  worker.state('created', 'running')
  expect(await asked()).toEqual(['pause'])
  worker.state('running', 'paused')
  page.dispatchEvent(new Event('resume'))
  expect(await asked()).toEqual([])
  page.turn('visible')
  expect(await asked()).toEqual(['resume'])
  worker.state('paused', 'running')
  // One that its user paused is left alone.
  worker.state('running', 'paused')
  page.turn('hidden')
  page.turn('visible')
  expect(await asked()).toEqual([])
  await opened.dispose()
  worker.asked.splice(0)
  worker.state('paused', 'running')
  page.turn('hidden')
  expect(await asked()).toEqual([])
})
