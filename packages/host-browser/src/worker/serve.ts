import { type Backend, machinistError } from '@machinist/api'
import { type Catalogue, createMachine, type Machine, type MachineBlueprint, parseDefinition } from '@machinist/machine'
import { type BoardDescription, isBoard } from '../description.ts'
import { openBrowserDisks } from '../disks/open.ts'
import { browserHost } from '../host.ts'
import { loadImages } from '../images.ts'
import { type Answers, type Asks, type MachineNews, plainError, type ToPage, type ToWorker } from '../protocol.ts'
import { Consoles } from './console.ts'

/** The two ends of a worker's port, as far as they are used. */
export interface WorkerScope {
  postMessage(message: ToPage, transfer?: readonly ArrayBuffer[]): void
  onmessage: ((event: { readonly data: ToWorker }) => void) | null
}

/** What machines a worker can make. */
export interface MachineProgram {
  readonly catalogue: Catalogue
  /** Makes a ready-made machine. @throws a typed error for another board */
  board(description: BoardDescription): MachineBlueprint
}

/** Everything that answers a page. */
class MachineWorker {
  readonly #scope: WorkerScope
  readonly #program: MachineProgram
  readonly #consoles: Consoles
  #machine: Machine | null = null
  #disks: readonly Backend<unknown>[] = []
  readonly #asks: { readonly [What in keyof Asks]: (ask: Asks[What]) => Answers[What] | Promise<Answers[What]> } = {
    make: (ask) => this.#make(ask),
    start: () => this.#with((machine) => { machine.start() }),
    pause: () => this.#with((machine) => { machine.pause() }),
    resume: () => this.#with((machine) => { machine.resume() }),
    reset: () => this.#with((machine) => { machine.reset() }),
    powerOff: () => this.#with((machine) => { machine.powerOff() }),
    pressPowerButton: () => this.#here().pressPowerButton(),
    stats: () => this.#here().stats,
    dispose: async () => {
      this.#machine?.dispose()
      await Promise.all(this.#disks.map(async (disk) => { await (disk.close?.() as unknown as Promise<void> | undefined) }))
      return null
    },
  }

  constructor(scope: WorkerScope, program: MachineProgram) {
    this.#scope = scope
    this.#program = program
    this.#consoles = new Consoles((part, bytes) => { this.#tell('output', { part, bytes }, [bytes.buffer as ArrayBuffer]) })
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

  async #make({ description, base, files, size }: Asks['make']): Promise<Answers['make']> {
    const { catalogue, board } = this.#program
    this.#consoles.size = size
    const made: MachineBlueprint = isBoard(description) ? board(description) : { definition: parseDefinition(description), catalogue, backends: new Map() }
    const named = { base, files }
    const [definition, opened] = await Promise.all([
      loadImages(made.definition, named, (image, loaded, total) => { this.#tell('progress', { image, loaded, total }) }),
      openBrowserDisks(made, named),
    ])
    this.#disks = [...opened.backends.values()]
    const blueprint = { ...opened, definition: { ...opened.definition, ...(definition.boot && { boot: definition.boot }) } }
    const machine = createMachine(blueprint, browserHost({ console: (part, loop, input) => this.#consoles.make(part, loop, input) }))
    this.#machine = machine
    machine.on('state', (event) => { this.#tell('state', event) })
    machine.on('power', (event) => { this.#tell('power', event) })
    machine.on('reset', (event) => { this.#tell('reset', event) })
    machine.on('warn', (event) => { this.#tell('warn', event) })
    machine.on('error', ({ error }) => { this.#scope.postMessage({ type: 'news', what: 'error', news: plainError(error) }) })
    return { name: machine.name, consoles: this.#consoles.names }
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
