import { rmSync } from 'node:fs'
import { truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { isMachinistError, machinistError } from '@machinist/api'
import type { ConsoleConnection, ConsoleListener, Hypervisor, HypervisorEvent, MachineReport, MachineSpec, PoolSpec, Resources } from '@machinist/hypervisor'
import type { ShutDownOptions } from './connect.ts'
import { ConsoleTail } from './console-tail.ts'
import { EventLog } from './event-log.ts'
import { lastWords, OUTPUT_FILE } from './start.ts'
import type { Found, KeptMachine, StateFolder } from './state-folder.ts'

/** A hypervisor that knows its machines, and can be ended. */
export interface OwnedHypervisor extends Hypervisor {
  /** Specifications of all machines as they are now. */
  specs(): readonly MachineSpec[]
  /** Gives a machine or a pool exactly what it had, as {@link specs} or `pools` said it: a change is undone. */
  restore(before: MachineSpec | PoolSpec): Promise<void>
  /** Ends all machines at once. */
  close(): void
}

/** Machines that are started or saved at once. */
const AT_ONCE = 4

/** What is remembered of a machine, besides its specification. */
interface Entry {
  order: number
  runs: boolean
  /** Somebody wants it to stand still; it may also do so because it waits for room on a disk. */
  paused: boolean
  resume: KeptMachine['resume']
  readonly tail: ConsoleTail
  /** The write under way, and whether another is to follow. */
  writing: Promise<void> | null
  again: Promise<void> | null
  /** Starts and stops, which come one after another. */
  turn: Promise<unknown>
}

/** Does something with a machine when what was asked before is done. */
function inTurn(entry: Entry, work: () => Promise<void>): Promise<void> {
  const done = entry.turn.then(work)
  entry.turn = done.catch(() => undefined)
  return done
}

const isOn = ({ state }: MachineReport): boolean => state === 'running' || state === 'paused'
const reasonOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

/** Does something with each, a few at once. */
async function forEach<Value>(values: readonly Value[], atOnce: number, work: (value: Value) => Promise<void>): Promise<void> {
  const rest = values.values()
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (const value of rest) await work(value)
  }))
}

/**
 * A hypervisor whose machines and pools outlive its process. What it has answered to is on the disk: each change is made first, then written, and undone when it cannot be written.
 */
export class KeptHypervisor implements Hypervisor {
  readonly #own: OwnedHypervisor
  readonly #folder: StateFolder
  readonly #events: EventLog
  readonly #entries = new Map<string, Entry>()
  readonly #listeners = new Set<(event: HypervisorEvent) => void>()
  readonly #unsubscribe: () => void
  #pools: Promise<void> = Promise.resolve()
  #looking = false
  #lookAgain = false
  #ending = false
  /** Machines to be started when it begins. */
  readonly #starts: KeptMachine[] = []

  private constructor(own: OwnedHypervisor, folder: StateFolder) {
    this.#own = own
    this.#folder = folder
    this.#events = new EventLog(folder.eventsFile)
    this.#unsubscribe = own.on((event) => {
      this.#tell(event)
      this.#anew(event)
      this.#look()
    })
  }

  /**
   * Gives a hypervisor that has nothing yet what was kept, and says what was found. {@link begin} starts machines.
   *
   * @throws typed errors `'file-…'`
   */
  static async open(own: OwnedHypervisor, folder: StateFolder): Promise<KeptHypervisor> {
    const kept = new KeptHypervisor(own, folder)
    const found = folder.read()
    await folder.keepRun(false)
    kept.#sayFound(found)
    for (const pool of [...found.pools].sort((a, b) => a.path.split('/').length - b.path.split('/').length)) {
      await own.addPool(pool).catch((error: unknown) => { kept.#say('found', pool.path, `the pool could not be had again: ${reasonOf(error)}`) })
    }
    for (const machine of found.machines) await kept.#take(machine)
    return kept
  }

  /** What its process said, where it was started for the background. */
  get #outputFile(): string {
    return join(this.#folder.path, OUTPUT_FILE)
  }

  async #take(machine: KeptMachine): Promise<void> {
    const { spec, order, runs, resume } = machine
    try {
      await this.#own.add(spec)
    } catch (error) {
      this.#say('found', spec.name, `the machine could not be had again, and stays in the list on the disk: ${reasonOf(error)}`)
      return
    }
    this.#entries.set(spec.name, await this.#entry(spec.name, order, resume))
    if (resume !== null || spec.autostart === true) this.#starts.push(machine)
    if (runs) await this.#keep(spec.name)
  }

  #sayFound({ machines, crashed, damaged, unfinished, snapshots }: Found): void {
    for (const { file, problem } of damaged) this.#say('found', '', `a damaged file, which was put aside: ${file} (${problem}); ${machines.length} machines were kept`)
    for (const file of unfinished) this.#say('found', '', `a file that was not finished, and was removed: ${file}`)
    for (const file of snapshots) this.#say('found', '', `a saved machine that nobody goes on from, because its machine has run since: ${file}`)
    if (crashed === null) return
    const running = machines.filter(({ runs }) => runs)
    const words = lastWords(this.#outputFile)
    this.#say('found', '', `the hypervisor before (process ${crashed}) ended without notice; ${running.length} of its ${machines.length} machines were running${words === '' ? '' : `; its last words: ${words}`}`)
    for (const { spec } of running) this.#say('found', spec.name, 'it was running when the hypervisor ended without notice, as if its power had gone; it is off')
  }

  /** Starts what is to be started: machines that were saved when the hypervisor ended, and those that are marked so. */
  async begin(): Promise<void> {
    await forEach(this.#starts.splice(0), AT_ONCE, async ({ spec: { name }, resume }) => {
      try {
        const entry = this.#entryOf(name)
        if (entry === undefined) return
        await inTurn(entry, async () => {
          // Somebody may have started, stopped or removed it meanwhile.
          if (this.#entryOf(name) !== entry || entry.resume !== resume) return
          await this.#start(name, entry)
          if (resume?.paused === true) await this.pause(name)
        })
      } catch (error) {
        this.#say('warning', name, `it could not be started: ${reasonOf(error)}`)
      }
    })
  }

  /** Starts a machine. What was saved of it, from which it goes on unless told otherwise, is given up before, since its disks are another's from then on. */
  async #start(name: string, entry: Entry, snapshot?: string): Promise<void> {
    const { resume } = entry
    if (resume === null) {
      await this.#own.start(name, snapshot)
      Object.assign(entry, { runs: true, paused: false })
      await this.#keep(name)
      return
    }
    try {
      Object.assign(entry, { runs: true, resume: null })
      await this.#keep(name)
      await this.#own.start(name, snapshot ?? resume.file)
    } catch (error) {
      await this.#notStarted(name, entry, resume)
      throw error
    }
    rmSync(resume.file, { force: true })
  }

  /** A machine that could not be started has again what was saved of it, unless it was started anew meanwhile, or its processor's end makes it so: {@link #anew}. */
  async #notStarted(name: string, entry: Entry, resume: KeptMachine['resume']): Promise<void> {
    if (await this.#isOn(name)) return
    Object.assign(entry, { runs: false, resume })
    // It waits for nobody who would start it without.
    await this.#own.stop(name).catch(() => undefined)
    await this.#keep(name)
  }

  async #isOn(name: string): Promise<boolean> {
    return (await this.#own.machines()).some((report) => report.name === name && isOn(report))
  }

  /** A machine that was started is no more what was saved of it. */
  #anew({ kind, name }: HypervisorEvent): void {
    const entry = this.#entryOf(name)
    if ((kind !== 'started' && kind !== 'restarted') || entry === undefined) return
    entry.paused = false
    if (entry.resume === null) return
    Object.assign(entry, { runs: true, resume: null })
    this.#keep(name).catch((error: unknown) => { this.#say('warning', name, `that it runs could not be noted: ${reasonOf(error)}`) })
  }

  async #entry(name: string, order: number, resume: KeptMachine['resume'] = null, runs: boolean = false): Promise<Entry> {
    const tail = new ConsoleTail(this.#folder.consoleFile(name))
    await this.#own.console(name, { output: (bytes) => { tail.push(bytes) }, closed: () => undefined })
    return { order, runs, paused: false, resume, tail, writing: null, again: null, turn: Promise.resolve() }
  }

  #entryOf(name: string): Entry | undefined {
    return this.#entries.get(name)
  }

  #say(kind: string, name: string, text: string): void {
    this.#tell({ at: BigInt(Date.now()) * 1_000_000n, kind, name, text })
  }

  #tell(event: HypervisorEvent): void {
    this.#events.push(event)
    for (const listener of [...this.#listeners]) listener(event)
  }

  /** Something happened: notes which machines run. */
  #look(): void {
    // What is being looked at may be from before.
    this.#lookAgain = this.#looking
    if (this.#looking || this.#ending) return
    this.#looking = true
    const look = async (): Promise<void> => {
      const reports = await this.#own.machines()
      this.#looking = false
      if (this.#lookAgain) this.#look()
      if (this.#ending) return
      // All at once: while one is written, the others become different.
      const changed = reports.filter((report) => {
        const entry = this.#entryOf(report.name)
        if (entry === undefined || entry.runs === isOn(report)) return false
        entry.runs = isOn(report)
        return true
      })
      for (const { name } of changed) await this.#keep(name)
    }
    look().catch((error: unknown) => { this.#say('warning', '', `which machines run could not be noted: ${reasonOf(error)}`) })
  }

  /** Writes a machine as it is at some time from now on, or removes it when there is none. Writes come one after another; those that wait are one. */
  #keep(name: string): Promise<void> {
    const entry = this.#entryOf(name)
    if (entry === undefined) return Promise.resolve()
    const write = async (): Promise<void> => {
      const spec = this.#own.specs().find((each) => each.name === name)
      if (spec !== undefined) await this.#folder.keepMachine({ spec, order: entry.order, runs: entry.runs, resume: entry.resume })
    }
    const begin = (): Promise<void> => {
      entry.again = null
      const writing = write().finally(() => { if (entry.writing === writing) entry.writing = null })
      entry.writing = writing
      return writing
    }
    if (entry.writing === null) return begin()
    entry.again ??= entry.writing.then(begin, begin)
    return entry.again
  }

  #mayChange(): void {
    if (this.#ending) throw machinistError({ code: 'daemon-ending', part: 'hypervisor', remedy: 'Start it anew: machinist daemon start' }, 'it is about to end')
  }

  /** Keeps a change of a machine, or undoes it. */
  async #kept(name: string, undo: () => Promise<void>): Promise<void> {
    try {
      await this.#keep(name)
    } catch (error) {
      await undo().catch(() => undefined)
      throw error
    }
  }

  async add(spec: MachineSpec): Promise<void> {
    this.#mayChange()
    await this.#own.add(await this.#folder.withImages(spec))
    await this.#added(spec.name, false)
  }

  async #added(name: string, runs: boolean): Promise<void> {
    this.#entries.set(name, await this.#entry(name, this.#folder.nextOrder(), null, runs))
    await this.#kept(name, () => this.#own.remove(name))
  }

  async fork(name: string, copy: Pick<MachineSpec, 'name' | 'pool' | 'resources'>): Promise<void> {
    this.#mayChange()
    await this.#own.fork(name, copy)
    await this.#added(copy.name, true)
  }

  async remove(name: string): Promise<void> {
    this.#mayChange()
    await this.#own.remove(name)
    const entry = this.#entryOf(name)
    this.#entries.delete(name)
    // What is being written comes before.
    await (entry?.again ?? entry?.writing)?.catch(() => undefined)
    entry?.tail.drop()
    await this.#folder.forgetMachine(name)
  }

  /** One that was saved, and has not gone on yet, goes on. */
  async start(name: string, snapshot?: string): Promise<void> {
    this.#mayChange()
    const entry = this.#entryOf(name)
    await (entry === undefined ? this.#own.start(name, snapshot) : inTurn(entry, () => this.#start(name, entry, snapshot)))
  }

  /** What was saved of it is given up, as what is in the memory of one that runs. */
  async stop(name: string, within: number = 0): Promise<void> {
    const entry = this.#entryOf(name)
    // A guest takes its time. Whoever has none for it need not wait.
    if (entry === undefined || within > 0) await this.#own.stop(name, within)
    if (entry === undefined) return
    await inTurn(entry, async () => {
      if (within === 0) await this.#own.stop(name)
      else if (await this.#isOn(name)) return
      const { resume } = entry
      Object.assign(entry, { runs: false, resume: null })
      await this.#keep(name)
      if (resume !== null) rmSync(resume.file, { force: true })
    })
  }

  async set(name: string, changes: Partial<Pick<MachineSpec, 'resources' | 'pool' | 'autostart' | 'restart'>>): Promise<void> {
    this.#mayChange()
    const before = this.#own.specs().find((spec) => spec.name === name)
    await this.#own.set(name, changes)
    await this.#kept(name, async () => { if (before !== undefined) await this.#own.restore(before) })
  }

  async pause(name: string): Promise<void> {
    await this.#own.pause(name)
    const entry = this.#entryOf(name)
    if (entry !== undefined) entry.paused = true
  }

  async resume(name: string): Promise<void> {
    this.#mayChange()
    await this.#own.resume(name)
    const entry = this.#entryOf(name)
    if (entry !== undefined) entry.paused = false
  }

  async reset(name: string): Promise<void> {
    this.#mayChange()
    await this.#own.reset(name)
  }

  async move(name: string, processor: number): Promise<void> {
    this.#mayChange()
    await this.#own.move(name, processor)
  }

  async save(name: string, file: string): Promise<void> {
    this.#mayChange()
    await this.#own.save(name, file)
  }

  machines(): ReturnType<Hypervisor['machines']> { return this.#own.machines() }
  pools(): ReturnType<Hypervisor['pools']> { return this.#own.pools() }
  table(): ReturnType<Hypervisor['table']> { return this.#own.table() }
  host(): ReturnType<Hypervisor['host']> { return this.#own.host() }

  async addPool(spec: PoolSpec): Promise<void> {
    this.#mayChange()
    await this.#own.addPool(spec)
    await this.#keptPools(() => this.#own.removePool(spec.path))
  }

  async setPool(path: string, resources: Resources): Promise<void> {
    this.#mayChange()
    const before = (await this.#own.pools()).find((pool) => pool.path === path)
    await this.#own.setPool(path, resources)
    await this.#keptPools(async () => { if (before !== undefined) await this.#own.restore(before) })
  }

  async removePool(path: string): Promise<void> {
    this.#mayChange()
    const before = (await this.#own.pools()).find((pool) => pool.path === path)
    await this.#own.removePool(path)
    await this.#keptPools(async () => { if (before !== undefined) await this.#own.addPool(before) })
  }

  async #keptPools(undo: () => Promise<void>): Promise<void> {
    const keep = async (): Promise<void> => this.#folder.keepPools(await this.#own.pools())
    const kept = this.#pools.then(keep, keep)
    this.#pools = kept.catch(() => undefined)
    try {
      await kept
    } catch (error) {
      await undo().catch(() => undefined)
      throw error
    }
  }

  /** The output of hypervisors before comes first. */
  async console(name: string, listener: ConsoleListener): Promise<ConsoleConnection> {
    const before = this.#entryOf(name)?.tail.before
    let begun = false
    const first = (): void => {
      if (!begun && before !== undefined && before.length > 0) listener.output(before)
      begun = true
    }
    const connection = await this.#own.console(name, {
      output: (bytes) => {
        first()
        listener.output(bytes)
      },
      closed: () => { listener.closed() },
    })
    first()
    return connection
  }

  async events(name?: string): Promise<readonly HypervisorEvent[]> {
    return this.#events.last(name)
  }

  on(listener: (event: HypervisorEvent) => void): () => void {
    const own = (event: HypervisorEvent): void => { listener(event) }
    this.#listeners.add(own)
    return () => { this.#listeners.delete(own) }
  }

  /** Saves a machine, for the next hypervisor to go on with. */
  async #saved(name: string, entry: Entry, runs: boolean): Promise<void> {
    const file = this.#folder.snapshotFile(name)
    try {
      // Afterwards nothing of it may change, on its disks neither.
      if (runs) await this.#own.pause(name)
      await this.#own.save(name, file)
    } catch (error) {
      const { restart = 'never' } = this.#own.specs().find((spec) => spec.name === name) ?? {}
      if (!isMachinistError(error) || error.code !== 'processor-lost' || restart === 'never') throw error
      // It would have been started again, and goes on from there.
      this.#say('warning', name, 'its processor has gone while it was saved, so that it is started again, and saved')
      await this.#own.start(name)
      await this.#own.pause(name)
      await this.#own.save(name, file)
    }
    entry.resume = { file, paused: entry.paused }
  }

  /** Ends it in good order: machines that run are saved, and the next hypervisor goes on with them, or are switched off. */
  async shutDown({ machines = 'save', within = 0 }: ShutDownOptions = {}): Promise<void> {
    this.#ending = true
    const running = (await this.#own.machines()).filter(isOn)
    // Guests that are asked take their time together.
    await forEach(running, machines === 'save' ? AT_ONCE : running.length, async ({ name, state }) => {
      const entry = this.#entryOf(name)
      try {
        if (machines === 'save' && entry !== undefined) await this.#saved(name, entry, state === 'running')
      } catch (error) {
        this.#say('warning', name, `it could not be saved, and is switched off: ${isMachinistError(error) ? error.message : reasonOf(error)}`)
        await this.#own.resume(name).catch(() => undefined)
      }
      try {
        await this.#own.stop(name, entry?.resume === null ? within : 0)
        if (entry !== undefined) entry.runs = false
        await this.#keep(name)
      } catch (error) {
        this.#say('warning', name, `it could not be switched off: ${reasonOf(error)}`)
      }
    })
    await this.#pools
    this.#unsubscribe()
    this.#own.close()
    for (const { tail, again, writing } of this.#entries.values()) {
      await (again ?? writing)?.catch(() => undefined)
      tail.close()
    }
    await this.#folder.keepRun(true)
    // The next one that ends without notice has last words of its own.
    await truncate(this.#outputFile).catch(() => undefined)
  }
}
