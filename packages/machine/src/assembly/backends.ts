import {
  type Backend, type BackendKind, type BackendPorts, type BackendWants, type BlockPort, type BlockStatus, type CharLine, type CharPort, type FilesPort, machinistError, type PortsOf,
} from '@machinist/api'
import { CharLines, type OwnLine } from './char-lines.ts'
import type { BackendDescriptor } from '../definition/definition.ts'
import type { Gate } from '../running/gate.ts'
import type { MachineHost } from './host.ts'
import { POWER_BUTTON, PowerButton } from './power-button.ts'
import type { RestoredBackends } from './saved-backends.ts'
import type { Timers } from '../running/timers.ts'
import type { Connect, Tape } from '../tape/tape.ts'
import type { VirtualTime } from '../running/virtual-time.ts'

/** What a guest that knows a disk relies on. */
export interface SavedDisk {
  /** Bytes. */
  readonly size: number
  readonly readOnly: boolean
}

/** What the machine itself offers to parts that are given nothing else. */
export type OwnPorts = { readonly [Kind in 'entropy' | 'wallClock' | 'power']: BackendPorts[Kind] }

const nullChar: CharLine = { write: (bytes) => bytes.length, send() {}, more() {}, read: () => 0, listen() {} }

/** No disk, or no medium: one without bytes. */
const nullBlock: BlockPort = {
  size: 0, readOnly: true, blockSize: 512,
  read(_offset, _into, done) { done('out-of-range') }, write(_offset, _from, done) { done('read-only') }, flush(done) { done('ok') },
}

/** Turns descriptors into ports, and remembers what to close. */
export class BackendConnector {
  readonly #host: MachineHost
  readonly #gate: Gate
  readonly #live: ReadonlyMap<string, Backend<unknown>>
  readonly #own: OwnPorts
  readonly #time: VirtualTime
  readonly #timers: Timers
  readonly #tape: Tape | null
  readonly #open: Backend<unknown>[] = []
  /** What the host made of plain data, by part and port. */
  readonly made: Map<string, Backend<unknown>> = new Map<string, Backend<unknown>>()
  /** What its host presses to have the guest end. */
  readonly buttons: PowerButton[] = []
  readonly #restored: RestoredBackends
  /** All, by part and port. */
  readonly #connected = new Map<string, Backend<unknown>>()
  /** What a guest may know of disks, by part and port. */
  readonly disks: Map<string, SavedDisk> = new Map<string, SavedDisk>()
  /** Parts and ports whose requests are done again by a machine that goes on from their state. */
  readonly #redone = new Set<string>()
  #inFlight = 0
  #filing = 0
  readonly #drained: (() => void)[] = []
  readonly #chars = new Map<string, CharLine & Partial<OwnLine>>()
  /** What streams have yet to hand to the host. */
  readonly output: CharLines
  /** Sharers whose stream is not connected yet, with the name of what they wait for. */
  readonly #waiting: { readonly part: string; readonly on: string; readonly connect: (line: CharLine) => void }[] = []

  /**
   * @param timers - for backends alone: they outlive a reset
   * @param restored - what backends have back
   * @param onStall - told when output must go before a hart may go on
   * @param tape - records what comes from backends, or is there in their place
   */
  constructor(
    host: MachineHost, gate: Gate, live: ReadonlyMap<string, Backend<unknown>>, own: OwnPorts, time: VirtualTime, timers: Timers, restored: RestoredBackends,
    onStall: () => void, tape: Tape | null,
  ) {
    this.#host = host
    this.#gate = gate
    this.#live = live
    this.#own = own
    this.#time = time
    this.#timers = timers
    this.#restored = restored
    this.#tape = tape
    this.output = new CharLines(onStall, gate.from('machine.output'))
  }

  /**
   * The ports for a part.
   *
   * @param redoes - whether its requests to disks need not come back before it is saved: `DeviceSpec.redoesRequests`
   * @throws typed errors `'backend-missing'`, `'backend-unknown'`, `'backend-kind'`, `'backend-name'`
   */
  connect<Wants extends BackendWants>(owner: string, wants: Wants, given: Readonly<Record<string, BackendDescriptor>>, redoes: boolean = false): PortsOf<Wants> {
    for (const name of Object.keys(given)) {
      if (!Object.hasOwn(wants, name)) {
        throw machinistError(
          { code: 'backend-name', part: owner, value: name, remedy: `Use one of ${Object.keys(wants).join(', ') || 'none'}.` },
          'it takes no such backend')
      }
    }
    const ports: Record<string, unknown> = {}
    for (const [name, kind] of Object.entries(wants)) {
      ports[name] = this.#port(`${owner}.${name}`, kind, given[name])
      if (redoes) this.#redone.add(`${owner}.${name}`)
    }
    return ports as PortsOf<Wants>
  }

  #port(part: string, kind: BackendKind, descriptor: BackendDescriptor | undefined): unknown {
    if (descriptor === undefined) {
      if (kind === 'entropy' || kind === 'wallClock' || kind === 'power') return this.#own[kind]
      throw machinistError({ code: 'backend-missing', part, value: kind, remedy: kind === 'char' ? "Give it one, or 'null'." : 'Give it one.' }, 'it has no backend')
    }
    if (kind === 'char') {
      const port = descriptor === 'null' ? nullChar : this.#shared(part, descriptor) ?? this.output.line(part, this.#attach(part, kind, descriptor) as CharPort)
      this.#chars.set(part, port)
      return port
    }
    if (kind === 'block' && descriptor === 'null') return nullBlock
    return this.#attach(part, kind, descriptor)
  }

  /**
   * Another part's stream: output goes there, and with `input: true` either takes what comes. The other may come later in
   * the definition, so it is looked up at each access.
   */
  #shared(part: string, descriptor: BackendDescriptor): CharLine | null {
    if (typeof descriptor === 'string' || descriptor.type !== 'share') return null
    const { with: other, input = false } = descriptor
    if (typeof other !== 'string') {
      throw machinistError({ code: 'backend-unknown', part, value: String(other), remedy: "Give a name such as 'uart0.console'." }, 'it shares the stream of nobody')
    }
    const line = (): CharLine & Partial<OwnLine> => this.#chars.get(other) ?? nullChar
    let listener: Parameters<CharPort['listen']>[0] | null = null
    this.#waiting.push({
      part, on: other,
      connect(to) { to.listen({ readable() { if (input === true) listener?.readable() }, writable() { listener?.writable() } }) },
    })
    return {
      write(bytes) {
        const taken = line().write(bytes)
        line().shared?.()
        return taken
      },
      send(bytes) {
        line().send(bytes)
        line().shared?.()
      },
      more: (is) => { line().more(is) },
      read: (into) => input === true ? line().read(into) : 0,
      listen(to) { listener = to },
      get ended() { return input !== true || line().ended === true },
    }
  }

  #attach(part: string, kind: BackendKind, descriptor: BackendDescriptor): unknown {
    const connect = this.#tape?.replaying === true ? () => null : this.#backend(part, kind, descriptor)
    const port = this.#tape === null
      ? connect(this.#gate.from(part), { now: () => this.#time.now, idle: () => this.#time.idle, timer: (expired) => this.#timers.create(`timer:${part}`, expired) })
      : this.#tape.port(part, kind, connect)
    if (kind === 'block') {
      const { size, readOnly } = port as BlockPort
      this.disks.set(part, { size, readOnly })
    }
    return kind === 'block' ? this.#counted(port as BlockPort) : kind === 'files' ? this.#countedFiles(port as FilesPort) : port
  }

  /** Finds or makes a part's backend; returns what connects it. */
  #backend(part: string, kind: BackendKind, descriptor: BackendDescriptor): Connect {
    const name = typeof descriptor === 'string' ? descriptor : descriptor.type
    const live = typeof descriptor === 'string' ? this.#live.get(descriptor) : undefined
    const found = live ?? this.#button(kind, descriptor) ?? this.#host.backend?.(descriptor, kind, part) ?? null
    if (found === null) {
      throw machinistError({ code: 'backend-unknown', part, value: name, remedy: `Use ${[...this.#live.keys()].join(', ') || 'one that this host has'}, or make one and hand it over.` }, 'the host has no such backend')
    }
    if (found.kind !== kind) {
      throw machinistError({ code: 'backend-kind', part, value: found.kind, remedy: `Give it one of kind '${kind}'.` }, 'a backend of another kind')
    }
    const backend = this.#host.attach?.(found, kind, part) ?? found
    const remember = (): void => { if (!this.#open.includes(backend)) this.#open.push(backend) }
    // What the host made is ours to close; what the program gave may belong to another machine until it is connected.
    if (live === undefined) {
      remember()
      this.made.set(part, found)
    }
    this.#restored.give(part, backend)
    return (deliver, clock) => {
      const port = backend.connect(deliver, clock)
      remember()
      this.#connected.set(part, backend)
      return port
    }
  }

  #button(kind: BackendKind, descriptor: BackendDescriptor): PowerButton | null {
    if (kind !== 'input' || descriptor !== POWER_BUTTON) return null
    const button = new PowerButton()
    this.buttons.push(button)
    return button
  }

  /** Files whose requests are counted: done twice, in a machine and in one that goes on from its state, they would be done twice. */
  #countedFiles(port: FilesPort): FilesPort {
    return {
      tree: port.tree,
      readOnly: port.readOnly,
      settle: (work, done) => {
        this.#filing++
        port.settle(work, (outcome) => {
          this.#filing--
          done(outcome)
        })
      },
    }
  }

  /**
   * A disk whose requests are counted. Their buffers are guest memory, so RAM must not be given away, and the machine
   * not begin anew, before they are done.
   */
  #counted(port: BlockPort): BlockPort {
    const count = (done: (status: BlockStatus) => void): ((status: BlockStatus) => void) => {
      this.#inFlight++
      let open = true
      return (status) => {
        if (open) this.#inFlight--
        open = false
        done(status)
        if (this.#inFlight === 0 && this.#drained.length > 0) for (const waiter of this.#drained.splice(0)) waiter()
      }
    }
    const { readAtOnce, discard, writeZeroes } = port
    return {
      size: port.size,
      readOnly: port.readOnly,
      blockSize: port.blockSize,
      read: (offset, into, done) => { port.read(offset, into, count(done)) },
      ...(readAtOnce && {
        readAtOnce: (offset: number, into: readonly Uint8Array[], done: (status: BlockStatus) => void) => {
          if (readAtOnce.call(port, offset, into, count(done))) return true
          // It is not in flight, and its `done` will not be called.
          this.#inFlight--
          return false
        },
      }),
      write: (offset, from, done) => { port.write(offset, from, count(done)) },
      flush: (done) => { port.flush(count(done)) },
      ...(discard && { discard: (offset: number, length: number, done: (status: BlockStatus) => void) => { discard.call(port, offset, length, count(done)) } }),
      ...(writeZeroes && { writeZeroes: (offset: number, length: number, done: (status: BlockStatus) => void) => { writeZeroes.call(port, offset, length, count(done)) } }),
    }
  }

  /** Disk requests that are not done. */
  get inFlight(): number {
    return this.#inFlight
  }

  /** Requests to disks and folders that are not done. */
  get underWay(): number {
    return this.#inFlight + this.#filing
  }

  /** Those of them that have to come back before the machine can be copied. */
  get due(): number {
    let held = 0
    for (const [part, backend] of this.#connected) if (this.#redone.has(part)) held += backend.heldBack?.() ?? 0
    return this.underWay - held
  }

  /** What is connected, by part and port. */
  get connected(): ReadonlyMap<string, Backend<unknown>> {
    return this.#connected
  }

  /** Calls back, once, when the last disk request is done. */
  whenDrained(callback: () => void): void {
    this.#drained.push(callback)
  }

  /** To be called when all parts are connected: sharers must have found each other, and what was saved its place. */
  check(): void {
    this.#restored.end()
    for (const { part, on, connect } of this.#waiting) {
      const line = this.#waiting.some((other) => other.part === on) ? undefined : this.#chars.get(on)
      if (line !== undefined) {
        connect(line)
        continue
      }
      throw machinistError({ code: 'backend-unknown', part, value: on, remedy: `Use one of ${[...this.#chars.keys()].filter((name) => name !== part).join(', ') || 'none'}.` }, 'it shares the stream of nobody')
    }
  }

  /** Closes all that was connected. */
  close(): void {
    for (const backend of this.#open.splice(0)) backend.close?.()
  }
}
