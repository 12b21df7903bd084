import { machinistError } from '@machinist/api'
import { type HostLoop, parseDefinition } from '@machinist/machine'
import type { ProcessorChannel } from '../channel/messages.ts'
import type { AllocationTable, ConsoleConnection, ConsoleListener, Hypervisor, HypervisorEvent } from '../contract/hypervisor.ts'
import type { MachineReport, MachineSpec, PoolSpec } from '../contract/machines.ts'
import type { Capacity, Resources } from '../contract/resources.ts'
import { checkChanges, checkCopy, checkPool, checkResources, checkSpec } from '../remote/arguments.ts'
import { changedTerms, checkedTerms, parameter } from '../table/terms.ts'
import { Tree } from '../table/tree.ts'
import { Balancer } from './balance.ts'
import { ConsoleLog } from './console-log.ts'
import { Journal } from './journal.ts'
import { Lives, off } from './lives.ts'
import { MachineRecord } from './record.ts'
import { Sharing } from './sharing.ts'
import { Stopping } from './stopping.ts'

/** What a hypervisor needs of the place where it is. */
export interface HypervisorOptions {
  readonly loop: HostLoop
  /** Processors: threads in which machines live. 1 unless given. */
  readonly processors?: number
  /** Harts of the hardware that each of them has for its machines, at the same time: as many as its `ProcessorOptions.others` counts, and its own. 1 unless given. */
  readonly width?: number
  /** Opens a processor, at the beginning and whenever one has gone: the line to it. */
  readonly open: (index: number) => ProcessorChannel
  /** What there is to share out. Of CPU time all that the processors have, unless given; of what else is not given there is no shortage. */
  readonly capacity?: Capacity
  /** Whether machines are moved to where they can have what they are entitled to. True unless given. */
  readonly balance?: boolean
  /** Nanoseconds since 1970, for events. The time of the loop unless given. */
  readonly wallClock?: () => bigint
}

/** A {@link Hypervisor} in the process that made it. */
export interface OwnHypervisor extends Hypervisor {
  /** Specifications of all machines as they are now: with pools, all that is needed to have them again. */
  specs(): readonly MachineSpec[]
  /** Gives a machine or a pool exactly what it had, as `specs` or `pools` said it: a change is undone. */
  restore(before: MachineSpec | PoolSpec): Promise<void>
  /** Ends all machines at once, and the processors. */
  close(): void
}

/**
 * Makes a hypervisor.
 *
 * @throws a typed error `'parameter'`, or what opening a processor throws
 */
export function createHypervisor(options: HypervisorOptions): OwnHypervisor {
  return new Control(options)
}

class Control implements OwnHypervisor {
  readonly #tree: Tree
  readonly #records = new Map<string, MachineRecord>()
  readonly #journal: Journal
  readonly #sharing: Sharing
  readonly #lives: Lives
  readonly #stopping: Stopping
  /** What a listener throws is the host's, and no machine's. */
  readonly #broken: (error: unknown) => void
  #closed = false

  constructor({ loop, processors = 1, width = 1, open, capacity = {}, balance = true, wallClock = () => BigInt(Math.floor(loop.now())) }: HypervisorOptions) {
    if (!Number.isInteger(processors) || processors < 1 || processors > 1024) throw parameter('processors', processors, 'no such number of processors', 'Give one from 1 to 1024.')
    if (!Number.isInteger(width) || width < 1 || width > 1024) throw parameter('width', width, 'no such number of harts', 'Give one from 1 to 1024.')
    this.#tree = new Tree({ cpu: processors * width, ...capacity }, width)
    this.#broken = (error) => { loop.soon(() => { throw error }) }
    this.#journal = new Journal(wallClock, this.#broken)
    this.#stopping = new Stopping(loop)
    this.#sharing = new Sharing(loop, this.#tree, this.#records, () => this.#lives.fleet.links)
    this.#lives = new Lives(loop, this.#records, this.#journal, { count: processors, width }, open, (link) => { this.#sharing.tellTree(link) })
    const balancer = !balance || processors === 1 ? null : new Balancer(this.#records, this.#lives.fleet, () => loop.now(), (name, to, why) => this.#serially(name, async (record) => {
      if (!record.alive || record.home === to) return
      await this.#lives.move(record, to)
      this.#journal.tell('moved', name, `moved to processor ${String(to)}, which has ${why === 'memory' ? 'more memory' : 'less to do'}`)
    }))
    this.#sharing.begin((table) => { void balancer?.look(table) })
  }

  // Machines.

  async add(input: MachineSpec): Promise<void> {
    const spec = checkedSpec(input)
    this.#enter(spec)
    this.#journal.tell('added', spec.name, spec.pool === undefined ? 'added' : `added to pool ${spec.pool}`)
  }

  start(name: string, snapshot?: string): Promise<void> {
    return this.#serially(name, async (record) => {
      record.ending = false
      this.#lives.restarts.cancel(record)
      if (record.alive) {
        if (snapshot !== undefined) throw machinistError({ code: 'machine-on', part: name, value: snapshot, remedy: 'Stop it first.' }, 'a machine that runs cannot go on from a snapshot')
        if (record.state === 'paused') await this.#lives.ask(record, { do: 'resume', name })
        return
      }
      await this.#lives.make(record, snapshot)
      this.#journal.tell('started', name, `started on processor ${String(record.home)}`)
    })
  }

  pause(name: string): Promise<void> {
    return this.#serially(name, (record) => this.#lives.ask(record, { do: 'pause', name }))
  }

  resume(name: string): Promise<void> {
    return this.#serially(name, (record) => this.#lives.ask(record, { do: 'resume', name }))
  }

  reset(name: string): Promise<void> {
    return this.#serially(name, (record) => this.#lives.ask(record, { do: 'reset', name }))
  }

  /** Others may do something with it while its guest takes its time. */
  async stop(name: string, within: number = 0): Promise<void> {
    const why = within === 0 ? '' : await this.#stopping.ask(this.#record(name), within, (work) => this.#serially(name, work))
    if (why !== null) await this.#serially(name, (record) => this.#lives.pull(record, why))
  }

  remove(name: string): Promise<void> {
    return this.#serially(name, async (record) => {
      await this.#lives.pull(record)
      record.removed = true
      this.#records.delete(name)
      this.#tree.remove(name)
      record.console.close()
      this.#journal.tell('removed', name, 'removed')
    })
  }

  fork(name: string, copy: Pick<MachineSpec, 'name' | 'pool' | 'resources'>): Promise<void> {
    return this.#serially(name, async (parent) => {
      const { link } = parent
      if (link === null) throw off(name)
      const { autostart: _, restart: __, snapshots: ___, ...spec } = parent.spec
      const checked = checkCopy(copy)
      const record = this.#enter({ ...spec, ...checked, copyOf: name, resources: checkedTerms(checked.resources ?? spec.resources, checked.name) }, link.index)
      try {
        this.#lives.settle(record, link)
        await link.ask({ do: 'fork', name, spec: record.spec })
      } catch (error) {
        // Its processor may have gone, and it would start again.
        record.removed = true
        this.#lives.restarts.cancel(record)
        record.left()
        this.#forget(record)
        throw error
      }
      this.#journal.tell('forked', checked.name, `a copy of ${name}`)
    })
  }

  move(name: string, processor: number): Promise<void> {
    return this.#serially(name, async (record) => {
      if (record.alive && record.home === processor) return
      await this.#lives.move(record, processor)
      this.#journal.tell('moved', name, `moved to processor ${String(processor)}`)
    })
  }

  set(name: string, changes: Partial<Pick<MachineSpec, 'resources' | 'pool' | 'autostart' | 'restart'>>): Promise<void> {
    return this.#serially(name, async (record) => {
      const { resources, ...others } = checkChanges(changes)
      const { restart = 'never', autostart = false } = others
      if (record.spec.copyOf !== undefined && (restart !== 'never' || autostart)) {
        throw machinistError({ code: 'copy-start', part: name, value: autostart ? 'autostart' : restart, remedy: `Set it for ${record.spec.copyOf}, or add a machine of its own.` }, 'a copy is not started by itself, as it would begin as the machine that it is a copy of')
      }
      const spec: MachineSpec = { ...record.spec, ...others, resources: changedTerms(record.spec.resources, resources, name) }
      const reserved = spec.resources?.cpu?.reservation ?? 0
      if (!this.#lives.fleet.fits(record, record.home, reserved)) throw machinistError({ code: 'not-admitted', part: name, value: reserved, remedy: 'Reserve less, or move it.' }, 'its processor has not so much left to promise')
      this.#tree.put({ name, pool: spec.pool ?? '', resources: spec.resources ?? {} })
      record.spec = spec
      this.#sharing.distribute()
      this.#journal.tell('changed', name, `changed: ${Object.keys(changes).join(', ')}`)
    })
  }

  save(name: string, file: string): Promise<void> {
    return this.#serially(name, (record) => this.#lives.ask(record, { do: 'save', name, file }))
  }

  // Pools.

  async addPool(input: PoolSpec): Promise<void> {
    const { path, resources } = checkPool(input)
    this.#tree.addPool(path, checkedTerms(resources, path))
    this.#journal.tell('added', path, 'a pool')
  }

  async setPool(path: string, resources: Resources): Promise<void> {
    this.#tree.setPool(path, changedTerms(this.#tree.pool(path).resources, checkResources(resources), path))
    this.#sharing.distribute()
    this.#journal.tell('changed', path, `changed: ${Object.keys(resources).join(', ')}`)
  }

  async removePool(path: string): Promise<void> {
    this.#tree.removePool(path)
    this.#journal.tell('removed', path, 'a pool')
  }

  // What is known.

  async machines(): Promise<readonly MachineReport[]> {
    return [...this.#records.values()].map(({ report }) => report)
  }

  async pools(): Promise<readonly PoolSpec[]> {
    return this.#tree.pools
  }

  async table(): Promise<AllocationTable> {
    return this.#sharing.table
  }

  async host(): Promise<{ readonly capacity: Capacity; readonly processors: number }> {
    return { capacity: this.#tree.capacity, processors: this.#lives.fleet.count }
  }

  async console(name: string, listener: ConsoleListener): Promise<ConsoleConnection> {
    return this.#record(name).console.connect(listener)
  }

  async events(name?: string): Promise<readonly HypervisorEvent[]> {
    return this.#journal.last(name)
  }

  on(listener: (event: HypervisorEvent) => void): () => void {
    return this.#journal.on(listener)
  }

  specs(): readonly MachineSpec[] {
    return [...this.#records.values()].map(({ spec }) => spec)
  }

  async restore(before: MachineSpec | PoolSpec): Promise<void> {
    if ('path' in before) this.#tree.setPool(before.path, before.resources ?? {})
    else {
      const { name, pool = '', resources = {} } = before
      await this.#serially(name, async (record) => {
        this.#tree.put({ name, pool, resources })
        record.spec = before
      })
    }
    this.#sharing.distribute()
    this.#journal.tell('changed', 'path' in before ? before.path : before.name, 'a change was undone')
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#sharing.end()
    this.#lives.close()
    for (const record of this.#records.values()) record.console.close()
  }

  // How it is done.

  #record(name: string): MachineRecord {
    const record = this.#records.get(name)
    if (record === undefined) throw machinistError({ code: 'machine-unknown', part: 'machines', value: name, remedy: 'Add it first.' }, 'there is no such machine')
    return record
  }

  /** Does one thing after the other with a machine. */
  async #serially<T>(name: string, work: (record: MachineRecord) => Promise<T>): Promise<T> {
    const record = this.#record(name)
    return record.serially(() => {
      // It may have been removed meanwhile.
      if (this.#closed || record.removed) this.#record(name)
      if (this.#closed) throw machinistError({ code: 'closed', part: 'hypervisor', remedy: 'Make another one.' }, 'the hypervisor was closed')
      return work(record)
    })
  }

  /** Admits a machine. @throws typed errors, and nothing has changed */
  #enter(spec: MachineSpec, home?: number): MachineRecord {
    const { name, pool = '', resources = {} } = spec
    if (this.#records.has(name)) throw machinistError({ code: 'machine-known', part: 'machines', value: name, remedy: 'Choose another name.' }, 'there is such a machine')
    const record: MachineRecord = new MachineRecord(spec, new ConsoleLog((bytes) => { record.type(bytes) }, this.#broken))
    if (home !== undefined && !this.#lives.fleet.fits(record, home)) throw machinistError({ code: 'not-admitted', part: name, remedy: 'Reserve less.' }, 'the processor of what it is a copy of has not so much left to promise')
    record.home = home ?? this.#lives.fleet.choose(record)
    this.#tree.put({ name, pool, resources })
    this.#records.set(name, record)
    return record
  }

  #forget({ spec: { name } }: MachineRecord): void {
    this.#records.delete(name)
    this.#tree.remove(name)
  }
}

/** A specification from anywhere. @throws typed errors `'parameter'`, `'definition'` */
function checkedSpec(input: unknown): MachineSpec {
  const spec = checkSpec(input)
  const { name, machine, resources } = spec
  return { ...spec, machine: 'file' in machine || 'snapshot' in machine ? machine : parseDefinition(machine), resources: checkedTerms(resources, name) }
}
