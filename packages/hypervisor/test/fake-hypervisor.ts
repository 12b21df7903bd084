import { machinistError } from '@machinist/api'
import type { AllocationTable, ConsoleConnection, ConsoleListener, Hypervisor, HypervisorEvent, MachineReport, MachineSpec, PoolSpec, Resources } from '../src/index.ts'

const NO_MEANS = { touched: 0, own: 0, shared: 0, merged: 0, ballooned: 0, compressed: 0, swapped: 0 }

/** Answers the interface without machines: what it is told, it says. */
export class FakeHypervisor implements Hypervisor {
  readonly specs: Map<string, MachineSpec> = new Map()
  readonly states: Map<string, MachineReport['state']> = new Map()
  readonly poolSpecs: Map<string, PoolSpec> = new Map()
  readonly calls: unknown[][] = []
  readonly consoles: { readonly name: string; readonly listener: ConsoleListener; readonly input: Uint8Array[]; open: boolean }[] = []
  readonly listeners: Set<(event: HypervisorEvent) => void> = new Set()
  readonly told: HypervisorEvent[] = []
  #time = 0n

  tell(kind: string, name: string, text: string = `${name}: ${kind}`): void {
    const event = { at: ++this.#time, kind, name, text }
    this.told.push(event)
    for (const listener of this.listeners) listener(event)
  }

  #known(name: string): MachineSpec {
    const spec = this.specs.get(name)
    if (spec === undefined) throw machinistError({ code: 'machine-unknown', part: name, remedy: 'Look which there are.' }, 'there is no such machine')
    return spec
  }

  async #to(name: string, state: MachineReport['state'], kind: string, ...call: unknown[]): Promise<void> {
    this.#known(name)
    this.calls.push(call)
    this.states.set(name, state)
    this.tell(kind, name)
  }

  async add(spec: MachineSpec): Promise<void> {
    if (this.specs.has(spec.name)) throw machinistError({ code: 'machine-known', part: spec.name, value: 7, remedy: 'Choose another name.' }, 'there is such a machine')
    this.calls.push(['add', spec])
    this.specs.set(spec.name, spec)
    this.states.set(spec.name, 'created')
    this.tell('added', spec.name)
  }

  start(name: string, snapshot?: string): Promise<void> { return this.#to(name, 'running', 'started', 'start', name, snapshot) }
  pause(name: string): Promise<void> { return this.#to(name, 'paused', 'paused', 'pause', name) }
  resume(name: string): Promise<void> { return this.#to(name, 'running', 'resumed', 'resume', name) }
  reset(name: string): Promise<void> { return this.#to(name, 'running', 'reset', 'reset', name) }
  stop(name: string, within?: number): Promise<void> { return this.#to(name, 'off', 'off', 'stop', name, within) }
  move(name: string, processor: number): Promise<void> { return this.#to(name, 'running', 'moved', 'move', name, processor) }
  save(name: string, file: string): Promise<void> { return this.#to(name, 'running', 'saved', 'save', name, file) }

  async remove(name: string): Promise<void> {
    this.#known(name)
    this.calls.push(['remove', name])
    this.specs.delete(name)
    this.tell('removed', name)
    for (const console of this.consoles.filter((each) => each.name === name && each.open)) {
      console.open = false
      console.listener.closed()
    }
  }

  async fork(name: string, copy: Pick<MachineSpec, 'name' | 'pool' | 'resources'>): Promise<void> {
    await this.add({ ...this.#known(name), ...copy })
    this.states.set(copy.name, 'running')
  }

  async set(name: string, changes: Partial<MachineSpec>): Promise<void> {
    this.calls.push(['set', name, changes])
    this.specs.set(name, { ...this.#known(name), ...changes })
  }

  async addPool(spec: PoolSpec): Promise<void> { this.poolSpecs.set(spec.path, spec) }
  async setPool(path: string, resources: Resources): Promise<void> { this.poolSpecs.set(path, { path, resources }) }
  async removePool(path: string): Promise<void> { this.poolSpecs.delete(path) }

  async machines(): Promise<readonly MachineReport[]> {
    return [...this.specs].map(([name, { pool = '', group = '' }]) => ({
      name, pool, group, state: this.states.get(name) ?? 'off', processor: -1, status: null, error: null, cpu: { used: 0, ready: 0, held: 0 }, memory: NO_MEANS,
      disk: { readBytes: 0, writtenBytes: 0, requests: 0 }, network: { sentBytes: 0, receivedBytes: 0, frames: 0 }, retired: 0,
    }))
  }

  async pools(): Promise<readonly PoolSpec[]> { return [...this.poolSpecs.values()] }
  async table(): Promise<AllocationTable> {
    return { at: 0.5, rows: [{ kind: 'host', name: '', pool: '', resources: { cpu: { shares: 1000, reservation: 0, limit: Infinity, entitled: 2, lacking: 0, demand: 0, used: 0 } } }] }
  }

  async host(): Promise<{ readonly capacity: { readonly cpu: number }; readonly processors: number }> { return { capacity: { cpu: 2 }, processors: 2 } }

  async console(name: string, listener: ConsoleListener): Promise<ConsoleConnection> {
    this.#known(name)
    const console: FakeHypervisor['consoles'][number] = { name, listener, input: [], open: true }
    this.consoles.push(console)
    listener.output(Uint8Array.of(104, 105))
    return { write: (bytes) => { console.input.push(bytes) }, close: () => { console.open = false } }
  }

  async events(name?: string): Promise<readonly HypervisorEvent[]> { return this.told.filter((event) => name === undefined || event.name === name) }

  on(listener: (event: HypervisorEvent) => void): () => void {
    this.listeners.add(listener)
    return () => { this.listeners.delete(listener) }
  }
}
