import { type Backend, machinistError } from '@machinist/api'
import { type BackendDescriptor, type Catalogue, createMachine, instantiateStored, type Machine, type MachineBlueprint, type MachineHost, parseDefinition } from '@machinist/machine'
import { type BoardDescription, cpuOf, isBoard, isSnapshot, type SnapshotDescription, type WorkerCpu } from '../description.ts'
import { type NamedFiles, openBrowserDisks } from '../disks/open.ts'
import { browserHost } from '../host.ts'
import { loadImages } from '../images.ts'
import type { RelayChoice } from '../network/relay.ts'
import { type Answers, type Asks, type MachineNews, plainError, type ToPage, type ToWorker } from '../protocol.ts'
import { commandLines, connectedHere, describedBackends } from '../snapshots/connections.ts'
import { openBrowserSnapshot } from '../snapshots/open.ts'
import { saveBlob } from '../snapshots/save.ts'
import { Consoles } from './console.ts'

/** The two ends of a worker's port, as far as they are used. */
export interface WorkerScope {
  postMessage(message: ToPage, transfer?: readonly ArrayBuffer[]): void
  onmessage: ((event: { readonly data: ToWorker }) => void) | null
}

/** What machines a worker can make. */
export interface MachineProgram {
  /** Machines of another CPU that were saved are refused. */
  readonly cpu: WorkerCpu
  readonly catalogue: Catalogue
  /** Makes a ready-made machine. @throws a typed error for another board */
  board(description: BoardDescription): MachineBlueprint
}

/** Milliseconds for which a machine that was saved has the network for what it touches. */
const AHEAD = 1000

/** Everything that answers a page. */
class MachineWorker {
  readonly #scope: WorkerScope
  readonly #program: MachineProgram
  readonly #consoles: Consoles
  #machine: Machine | null = null
  #disks: readonly Backend<unknown>[] = []
  #host: MachineHost
  /** What goes into its snapshots besides. */
  #about: Readonly<Record<string, unknown>> = {}
  /** Lets go of the snapshot that it goes on from. */
  #close: (() => void) | null = null
  readonly #asks: { readonly [What in keyof Asks]: (ask: Asks[What]) => Answers[What] | Promise<Answers[What]> } = {
    make: (ask) => this.#make(ask),
    start: () => this.#with((machine) => {
      this.#consoles.show()
      machine.start()
    }),
    pause: () => this.#with((machine) => { machine.pause() }),
    resume: () => this.#with((machine) => { machine.resume() }),
    reset: () => this.#with((machine) => { machine.reset() }),
    powerOff: () => this.#with((machine) => { machine.powerOff() }),
    pressPowerButton: () => this.#here().pressPowerButton(),
    stats: () => this.#here().stats,
    snapshot: ({ compressed }) => saveBlob(this.#here(), this.#host.loop, { ...this.#about, shown: this.#consoles.shown }, compressed),
    dispose: async () => {
      this.#machine?.dispose()
      this.#close?.()
      await Promise.all(this.#disks.map(async (disk) => { await (disk.close?.() as unknown as Promise<void> | undefined) }))
      return null
    },
  }

  constructor(scope: WorkerScope, program: MachineProgram) {
    this.#scope = scope
    this.#program = program
    this.#consoles = new Consoles((part, bytes) => { this.#tell('output', { part, bytes }, [bytes.buffer as ArrayBuffer]) })
    this.#host = this.#makeHost(null)
  }

  hear(message: ToWorker): void {
    switch (message.type) {
      case 'ask': void this.#answer(message.id, message.what, message.with); break
      case 'typed': this.#consoles.type(message.part, message.bytes); break
      case 'taken': this.#consoles.taken(message.part, message.count); break
      case 'resize': this.#consoles.resize(message.size); break
    }
  }

  async #answer(id: number, what: keyof Asks, ask: unknown): Promise<void> {
    try {
      this.#scope.postMessage({ type: 'answer', id, answer: await this.#asks[what](ask as never) })
    } catch (error) {
      this.#scope.postMessage({ type: 'refusal', id, error: plainError(error) })
    }
  }

  #tell<What extends keyof MachineNews>(what: What, news: MachineNews[What], transfer: readonly ArrayBuffer[] = []): void {
    this.#scope.postMessage({ type: 'news', what, news }, transfer)
  }

  #here(): Machine {
    if (this.#machine !== null) return this.#machine
    throw machinistError({ code: 'not-made', part: 'machine', remedy: 'Make it first.' }, 'there is no machine')
  }

  #with(work: (machine: Machine) => void): null {
    work(this.#here())
    return null
  }

  #makeHost(relay: RelayChoice | null): MachineHost {
    return browserHost({ console: (part, loop, input) => this.#consoles.make(part, loop, input), warn: (part, message) => { this.#tell('warn', { part, message }) }, ...(relay && { relay }) })
  }

  async #make({ description, base, files, size, relay }: Asks['make']): Promise<Answers['make']> {
    const { catalogue, board } = this.#program
    this.#consoles.size = size
    const named = { base, files }
    this.#host = this.#makeHost(relay)
    const machine = this.#machine = isSnapshot(description) ? await this.#restored(description, named, relay !== null)
      : await this.#created(isBoard(description) ? board(relay === null ? description : { nets: ['relay'], ...description }) : { definition: parseDefinition(description), catalogue, backends: new Map() }, named)
    machine.on('state', (event) => { this.#tell('state', event) })
    machine.on('power', (event) => { this.#tell('power', event) })
    machine.on('reset', (event) => { this.#tell('reset', event) })
    machine.on('warn', (event) => { this.#tell('warn', event) })
    machine.on('error', ({ error }) => { this.#scope.postMessage({ type: 'news', what: 'error', news: plainError(error) }) })
    return { name: machine.name, consoles: this.#consoles.names, state: machine.state }
  }

  async #created(made: MachineBlueprint, named: NamedFiles): Promise<Machine> {
    const [definition, opened] = await Promise.all([
      loadImages(made.definition, named, (image, loaded, total) => { this.#tell('progress', { image, loaded, total }) }),
      openBrowserDisks(made, named),
    ])
    this.#disks = [...opened.backends.values()]
    this.#about = { program: 'machinist', lines: commandLines(made.definition), backends: describedBackends(made.definition, 'disk') }
    return createMachine({ ...opened, definition: { ...opened.definition, ...(definition.boot && { boot: definition.boot }) } }, this.#host)
  }

  async #restored({ snapshot, name, ...choices }: SnapshotDescription, named: NamedFiles, relayed: boolean): Promise<Machine> {
    const { catalogue, cpu } = this.#program
    const { stored, ahead } = await openBrowserSnapshot(snapshot, named)
    this.#close = () => { stored.close() }
    const saved = parseDefinition(stored.definition)
    const own = cpuOf(saved)
    if (own !== cpu) throw machinistError({ code: 'worker-cpu', part: 'machine', value: own, remedy: 'Use the worker of its CPU.' }, 'this worker has no such CPU')
    const { about } = stored
    const definition = connectedHere(saved, catalogue, choices, about, relayed)
    const opened = await openBrowserDisks({ definition, catalogue, backends: new Map() }, named)
    this.#disks = [...opened.backends.values()]
    const backends: Record<string, BackendDescriptor | Backend<unknown>> = {}
    for (const [part, { backends: ports = {} }] of [['cpu', opened.definition.cpu] as const, ...Object.entries(opened.definition.devices)]) {
      for (const [port, descriptor] of Object.entries(ports)) if (descriptor !== 'power-button') backends[`${part}.${port}`] = typeof descriptor === 'string' ? opened.backends.get(descriptor) ?? descriptor : descriptor
    }
    this.#about = { program: 'machinist', lines: commandLines(saved), ...(typeof about === 'object' ? about : {}), backends: describedBackends(definition, 'disk') }
    const machine = instantiateStored(stored, catalogue, this.#host, { backends, ...(name !== undefined && { name }) })
    this.#consoles.recall((about as { readonly shown?: unknown } | null)?.shown)
    this.#host.loop.after(AHEAD * 1e6, () => { void ahead() })
    return machine
  }
}

/** Has this worker make the machine that its page describes, and run it. Does nothing where it is no worker. */
export function serveMachine(program: MachineProgram): void {
  const scope = globalThis as unknown as Partial<WorkerScope> & { readonly document?: unknown }
  if (typeof scope.postMessage !== 'function' || scope.document !== undefined) return
  const worker = new MachineWorker(scope as WorkerScope, program)
  scope.onmessage = ({ data }) => { worker.hear(data) }
  scope.postMessage({ type: 'ready' })
}
