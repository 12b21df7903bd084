/// <reference path="./css.d.ts" />
import { machinistError } from '@machinist/api'
import { type MachineDescription, type MachineNews, type MachineWorkerHandle, openMachine, type PageMachine } from '@machinist/host-browser'
import xterm from '@xterm/xterm/css/xterm.css'
import { dom, type DomNode, type ElementBase } from './dom.ts'
import { openScreen, type Screen } from './screen.ts'
import { adoptStyles } from './styles.ts'

const STYLE = `
:host { display: inline-block; position: relative; background: #000; color: #ddd; padding: 4px; min-width: 20em; min-height: 4em; }
:host([hidden]) { display: none; }
:host([fit]) [part=terminal] { position: absolute; inset: 4px; overflow: hidden; }
[part=status] { position: absolute; inset: auto 0 0 0; padding: 2px 8px; font: 13px system-ui, sans-serif; background: #222c; white-space: pre-wrap; }
[part=status]:empty { display: none; }
`

/** What happens to the machine of an element: an event of each name, whose `detail` is this. */
export interface MachineElementEvents {
  /** The machine was made, and begins. */
  readonly 'machine-open': PageMachine
  readonly 'machine-state': MachineNews['state']
  readonly 'machine-power': MachineNews['power']
  readonly 'machine-progress': MachineNews['progress']
  /** It could not be made, or a part of it failed. */
  readonly 'machine-error': Error
}

/** `<machinist-machine>`. */
export interface MachineElement {
  /** The machine; null before it was made. */
  readonly machine: PageMachine | null
  /** What its terminal shows. */
  readonly text: string
  /** A machine as plain data, in the place of `src`: files that the user picked have the names that it names. */
  load(description: MachineDescription, files?: Readonly<Record<string, Blob>>): Promise<PageMachine>
  focus(): void
  addEventListener<Name extends keyof MachineElementEvents>(type: Name, listener: (event: { readonly detail: MachineElementEvents[Name] }) => void): void
}

const Base: new () => ElementBase = dom.HTMLElement ?? (class {} as unknown as new () => ElementBase)

/** A whole number of an attribute. */
function numberOf(text: string | null, from: number, to: number, otherwise: number): number {
  const value = Number(text ?? NaN)
  return Number.isInteger(value) && value >= from && value <= to ? value : otherwise
}

/**
 * `<machinist-machine src="machine.json" snapshot="booted.snapshot" columns="80" rows="24" fit font-size="14" when-hidden="run" workers="/programs/" relay="ws://127.0.0.1:8022/">`: a machine with a terminal. It is made, or with `snapshot` opened as it was saved, when the element comes into a page,
 * begins at once unless `paused` is there, and ends when the element goes.
 */
class MachinistMachine extends Base implements MachineElement {
  machine: PageMachine | null = null
  #screen: Screen | null = null
  #status: DomNode | null = null
  #end: (() => void) | null = null
  /** Ends what is being loaded: what comes late from something earlier is of no use. */
  #loading = new AbortController()
  /** What was there before has let go of its disks. */
  #left: Promise<unknown> = Promise.resolve()

  get text(): string {
    return this.#screen?.text ?? ''
  }

  connectedCallback(): void {
    const [src, snapshot] = [this.getAttribute('src'), this.getAttribute('snapshot')]
    const what = snapshot === null ? src : { snapshot }
    if (what !== null) this.#load(what, {}).catch(() => undefined)
  }

  disconnectedCallback(): void {
    this.#leave()
  }

  load(description: MachineDescription, files: Readonly<Record<string, Blob>> = {}): Promise<PageMachine> {
    return this.#load(description, files)
  }

  focus(): void {
    this.#screen?.focus()
  }

  #leave(): void {
    this.#loading.abort()
    this.#left = Promise.all([this.#left, this.machine?.dispose()])
    this.#screen?.dispose()
    this.#end?.()
    this.machine = this.#screen = this.#end = null
  }

  /** The shadow tree, empty. */
  #stage(): DomNode {
    const root = this.shadow ??= this.attachShadow({ mode: 'open' })
    for (const node of [...root.querySelectorAll(':scope > *')]) node.remove()
    const [place, status] = [dom.document.createElement('div'), dom.document.createElement('div')]
    place.setAttribute('part', 'terminal')
    status.setAttribute('part', 'status')
    status.setAttribute('role', 'status')
    root.append(place, status)
    this.#status = status
    this.#end = adoptStyles(root, place, [xterm, STYLE])
    return place
  }

  /** Made once. */
  shadow: ReturnType<ElementBase['attachShadow']> | null = null

  #load(what: MachineDescription | string, files: Readonly<Record<string, Blob>>): Promise<PageMachine> {
    this.#leave()
    const before = this.#left
    this.#loading = new AbortController()
    const loading = this.#open(what, files, before, this.#loading.signal)
    this.#left = Promise.all([before, loading.catch(() => undefined)])
    return loading
  }

  async #open(what: MachineDescription | string, files: Readonly<Record<string, Blob>>, before: Promise<unknown>, signal: AbortSignal): Promise<PageMachine> {
    const whileWanted = (): void => {
      if (signal.aborted) throw machinistError({ code: 'disposed', part: 'machine', remedy: 'Wait for the one that was loaded last.' }, 'the element left its page, or loads another machine')
    }
    const size = { columns: numberOf(this.getAttribute('columns'), 20, 500, 80), rows: numberOf(this.getAttribute('rows'), 5, 200, 24) }
    const workers = this.getAttribute('workers')
    const [relay, token] = [this.getAttribute('relay'), this.getAttribute('relay-token')]
    try {
      const stage = this.#stage()
      this.#say('Loading …')
      const opening = openScreen(stage, { size, fontSize: numberOf(this.getAttribute('font-size'), 6, 40, 14) })
      // It comes late to an element that has another one by then.
      void opening.then((late) => { if (signal.aborted) late.dispose() }, () => undefined)
      const screen = await opening
      whileWanted()
      this.#screen = screen
      if (this.hasAttribute('fit')) screen.fit(stage)
      await before
      whileWanted()
      const url = typeof what === 'string' ? urlOf(what, dom.document.baseURI) : null
      const machine = await openMachine(url ?? what, {
        files, size: screen.size, signal, base: url ?? dom.document.baseURI, whenHidden: this.getAttribute('when-hidden') === 'pause' ? 'pause' : 'run',
        onProgress: (progress) => {
          if (signal.aborted) return
          const { image, loaded, total } = progress
          this.#say(`Loading ${image}: ${total === null ? `${(loaded / 1e6).toFixed(1)} MB` : `${Math.floor(100 * loaded / total)} %`}`)
          this.#tell('machine-progress', progress)
        },
        ...(relay !== null && { relay: { url: relay, ...(token !== null && { token }) } }),
        ...(workers !== null && { worker: (cpu: string) => workerAt(urlOf(`${cpu}.worker.js`, urlOf(workers, dom.document.baseURI))) }),
      })
      this.machine = machine
      screen.connect(machine)
      machine.on('state', (event) => {
        if (signal.aborted) return
        this.#say(event.to === 'paused' ? 'Paused' : event.to === 'off' ? 'Off' : '')
        this.#tell('machine-state', event)
      })
      machine.on('power', (event) => { this.#tell('machine-power', event) })
      machine.on('error', ({ error }) => { if (!signal.aborted) this.#fail(error) })
      this.#say('')
      this.#tell('machine-open', machine)
      if (!this.hasAttribute('paused')) await machine.start()
      return machine
    } catch (error) {
      if (!signal.aborted) this.#fail(error instanceof Error ? error : new Error(String(error)))
      throw error
    }
  }

  /** As text: whatever is in it, it is no HTML. */
  #say(text: string): void {
    if (this.#status !== null) this.#status.textContent = text
  }

  #fail(error: Error): void {
    this.#say(error.message)
    this.#tell('machine-error', error)
  }

  #tell<Name extends keyof MachineElementEvents>(name: Name, detail: MachineElementEvents[Name]): void {
    this.dispatchEvent(new dom.CustomEvent(name, { detail }))
  }
}

/** @throws a typed error `'machine-load'` */
function urlOf(text: string, base: string | URL): URL {
  try {
    return new URL(text, base)
  } catch {
    throw machinistError({ code: 'machine-load', part: 'machine', value: text, remedy: 'Give a URL, or a path of this site.' }, 'it is no URL')
  }
}

function workerAt(url: URL): MachineWorkerHandle {
  const { Worker } = globalThis as unknown as { readonly Worker: new (url: URL, options: { readonly type: 'module' }) => MachineWorkerHandle }
  return new Worker(url, { type: 'module' })
}

/** Makes `<machinist-machine>` known to the page, or another name to be called by. Does nothing where there is no page, or when it is known. */
export function defineMachineElement(name: string = 'machinist-machine'): void {
  if (dom.customElements === undefined || dom.customElements.get(name) !== undefined) return
  dom.customElements.define(name, name === 'machinist-machine' ? MachinistMachine : class extends MachinistMachine {})
}
