import { readFileSync, writeFileSync } from 'node:fs'
import { machinistError } from '@machinist/api'
import type { AllocationTable, Capacity, ConsoleConnection, ConsoleListener, HypervisorEvent, MachineReport, MachineSpec, PoolSpec, Resources } from '@machinist/hypervisor'
import type { OwnedHypervisor } from '../src/index.ts'

const NO_MEANS = { touched: 0, own: 0, shared: 0, merged: 0, ballooned: 0, compressed: 0, swapped: 0 }

interface FakeMachine {
  spec: MachineSpec
  state: MachineReport['state']
  /** What it would have in its memory. */
  memory: string
  said: number[]
  readonly listeners: Set<ConsoleListener>
}

function refused(code: string, part: string, problem: string): Error {
  return machinistError({ code, part, remedy: 'Do otherwise.' }, problem)
}

/** A hypervisor whose machines are a text each: it is in their memory, and in the files that they are saved into. */
export class FakeHypervisor implements OwnedHypervisor {
  readonly all: Map<string, FakeMachine> = new Map()
  readonly #pools = new Map<string, PoolSpec>()
  readonly #listeners = new Set<(event: HypervisorEvent) => void>()
  /** What is called in the place of each, before it is done. */
  before: (call: string, name: string) => Promise<void> = async () => undefined

  tell(kind: string, name: string): void {
    const event = { at: BigInt(Date.now()) * 1_000_000n, kind, name, text: `${name} ${kind}` }
    for (const listener of [...this.#listeners]) listener(event)
  }

  #machine(name: string): FakeMachine {
    const machine = this.all.get(name)
    if (machine === undefined) throw refused('machine-unknown', name, 'there is no such machine')
    return machine
  }

  specs(): readonly MachineSpec[] { return [...this.all.values()].map(({ spec }) => spec) }

  async add(spec: MachineSpec): Promise<void> {
    await this.before('add', spec.name)
    if (this.all.has(spec.name)) throw refused('machine-known', spec.name, 'there is such a machine')
    if (spec.pool !== undefined && spec.pool !== '' && !this.#pools.has(spec.pool)) throw refused('pool-unknown', spec.pool, 'there is no such pool')
    this.all.set(spec.name, { spec, state: 'created', memory: '', said: [], listeners: new Set() })
    this.tell('added', spec.name)
  }

  async start(name: string, snapshot?: string): Promise<void> {
    await this.before('start', name)
    const machine = this.#machine(name)
    if (machine.state === 'running' && snapshot === undefined) return
    if (machine.state === 'running') throw refused('machine-on', name, 'a machine that runs cannot go on from a snapshot')
    machine.memory = snapshot === undefined ? 'fresh' : readFileSync(snapshot, 'utf8')
    machine.state = 'running'
    this.tell('started', name)
    this.say(name, `${machine.memory}\n`)
  }

  /** The machine writes to its console. */
  say(name: string, text: string): void {
    const machine = this.#machine(name)
    const bytes = Buffer.from(text)
    machine.said.push(...bytes)
    for (const listener of machine.listeners) listener.output(bytes)
  }

  async #change(call: string, name: string, from: readonly MachineReport['state'][], to: MachineReport['state'], kind: string): Promise<void> {
    await this.before(call, name)
    const machine = this.#machine(name)
    if (!from.includes(machine.state)) throw refused('machine-off', name, 'the machine does not run')
    machine.state = to
    this.tell(kind, name)
  }

  pause(name: string): Promise<void> { return this.#change('pause', name, ['running'], 'paused', 'paused') }
  resume(name: string): Promise<void> { return this.#change('resume', name, ['paused'], 'running', 'resumed') }
  reset(name: string): Promise<void> { return this.#change('reset', name, ['running'], 'running', 'reset') }
  move(name: string): Promise<void> { return this.#change('move', name, ['running'], 'running', 'moved') }
  stop(name: string): Promise<void> { return this.#change('stop', name, ['running', 'paused', 'off', 'created'], 'off', 'off') }

  async save(name: string, file: string): Promise<void> {
    await this.before('save', name)
    writeFileSync(file, this.#machine(name).memory)
  }

  async remove(name: string): Promise<void> {
    await this.before('remove', name)
    const { listeners } = this.#machine(name)
    this.all.delete(name)
    for (const listener of listeners) listener.closed()
    this.tell('removed', name)
  }

  async fork(name: string, copy: Pick<MachineSpec, 'name' | 'pool' | 'resources'>): Promise<void> {
    const { autostart: _, restart: __, ...spec } = this.#machine(name).spec
    await this.add({ ...spec, ...copy, copyOf: name })
    Object.assign(this.#machine(copy.name), { memory: this.#machine(name).memory, state: 'running' })
    this.tell('forked', copy.name)
  }

  async set(name: string, changes: Partial<MachineSpec>): Promise<void> {
    await this.before('set', name)
    const machine = this.#machine(name)
    machine.spec = { ...machine.spec, ...changes, resources: { ...machine.spec.resources, ...changes.resources } }
    this.tell('changed', name)
  }

  async restore(before: MachineSpec | PoolSpec): Promise<void> {
    if ('path' in before) this.#pools.set(before.path, before)
    else this.#machine(before.name).spec = before
  }

  async addPool(spec: PoolSpec): Promise<void> {
    if (this.#pools.has(spec.path)) throw refused('pool-known', spec.path, 'there is such a pool')
    this.#pools.set(spec.path, spec)
  }

  async setPool(path: string, resources: Resources): Promise<void> {
    if (!this.#pools.has(path)) throw refused('pool-unknown', path, 'there is no such pool')
    this.#pools.set(path, { path, resources: { ...this.#pools.get(path)?.resources, ...resources } })
  }

  async removePool(path: string): Promise<void> { this.#pools.delete(path) }
  async pools(): Promise<readonly PoolSpec[]> { return [...this.#pools.values()] }

  async machines(): Promise<readonly MachineReport[]> {
    return [...this.all.values()].map(({ spec: { name, pool = '', group = '' }, state }) => ({
      name, pool, group, state, processor: -1, status: null, error: null, cpu: { used: 0, ready: 0, held: 0 }, memory: NO_MEANS,
      disk: { readBytes: 0, writtenBytes: 0, requests: 0 }, network: { sentBytes: 0, receivedBytes: 0, frames: 0 }, retired: 0,
    }))
  }

  async table(): Promise<AllocationTable> {
    return {
      at: 0,
      rows: this.specs().map(({ name, pool = '', resources }) => ({
        kind: 'machine', name, pool, resources: { cpu: { shares: resources?.cpu?.shares ?? 1000, reservation: 0, limit: Infinity, entitled: 0, lacking: 0, demand: 0, used: 0 } },
      })),
    }
  }

  async host(): Promise<{ readonly capacity: Capacity; readonly processors: number }> { return { capacity: { cpu: 1 }, processors: 1 } }

  async console(name: string, listener: ConsoleListener): Promise<ConsoleConnection> {
    const { listeners, said } = this.#machine(name)
    listeners.add(listener)
    if (said.length > 0) listener.output(Uint8Array.from(said))
    return { write: (bytes) => { this.say(name, `got ${Buffer.from(bytes).toString()}`) }, close: () => { listeners.delete(listener) } }
  }

  async events(): Promise<readonly HypervisorEvent[]> { return [] }

  on(listener: (event: HypervisorEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }

  close(): void { this.all.clear() }
}
