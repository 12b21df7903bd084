import { isMachinistError, machinistError } from '@machinist/api'
import type { MachineState, MachineStats } from '@machinist/machine'
import { cpuOf, type MachineDescription, type WorkerCpu } from '../description.ts'
import type { RelayChoice } from '../network/relay.ts'
import { type Answers, type Asks, errorOf, type MachineNews, type PlainError, type TerminalSize, type ToPage, type ToWorker } from '../protocol.ts'

/** A worker, as a page has it. */
export interface MachineWorkerHandle {
  postMessage(message: ToWorker, transfer?: readonly ArrayBuffer[]): void
  terminate(): void
  addEventListener(type: string, listener: (event: never) => void): void
}

/** What a machine that is opened may be told. */
export interface OpenMachineOptions {
  /** What relative URLs of the description are relative to: its own URL, or the page's, unless given. */
  readonly base?: string | URL
  /** Files that the user picked or dropped, by the names that the description has for them. */
  readonly files?: Readonly<Record<string, Blob>>
  /** Makes the worker, where it is not found beside this package's program: a module worker of `riscv.worker.js` or `x86.worker.js`. */
  readonly worker?: (cpu: WorkerCpu) => MachineWorkerHandle
  /** Size of the terminal, in characters. */
  readonly size?: TerminalSize
  /**
   * A relay (`machinist relay`), by its URL as `'ws://127.0.0.1:8022/'`, with the token that it wants: the way out of networks that are described as `'relay'`, of a ready-made machine that is described without networks, and, of one that was saved, of
   * networks that pages have not, and of relays, which its file cannot name.
   */
  readonly relay?: string | RelayChoice
  /** Told of images that are being loaded. */
  readonly onProgress?: (progress: MachineNews['progress']) => void
  /** What happens while nobody sees the page: `'run'` unless given. What is paused, and what the browser freezes, stands still, its clock too. */
  readonly whenHidden?: 'run' | 'pause'
  /** Gives up what is being opened: it is disposed of, and `openMachine` throws `'disposed'`. Does nothing once it is open. */
  readonly signal?: AbortSignal
}

/** A machine in a worker of this page. */
export interface PageMachine {
  readonly name: string
  readonly state: MachineState
  /** Consoles of the guest, by part and port; the first one is where it is typed to unless said otherwise. */
  readonly consoles: readonly string[]
  /**
   * Adds a listener; returns the function that removes it. Output that a listener is slow with makes the guest wait: until the promises are settled that
   * listeners of `output` return.
   */
  on<Name extends keyof MachineNews>(name: Name, listener: (event: MachineNews[Name]) => void | Promise<void>): () => void
  start(): Promise<void>
  pause(): Promise<void>
  resume(): Promise<void>
  /** As a reset button does. */
  reset(): Promise<void>
  /** Switches it off at once, as pulling the plug does. */
  powerOff(): Promise<void>
  /** @returns false when it has no power button, or does not run */
  pressPowerButton(): Promise<boolean>
  /** Types to a console. */
  type(bytes: Uint8Array | string, console?: string): void
  /** The terminal has another size, in characters. */
  resize(size: TerminalSize): void
  stats(): Promise<MachineStats>
  /**
   * Saves all of it but its disks' files, while it goes on: a file that `openMachine`, here or elsewhere, and `machinist restore` go on from. With `compressed: false` it is there sooner, and larger.
   */
  snapshot(options?: { readonly compressed?: boolean }): Promise<Blob>
  /** Resolves when it is off or disposed of; to the status, and the error if a part failed. */
  finished(): Promise<{ readonly status: number; readonly error: Error | null }>
  /** Ends it, closes its disks in good order, and ends its worker. Does nothing the second time. */
  dispose(): Promise<void>
}

/** @throws a typed error `'worker-failed'`: browsers refuse workers of other origins, and those that a policy forbids, at once */
function makeWorker(cpu: WorkerCpu, make: (cpu: WorkerCpu) => MachineWorkerHandle): MachineWorkerHandle {
  try {
    return make(cpu)
  } catch (error) {
    throw workerFailed(error instanceof Error ? error.message : String(error))
  }
}

function workerFailed(value: string): Error {
  return machinistError({ code: 'worker-failed', part: 'worker', value, remedy: 'Serve riscv.worker.js and x86.worker.js beside the program, from its own origin, or give worker.' }, "the machine's worker does not run")
}

/** The worker beside this program. Bundlers know the form of these two, and bring the worker along. */
function ownWorker(cpu: WorkerCpu): MachineWorkerHandle {
  const { Worker } = globalThis as unknown as { readonly Worker: new (url: URL, options: { readonly type: 'module'; readonly name?: string }) => MachineWorkerHandle }
  return cpu === 'x86'
    ? new Worker(new URL('./x86.worker.js', import.meta.url), { type: 'module' })
    : new Worker(new URL('./riscv.worker.js', import.meta.url), { type: 'module' })
}

type Listener = (event: never) => void | Promise<void>

/** For how long a worker may close its disks, in milliseconds. */
const PATIENCE = 5000

/** {@link PageMachine}. */
class WorkerMachine implements PageMachine {
  name = ''
  consoles: readonly string[] = []
  state: MachineState = 'created'
  readonly #worker: MachineWorkerHandle
  readonly #listeners = new Map<keyof MachineNews, Set<Listener>>()
  readonly #asked = new Map<number, { readonly resolve: (answer: never) => void; readonly reject: (error: Error) => void }>()
  readonly #ready: Promise<void>
  /** Ends the wait for a worker; does nothing when it has come. */
  #refuse: (error: Error) => void = () => undefined
  /** What became of a worker that is of no use any more. */
  #lost: Error | null = null
  #last = 0
  #status = 0
  #error: Error | null = null
  #disposing: Promise<void> | null = null
  readonly #ended: (() => void)[] = []
  /** Undoes what was done to the page. */
  readonly undo: (() => void)[] = []

  constructor(worker: MachineWorkerHandle) {
    this.#worker = worker
    this.#ready = new Promise((resolve, reject) => {
      this.#refuse = reject
      worker.addEventListener('message', ({ data }: { readonly data: ToPage }) => {
        if (data.type === 'ready') resolve()
        else this.#hear(data)
      })
      const failed = (event: { readonly message?: string }): void => {
        const error = workerFailed(event.message ?? 'it did not load')
        reject(error)
        this.#fail(error)
      }
      worker.addEventListener('error', failed)
      worker.addEventListener('messageerror', failed)
    })
    this.#ready.catch(() => undefined)
  }

  async ask<What extends keyof Asks>(what: What, ask: Asks[What]): Promise<Answers[What]> {
    await this.#ready
    // It may live on, and have disks to close.
    if (this.#lost !== null && what !== 'dispose') throw this.#lost
    if (this.#disposing !== null && what !== 'dispose') throw this.#disposed()
    return new Promise((resolve, reject) => {
      const id = ++this.#last
      this.#asked.set(id, { resolve, reject })
      this.#worker.postMessage({ type: 'ask', id, what, with: ask })
    })
  }

  #hear(message: Exclude<ToPage, { readonly type: 'ready' }>): void {
    if (message.type === 'news') {
      this.#tell(message.what, message.what === 'error' ? { error: errorOf(message.news as PlainError) } : message.news as never)
      return
    }
    const asked = this.#asked.get(message.id)
    this.#asked.delete(message.id)
    if (message.type === 'answer') asked?.resolve(message.answer as never)
    else asked?.reject(errorOf(message.error))
  }

  #tell<Name extends keyof MachineNews>(name: Name, event: MachineNews[Name]): void {
    if (name === 'state') this.#enter((event as MachineNews['state']).to)
    if (name === 'power') this.#status = (event as MachineNews['power']).status
    if (name === 'error') this.#error = (event as MachineNews['error']).error
    const waits: Promise<void>[] = []
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        const wait = listener(event as never)
        if (wait !== undefined) waits.push(wait.catch(report))
      } catch (error) {
        report(error)
      }
    }
    if (name !== 'output') return
    const { part, bytes } = event as MachineNews['output']
    const taken = (): void => { this.#worker.postMessage({ type: 'taken', part, count: bytes.length }) }
    if (waits.length === 0) taken()
    else void Promise.all(waits).then(taken)
  }

  #enter(state: MachineState): void {
    this.state = state
    if (state === 'off' || state === 'disposed') for (const end of this.#ended.splice(0)) end()
  }

  /** Its worker is of no use any more. */
  #fail(error: Error): void {
    this.#error = this.#lost = error
    for (const { reject } of this.#asked.values()) reject(error)
    this.#asked.clear()
    this.#tell('error', { error })
    this.#enter('off')
  }

  on<Name extends keyof MachineNews>(name: Name, listener: (event: MachineNews[Name]) => void | Promise<void>): () => void {
    const all = this.#listeners.get(name) ?? new Set<Listener>()
    this.#listeners.set(name, all)
    all.add(listener)
    return () => { all.delete(listener) }
  }

  async start(): Promise<void> { await this.ask('start', null) }
  async pause(): Promise<void> { await this.ask('pause', null) }
  async resume(): Promise<void> { await this.ask('resume', null) }
  async reset(): Promise<void> { await this.ask('reset', null) }
  async powerOff(): Promise<void> { await this.ask('powerOff', null) }
  pressPowerButton(): Promise<boolean> { return this.ask('pressPowerButton', null) }
  stats(): Promise<MachineStats> { return this.ask('stats', null) }
  snapshot({ compressed = true }: { readonly compressed?: boolean } = {}): Promise<Blob> { return this.ask('snapshot', { compressed }) }

  type(given: Uint8Array | string, console: string | undefined = this.consoles[0]): void {
    if (console !== undefined) this.#worker.postMessage({ type: 'typed', part: console, bytes: typeof given === 'string' ? new TextEncoder().encode(given) : given })
  }

  resize(size: TerminalSize): void {
    this.#worker.postMessage({ type: 'resize', size })
  }

  finished(): Promise<{ readonly status: number; readonly error: Error | null }> {
    const result = (): { readonly status: number; readonly error: Error | null } => ({ status: this.#status, error: this.#error })
    if (this.state === 'off' || this.state === 'disposed') return Promise.resolve(result())
    return new Promise((resolve) => { this.#ended.push(() => { resolve(result()) }) })
  }

  dispose(): Promise<void> {
    if (this.#disposing !== null) return this.#disposing
    // One that has not come yet has nothing to close.
    this.#refuse(this.#disposed())
    this.#disposing = this.#end(this.ask('dispose', null))
    return this.#disposing
  }

  async #end(asked: Promise<null>): Promise<void> {
    for (const each of this.undo.splice(0)) each()
    // One that hangs, or has ended, does not answer.
    await Promise.race([asked.catch(() => undefined), new Promise((resolve) => { setTimeout(resolve, PATIENCE) })])
    this.#worker.terminate()
    const error = this.#disposed()
    for (const { reject } of this.#asked.values()) reject(error)
    this.#asked.clear()
    this.#enter('disposed')
  }

  #disposed(): Error {
    return machinistError({ code: 'disposed', part: this.name || 'machine', remedy: 'Open another one.' }, 'the machine was disposed of')
  }
}

/** What a listener throws is its page's mistake, and no reason for a machine to end. */
function report(error: unknown): void {
  setTimeout(() => { throw error }, 0)
}

/** @throws a typed error `'machine-load'` */
function urlOf(text: string | URL, base: string): URL {
  try {
    return new URL(text, base)
  } catch {
    throw machinistError({ code: 'machine-load', part: 'machine', value: String(text), remedy: 'Give a URL, or a path of this site.' }, 'it is no URL')
  }
}

const givenUp = (): Error => machinistError({ code: 'disposed', part: 'machine', remedy: 'Open another one.' }, 'it was given up before it was open')

/** A description that stands at a URL. @throws typed errors `'machine-load'`, `'disposed'` */
async function descriptionAt(url: URL, signal: AbortSignal | undefined): Promise<MachineDescription> {
  const fail = (value: string | number): Error => machinistError({ code: 'machine-load', part: url.href, value, remedy: 'Check the URL, and that it is JSON.' }, 'the machine cannot be loaded')
  try {
    const response = await fetch(url, signal === undefined ? {} : { signal })
    if (!response.ok) throw fail(response.status)
    return await response.json() as MachineDescription
  } catch (error) {
    if (signal?.aborted === true) throw givenUp()
    throw error instanceof Error && 'code' in error ? error : fail(error instanceof Error ? error.message : String(error))
  }
}

/**
 * Makes a machine in a worker of its own, or opens one that was saved. It does not run yet.
 *
 * @param what - the machine, or the URL of its description
 * @throws typed errors: `'machine-load'`, `'machine-description'`, `'worker-failed'`, `'image-load'`, `'snapshot-…'`, `'disposed'`; as `openBrowserDisks`, `createMachine` and `instantiateStored`
 */
export async function openMachine(what: MachineDescription | string | URL, options: OpenMachineOptions = {}): Promise<PageMachine> {
  const page = (globalThis as unknown as { readonly location: { readonly href: string } }).location.href
  const url = typeof what === 'string' || what instanceof URL ? urlOf(what, page) : null
  const base = urlOf(options.base ?? url ?? page, page).href
  const { signal } = options
  const description = url === null ? what as MachineDescription : await descriptionAt(url, signal)
  const cpu = cpuOf(description)
  const relay = options.relay === undefined ? null : typeof options.relay === 'string' ? { url: options.relay } : options.relay
  const whileWanted = (): void => {
    if (signal?.aborted === true) throw givenUp()
  }
  whileWanted()
  const open = async (cpu: WorkerCpu): Promise<WorkerMachine> => {
    const machine = new WorkerMachine(makeWorker(cpu, options.worker ?? ownWorker))
    if (options.onProgress !== undefined) machine.on('progress', options.onProgress)
    const giveUp = (): void => { void machine.dispose() }
    signal?.addEventListener('abort', giveUp)
    try {
      const { name, consoles, state } = await machine.ask('make', { description, base, files: options.files ?? {}, size: options.size ?? null, relay })
      whileWanted()
      return Object.assign(machine, { name, consoles, state })
    } catch (error) {
      await machine.dispose()
      throw error
    } finally {
      signal?.removeEventListener('abort', giveUp)
    }
  }
  const machine = await open(cpu).catch((error: unknown) => {
    // What CPU a snapshot has is seen when it is open.
    if (isMachinistError(error) && error.code === 'worker-cpu') return open(cpu === 'x86' ? 'riscv' : 'x86')
    throw error
  })
  machine.undo.push(watchPage(machine, options.whenHidden ?? 'run'))
  return machine
}

interface Page {
  readonly visibilityState: 'visible' | 'hidden'
  addEventListener(type: string, listener: () => void): void
  removeEventListener(type: string, listener: () => void): void
}

/** Has a machine stand still while the browser freezes its page, and while nobody sees it, if so told. Returns what ends that. */
function watchPage(machine: PageMachine, whenHidden: 'run' | 'pause'): () => void {
  const { document } = globalThis as unknown as { readonly document?: Page }
  if (document === undefined) return () => undefined
  let held = false
  const hold = (): void => {
    if (machine.state !== 'running') return
    held = true
    void machine.pause().catch(() => undefined)
  }
  const release = (): void => {
    if (!held || (whenHidden === 'pause' && document.visibilityState !== 'visible')) return
    held = false
    void machine.resume().catch(() => undefined)
  }
  const seen = (): void => {
    if (document.visibilityState === 'visible') release()
    else if (whenHidden === 'pause') hold()
  }
  const events = [['visibilitychange', seen], ['freeze', hold], ['resume', release]] as const
  for (const [type, listener] of events) document.addEventListener(type, listener)
  const begins = machine.on('state', ({ to }) => { if (to === 'running') seen() })
  return () => {
    begins()
    for (const [type, listener] of events) document.removeEventListener(type, listener)
  }
}
