import { type Device, type DeviceContext, type DmaSpace, machinistError, type Width } from '@machinist/api'
import { type PlainData, plainData, RegisterBlock, type RegisterState } from '@machinist/registers'
import { type Controller, runAdmin } from './admin.ts'
import { Command, COMMAND_WORDS } from './command.ts'
import { EventInfo, EventType, eventState, Events, type NvmeEventState } from './events.ts'
import { FEATURE_VALUES, Features, type NvmeFeatureState } from './features.ts'
import type { NvmeErrorEntry } from './log-pages.ts'
import { Namespace, type Traffic } from './namespace.ts'
import { CompletionQueue, completionQueue, type NvmeCompletionState, SubmissionQueue, submissionQueue, type NvmeSubmissionState } from './queues.ts'
import { DOORBELL, DOORBELLS, ERROR_ENTRIES, LEAST_ENTRIES, MOST_QUEUES, MOST_TRANSFER, nvmeRegisters, PAGE_RANGE, PAGE_SHIFT, Result } from './registers.ts'

/** Configuration of a controller, checked. */
export interface NvmeConfig {
  /** What the guest sees as serial number, at most 20 printable ASCII characters. Default: the name of the device, cut. */
  readonly serial: string
  /** Bytes of a logical block, 512 or 4096. Default: 512. */
  readonly blockSize: 512 | 4096
  /** Pairs of queues for I/O, 1 to 64. Default: 8. */
  readonly queues: number
}

/** Backends of a controller: the disk that is its namespace. */
export type NvmeBackends = Readonly<Record<'disk', 'block'>>
/** The interrupt pin of a controller, for guests without MSI-X. */
export type NvmeIrq = 'intx'

/** Saved state of a controller. */
export interface NvmeState {
  readonly registers: RegisterState
  readonly submissions: readonly NvmeSubmissionState[]
  readonly completions: readonly NvmeCompletionState[]
  /** Commands under way, which are done again. */
  readonly commands: readonly { readonly queue: number; readonly words: readonly number[] }[]
  /** The submission queue whose turn it is. */
  readonly turn: number
  readonly features: NvmeFeatureState
  readonly events: NvmeEventState
  readonly traffic: readonly number[]
  readonly errors: number
  readonly errorLog: readonly NvmeErrorEntry[]
}

/** Bytes of commands in flight, at most, and what each counts at least. */
const [IN_FLIGHT, LEAST_COST] = [8 << 20, 32_768]
/** Commands that one access of the guest, or one event, begins at most. */
const AT_ONCE = 64
const again = 'again'
/** States of a shutdown (CSTS.SHST). */
const Shutdown = { underWay: 1, done: 2 } as const
/** Bit 14 of the status field: to do it again would end in the same. */
const DO_NOT_RETRY = 0x4000
/** Those that may end otherwise the next time. */
const transient: readonly number[] = [Result.internal, Result.abortRequested, Result.writeFault, Result.unrecoveredRead, Result.capacity]

/** A controller with one namespace. */
export class NvmeController implements Device<NvmeState>, Controller {
  readonly vendor: number
  readonly serial: string
  readonly queues: number
  readonly namespace: Namespace
  readonly features: Features
  readonly events: Events = new Events()
  readonly submissions: Map<number, SubmissionQueue> = new Map<number, SubmissionQueue>()
  readonly completions: Map<number, CompletionQueue> = new Map<number, CompletionQueue>()
  readonly #context: DeviceContext<NvmeIrq, NvmeBackends>
  readonly #registers: RegisterBlock<typeof nvmeRegisters>
  readonly #commands = new Set<Command>()
  /** Of those, the ones that the disk knows of. */
  readonly #begun = new WeakSet<Command>()
  #errorCount = 0
  #errorLog: NvmeErrorEntry[] = []
  #turn = 0
  /** Requests that the disk has yet to end, and their bytes: also those for which nobody waits any more. */
  #asked = 0
  #inFlight = 0
  #running = false
  /** The disk flushes for a shutdown. */
  #flushing = false

  constructor(config: NvmeConfig, vendor: number, context: DeviceContext<NvmeIrq, NvmeBackends>) {
    const { disk } = context.backends
    if (disk.size === 0 || disk.size % config.blockSize !== 0) {
      throw machinistError({ code: 'disk-size', part: context.name, value: disk.size, remedy: `Use a disk that is a multiple of ${config.blockSize} bytes.` }, 'the disk does not end at the end of a block')
    }
    this.#context = context
    this.vendor = vendor
    this.serial = config.serial
    this.queues = config.queues
    this.namespace = new Namespace(disk, config.blockSize)
    this.features = new Features(config.queues)
    this.#registers = new RegisterBlock(nvmeRegisters, {
      name: context.name, trace: context.trace,
      read: { INTMC: () => this.#registers.get('INTMS') },
      write: {
        INTMS: () => { this.changed() },
        INTMC: (value) => {
          this.#registers.set('INTMC', 0)
          this.#registers.set('INTMS', this.#registers.get('INTMS') & ~value)
          this.changed()
        },
        CC: (_value, old) => { this.#configured(old) },
      },
    })
  }

  get dma(): DmaSpace {
    return this.#context.dma
  }

  get page(): number {
    return 2 ** (PAGE_SHIFT + Math.min(PAGE_RANGE, this.#registers.field('CC', 'MPS')))
  }

  get cached(): boolean {
    return this.features.cached
  }

  get shifts(): { readonly submission: number; readonly completion: number } {
    return { submission: this.#registers.field('CC', 'IOSQES'), completion: this.#registers.field('CC', 'IOCQES') }
  }

  get errors(): { readonly count: number; readonly list: readonly NvmeErrorEntry[] } {
    return { count: this.#errorCount, list: this.#errorLog }
  }

  read(_region: number, offset: number, width: Width): number {
    return offset < DOORBELLS ? this.#registers.read(offset, width) : 0
  }

  write(_region: number, offset: number, width: Width, value: number): void {
    if (offset < DOORBELLS) this.#registers.write(offset, width, value)
    else if (width === DOORBELL && offset % DOORBELL === 0) this.#doorbell((offset - DOORBELLS) / DOORBELL, value & 0xffff)
  }

  event(): void {
    this.#settle()
    if (this.#registers.field('CSTS', 'SHST') === Shutdown.underWay) this.#shutDown()
    // Of a state that was restored: what the disk was asked for is asked for again.
    this.#running = true
    for (const command of [...this.#commands]) if (!this.#begun.has(command)) this.#begin(command)
    this.#running = false
    this.#run()
  }

  reset(): void {
    this.#context.clock.timer(again).cancel()
    this.#forget()
    this.#registers.reset()
    this.features.reset()
    this.#errorLog = []
    this.changed()
  }

  save(): NvmeState {
    const { reads, writes, sectorsRead, sectorsWritten, mediaErrors } = this.namespace.traffic
    return {
      registers: this.#registers.save(),
      submissions: [...this.submissions.values()].map((queue) => queue.save()),
      completions: [...this.completions.values()].map((queue) => queue.save()),
      commands: [...this.#commands].map(({ queue, words }) => ({ queue, words: [...words] })),
      turn: this.#turn, features: this.features.save(), events: this.events.save(),
      traffic: [reads, writes, sectorsRead, sectorsWritten, mediaErrors],
      errors: this.#errorCount, errorLog: this.#errorLog.map((entry) => ({ ...entry })),
    }
  }

  restore(state: NvmeState): void {
    const { name } = this.#context
    const data = plainData(name, state, 'state')
    const registers = data.unknown('registers')
    const submissions = data.list('submissions', this.queues + 1, submissionQueue)
    const completions = data.list('completions', this.queues + 1, completionQueue)
    const commands = data.list('commands', IN_FLIGHT / LEAST_COST, (each) => new Command(each.integer('queue', 1, MOST_QUEUES), Uint32Array.from(each.integers('words', COMMAND_WORDS, 0, 0xffff_ffff))))
    const turn = data.integer('turn', 0, MOST_QUEUES)
    const features = featureState(plainData(`${name}.features`, data.unknown('features'), 'state'), this.queues)
    const eventData = plainData(`${name}.events`, data.unknown('events'), 'state')
    const events = eventState(eventData)
    eventData.done()
    const traffic = data.integers('traffic', 5, 0, Number.MAX_SAFE_INTEGER)
    const errors = data.integer('errors', 0, Number.MAX_SAFE_INTEGER)
    const errorLog = data.list('errorLog', ERROR_ENTRIES, errorEntry)
    data.done()
    const [byId, completionIds] = [new Set(submissions.map(({ id }) => id)), new Set(completions.map(({ id }) => id))]
    const good = byId.size === submissions.length && completionIds.size === completions.length && [...byId, ...completionIds].every((id) => id <= this.queues) &&
      submissions.every(({ completion }) => completionIds.has(completion)) && commands.every(({ queue }) => byId.has(queue)) && completions.every(({ vector }) => vector <= this.queues)
    if (!good) throw machinistError({ code: 'state', part: name, remedy: 'Restore a state saved by this version of this device.' }, 'queues that do not belong together')
    this.#registers.restore(registers)
    this.#forget()
    for (const queue of submissions) this.submissions.set(queue.id, queue)
    for (const queue of completions) this.completions.set(queue.id, queue)
    for (const command of commands) this.#commands.add(command)
    this.#turn = turn
    this.features.restore(features)
    this.events.restore(events)
    const [reads = 0, writes = 0, sectorsRead = 0, sectorsWritten = 0, mediaErrors = 0] = traffic
    Object.assign<Traffic, Traffic>(this.namespace.traffic, { reads, writes, sectorsRead, sectorsWritten, mediaErrors })
    this.#errorCount = errors
    this.#errorLog = errorLog
    this.changed()
    // When all of the machine is there.
    this.#context.clock.timer(again).arm(this.#context.clock.now())
  }

  abandon(queue: number): void {
    for (const command of this.#commands) if (command.queue === queue) this.#drop(command)
  }

  /** The pin follows what the host has not taken (7.5.1.1): it is for vector 0 to 31, which may be masked. */
  changed(): void {
    const masked = this.#registers.get('INTMS')
    let level = false
    for (const { interrupts, vector, posted } of this.completions.values()) if (interrupts && posted > 0 && (vector > 31 || (masked >>> vector & 1) === 0)) level = true
    this.#context.irq.intx.set(level)
  }

  endEvent(command: number, status: number, result: number): void {
    this.#complete(0, command, status, result)
  }

  get #working(): boolean {
    return this.#registers.field('CSTS', 'RDY') === 1 && this.#registers.field('CSTS', 'CFS') === 0 && this.submissions.has(0)
  }

  /** CC was written. */
  #configured(old: number): void {
    const [was, is] = [(old & 1) === 1, this.#registers.field('CC', 'EN') === 1]
    if (was && !is) {
      this.#forget()
      this.features.reset()
      this.#registers.set('INTMS', 0)
      this.#registers.setField('CSTS', 'SHST', 0)
      this.#registers.setField('CSTS', 'CFS', 0)
      this.changed()
    }
    this.#settle()
    const asks = this.#registers.field('CC', 'SHN')
    if ((asks === 1 || asks === 2) && this.#registers.field('CSTS', 'SHST') === 0) {
      this.#registers.setField('CSTS', 'SHST', Shutdown.underWay)
      this.#shutDown()
    }
  }

  /** It is ready when it is told to be, and not when it is not: once the disk has ended all that it was asked for before (7.3.2). */
  #settle(): void {
    if (this.#asked > 0 || this.#registers.field('CSTS', 'CFS') === 1) return
    if (!this.submissions.has(0)) this.#registers.setField('CSTS', 'RDY', 0)
    if (this.#registers.field('CC', 'EN') === this.#registers.field('CSTS', 'RDY')) return
    this.#registers.setField('CSTS', this.#start() ? 'RDY' : 'CFS', 1)
  }

  /** Makes the admin queues (7.6.1); false when they cannot be. */
  #start(): boolean {
    const registers = this.#registers
    const [submissions, completions] = [registers.field('AQA', 'ASQS') + 1, registers.field('AQA', 'ACQS') + 1]
    const [asq, acq] = [Number(registers.get64('ASQ')), Number(registers.get64('ACQ'))]
    const good = registers.field('CC', 'CSS') === 0 && registers.field('CC', 'AMS') === 0 && registers.field('CC', 'MPS') <= PAGE_RANGE && submissions >= LEAST_ENTRIES && completions >= LEAST_ENTRIES && asq % this.page === 0 && acq % this.page === 0
    if (!good) return false
    this.submissions.set(0, new SubmissionQueue({ id: 0, base: asq, entries: submissions }, 0))
    this.completions.set(0, new CompletionQueue({ id: 0, base: acq, entries: completions }, 0, true))
    return true
  }

  #shutDown(): void {
    if (this.#flushing) return
    this.#flushing = true
    this.#asked++
    this.namespace.port.flush(() => {
      this.#asked--
      this.#flushing = false
      if (this.#registers.field('CSTS', 'SHST') === Shutdown.underWay) this.#registers.setField('CSTS', 'SHST', Shutdown.done)
      this.#settle()
    })
  }

  /** Queues, and what is under way, are not there any more. */
  #forget(): void {
    for (const command of this.#commands) this.#drop(command)
    this.submissions.clear()
    this.completions.clear()
    this.events.reset()
    this.#turn = 0
  }

  #drop(command: Command): void {
    command.live = false
    this.#commands.delete(command)
  }

  /** A doorbell (3.1.24, 3.1.25): of submission queue n at 2n, of completion queue n at 2n + 1. */
  #doorbell(index: number, value: number): void {
    if (!this.#working) return
    const id = index >> 1
    if (index % 2 === 0) {
      const queue = this.submissions.get(id)
      if (queue === undefined) return this.#raise(EventInfo.unknownDoorbell)
      if (value >= queue.entries) return this.#raise(EventInfo.doorbellValue)
      queue.tail = value
    } else {
      const queue = this.completions.get(id)
      if (queue === undefined) return this.#raise(EventInfo.unknownDoorbell)
      const taken = (value - queue.head + queue.entries) % queue.entries
      if (value >= queue.entries || taken > queue.posted) return this.#raise(EventInfo.doorbellValue)
      queue.head = value
      this.#post(queue)
      // What is left asks again.
      if (queue.posted > 0 && queue.interrupts) this.#context.msi?.send(queue.vector)
      this.changed()
    }
    this.#run()
  }

  #raise(info: number): void {
    this.events.raise(EventType.error, info)
    this.#tell()
  }

  #tell(): void {
    for (let event = this.events.next(); event !== null; event = this.events.next()) this.#complete(0, event.command, Result.ok, event.result)
  }

  /** Takes commands, one of each queue in turn, as many as there is room and time for. */
  #run(): void {
    if (this.#running) return
    this.#running = true
    for (let taken = 0; this.#working; taken++) {
      if (this.#inFlight + MOST_TRANSFER > IN_FLIGHT) break
      const queue = this.#next()
      if (queue === null) break
      if (taken === AT_ONCE) {
        this.#context.clock.timer(again).arm(this.#context.clock.now())
        break
      }
      this.#turn = (queue.id + 1) % (this.queues + 1)
      const command = queue.fetch(this.dma)
      if (command === null) {
        this.#fail()
        break
      }
      if (queue.id === 0) this.#admin(command)
      else {
        this.#commands.add(command)
        this.#begin(command)
      }
    }
    this.#running = false
  }

  /** The queue whose turn it is of those that have a command, and room for what is told of its end. */
  #next(): SubmissionQueue | null {
    for (let step = 0; step <= this.queues; step++) {
      const queue = this.submissions.get((this.#turn + step) % (this.queues + 1))
      if (queue !== undefined && queue.head !== queue.tail && this.completions.get(queue.completion)?.waiting.length === 0) return queue
    }
    return null
  }

  #admin(command: Command): void {
    const ended = runAdmin(command, this)
    if (ended !== null) {
      if (ended.status !== Result.ok) this.#log(command, ended.status)
      this.#complete(0, command.id, ended.status, ended.result)
    }
    if (this.features.alarming !== 0) this.events.raise(EventType.health, EventInfo.temperature)
    this.#tell()
  }

  #begin(command: Command): void {
    const cost = Math.max(LEAST_COST, this.namespace.cost(command))
    this.#begun.add(command)
    this.#asked++
    this.#inFlight += cost
    this.namespace.run(command, this, (status) => {
      this.#asked--
      this.#inFlight -= cost
      if (command.live) {
        this.#drop(command)
        if (status !== Result.ok) this.#log(command, status)
        this.#complete(command.queue, command.id, status, 0)
      }
      this.#settle()
      this.#run()
    })
  }

  /** Remembers an error. */
  #log(command: Command, status: number): void {
    this.#errorCount++
    this.#errorLog = [{ count: this.#errorCount, queue: command.queue, command: command.id, status, block: command.queue === 0 ? 0 : command.long(10), namespace: command.namespace }, ...this.#errorLog.slice(0, ERROR_ENTRIES - 1)]
  }

  #complete(queue: number, command: number, status: number, result: number): void {
    const to = this.completions.get(this.submissions.get(queue)?.completion ?? -1)
    if (to === undefined) return
    to.waiting.push({ result, queue, command, status: status | (status === Result.ok || transient.includes(status) ? 0 : DO_NOT_RETRY) })
    this.#post(to)
  }

  #post(queue: CompletionQueue): void {
    let posted = false
    while (!queue.full) {
      const [first] = queue.waiting
      if (first === undefined) break
      if (!queue.post(this.dma, first, this.submissions.get(first.queue)?.head ?? 0)) {
        this.#fail()
        break
      }
      queue.waiting.shift()
      posted = true
    }
    if (!posted) return
    if (queue.interrupts) this.#context.msi?.send(queue.vector)
    this.changed()
  }

  /** Queues that are no memory: it does nothing more until it is reset (9.5). */
  #fail(): void {
    this.#context.trace.warn(`${this.#context.name}: a queue is where no memory is`)
    this.#registers.setField('CSTS', 'CFS', 1)
  }
}

function featureState(data: PlainData, queues: number): NvmeFeatureState {
  const state = { values: data.integers('values', FEATURE_VALUES, 0, 0xffff_ffff), vectors: data.integers('vectors', queues + 1, 0, 1), thresholds: data.integers('thresholds', 2, 0, 0xffff) }
  data.done()
  return state
}

function errorEntry(data: PlainData): NvmeErrorEntry {
  return {
    count: data.integer('count', 0, Number.MAX_SAFE_INTEGER), queue: data.integer('queue', 0, MOST_QUEUES), command: data.integer('command', 0, 0xffff), status: data.integer('status', 0, 0x7fff),
    block: data.integer('block', 0, 2 ** 64), namespace: data.integer('namespace', 0, 0xffff_ffff),
  }
}
