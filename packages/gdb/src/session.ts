import { machinistError, type VcpuDebug } from '@machinist/api'
import { type Halt, type Machine, Seeker } from '@machinist/machine'
import { DebugMemory } from './memory.ts'
import { monitor, type MonitorView } from './monitor.ts'
import { type Incoming, MAX_PACKET, packet, PacketReader } from './packet.ts'
import { answerQuery } from './queries.ts'
import { readAll, readOne, writeAll, writeOne } from './registers.ts'
import { Stops } from './stops.ts'
import { bytesOf, fromHex, latin, parseHex, parseSmallHex, textToHex, toHex } from './text.ts'
import { type Mode, parseContinue, parseThread, type ThreadId } from './threads.ts'

/** The other end of a session: a connection to a debugger. */
export interface GdbConnection {
  /** Takes bytes for the debugger, in order. */
  send(bytes: Uint8Array): void
  /** The session is over: nothing is sent any more. */
  close(): void
}

/** One debugger at a machine. */
export interface GdbSession {
  /** What the debugger sent, in pieces of any size. Never throws on account of them. */
  receive(bytes: Uint8Array): void
  /** The connection is gone. Breakpoints are forgotten, and the machine goes on. */
  end(): void
}

const SIGINT = '02'
const SIGTRAP = '05'
/** Characters of a command's output in one packet. */
const OUTPUT_PIECE = MAX_PACKET / 4

/**
 * Lets a debugger take over a machine: it is stopped, and goes on when the debugger says so, or when the session ends. Or a recording, in which it goes
 * forwards and backwards, and which stays where it is when the session ends; of that, nothing can be written to. One session at a time.
 *
 * @throws a typed error `'no-debugging'` when the CPU's harts cannot be debugged
 */
export function gdbSession(target: Machine | Seeker, connection: GdbConnection): GdbSession {
  return new Session(target, connection)
}

function debugsOf(machine: Machine): readonly VcpuDebug[] {
  return machine.vcpus.map(({ debug }) => {
    if (debug !== undefined) return debug
    throw machinistError({ code: 'no-debugging', part: 'cpu', remedy: 'Use a CPU whose harts have `debug`.' }, 'its harts cannot be debugged')
  })
}

class Session implements GdbSession {
  /** Of a recording, as it is now. */
  #machine: Machine
  readonly #seeker: Seeker | null
  readonly #connection: GdbConnection
  #harts: readonly VcpuDebug[]
  readonly #reader = new PacketReader()
  #memory: DebugMemory
  readonly #stops = new Stops()
  readonly #known = new Set<string>()
  readonly #listeners: (() => void)[]
  #acknowledges = true
  #last: Uint8Array | null = null
  /** The harts that registers and memory are those of, and that the old commands go on with. */
  #looked = 0
  #continued: ThreadId = 'all'
  /** What the machine does for us: nothing, it runs, or restarts. */
  #doing: 'nothing' | 'running' | 'restarting' = 'nothing'
  #signal = SIGTRAP
  /** What a stop reply says of the last stop. */
  #why = ''
  #ended = false

  constructor(target: Machine | Seeker, connection: GdbConnection) {
    this.#seeker = target instanceof Seeker ? target : null
    const machine = target instanceof Seeker ? target.machine : target
    this.#machine = machine
    this.#connection = connection
    this.#harts = debugsOf(machine)
    this.#memory = new DebugMemory(machine.memory)
    this.#listeners = this.#seeker !== null ? [] : [
      machine.on('state', ({ to }) => {
        if (to === 'paused') this.#stopped()
        else if (to === 'off' || to === 'disposed') this.#gone()
      }),
      machine.on('reset', () => { if (this.#doing === 'restarting') machine.pause() }),
    ]
    if (this.#seeker === null) machine.pause()
    else this.#seeker.interrupt()
  }

  receive(bytes: Uint8Array): void {
    this.#reader.push(bytes, (incoming) => { if (!this.#ended) this.#take(incoming) })
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    for (const remove of this.#listeners) remove()
    if (this.#seeker !== null) {
      this.#seeker.setStops([])
      this.#seeker.interrupt()
      return
    }
    if (this.#machine.state === 'disposed') return
    this.#stops.clear(this.#harts)
    for (const hart of this.#harts) hart.mode = 'run'
    this.#machine.resume()
  }

  get #view(): MonitorView {
    return { machine: this.#machine, harts: this.#harts, memory: this.#memory, hart: this.#hart }
  }

  get #hart(): VcpuDebug {
    const hart = this.#harts[this.#looked] ?? this.#harts[0]
    if (hart === undefined) throw new RangeError('a machine without harts')
    return hart
  }

  #take(incoming: Incoming): void {
    switch (incoming.kind) {
      case 'ack':
        this.#last = null
        return
      case 'nak':
        if (this.#last !== null && this.#acknowledges) this.#connection.send(this.#last)
        return
      case 'bad':
        if (this.#acknowledges) this.#connection.send(bytesOf('-'))
        return
      case 'interrupt':
        if (this.#doing !== 'running') return
        this.#signal = SIGINT
        if (this.#seeker === null) this.#machine.pause()
        else this.#seeker.interrupt()
        return
      case 'packet': {
        if (this.#acknowledges) this.#connection.send(bytesOf('+'))
        // Until it stops there is one thing to be said: that it ends.
        if (this.#doing !== 'nothing' && incoming.data !== 'k') return
        const answer = this.#command(incoming.data)
        if (answer !== null) this.#send(answer)
      }
    }
  }

  #send(data: string): void {
    if (this.#ended) return
    const bytes = packet(data)
    this.#last = bytes
    this.#connection.send(bytes)
  }

  /** The answer to a packet; null when there is none, or not yet. What is not known is answered by nothing at all (GDB manual, "Overview"). */
  #command(data: string): string | null {
    const [letter, rest] = [data.slice(0, 1), data.slice(1)]
    // What was recorded stays as it was.
    if (this.#seeker !== null && /^[GPMX]/.test(data)) return 'E01'
    switch (letter) {
      case '?': return this.#stopReply()
      case 'g': return readAll(this.#hart)
      case 'G': return writeAll(this.#hart, rest)
      case 'p': return readOne(this.#hart, rest)
      case 'P': return writeOne(this.#hart, rest)
      case 'm': return this.#read(rest)
      case 'M': return this.#write(rest, fromHex)
      case 'X': return this.#write(rest, bytesOf)
      case 'Z': case 'z': return this.#stops.packet(data)
      case 'H': return this.#choose(rest)
      case 'T': return typeof parseThread(rest, this.#harts.length) === 'number' ? 'OK' : 'E01'
      case 'c': case 's': return this.#goOld(letter, rest)
      case 'C': case 'S': return this.#goOld(letter, rest.replace(/^[0-9a-fA-F]{2};?/, ''))
      case 'b': return this.#goBack(rest)
      case 'D': return this.#detach()
      case 'k': return this.#kill()
      case 'v': return this.#verbose(data)
      case 'q': case 'Q': return this.#query(data)
    }
    return ''
  }

  #read(text: string): string {
    const [at = '', size = ''] = text.split(',', 2)
    const [address, length] = [parseHex(at), parseSmallHex(size)]
    if (address === null || length === null) return 'E01'
    const bytes = this.#memory.read(this.#hart, address, Math.min(length, MAX_PACKET / 2))
    return bytes.length > 0 || length === 0 ? toHex(bytes) : 'E0e'
  }

  #write(text: string, decode: (text: string) => Uint8Array | null): string {
    const [, at = '', size = '', data = ''] = /^([0-9a-fA-F]+),([0-9a-fA-F]+):(.*)$/s.exec(text) ?? []
    const [address, length, bytes] = [parseHex(at), parseSmallHex(size), decode(data)]
    if (address === null || length === null || bytes === null || bytes.length !== length) return 'E01'
    return this.#memory.write(this.#hart, address, bytes) ? 'OK' : 'E0e'
  }

  #choose(text: string): string {
    const thread = parseThread(text.slice(1), this.#harts.length)
    if (thread === null) return 'E01'
    if (text.startsWith('c')) this.#continued = thread
    else if (!text.startsWith('g')) return 'E01'
    else if (typeof thread === 'number') this.#looked = thread
    return 'OK'
  }

  /** `c`, `s` and their like with a signal: of the thread that `Hc` named, or of all. A step is always one hart's. */
  #goOld(command: string, text: string): string | null {
    if (text !== '') {
      const address = parseHex(text)
      if (address === null || !this.#hart.writeRegister(this.#hart.registers.find(({ name }) => name === 'pc')?.number ?? -1, address)) return 'E01'
    }
    const steps = command.toLowerCase() === 's'
    const only = typeof this.#continued === 'number' ? this.#continued : steps ? this.#looked : null
    return this.#go(this.#harts.map((_, index) => only !== null && index !== only ? 'hold' : steps ? 'step' : 'run'))
  }

  #verbose(data: string): string | null {
    if (data === 'vCont?') return 'vCont;c;C;s;S;t'
    if (data.startsWith('vCont;')) {
      const modes = parseContinue(data.slice('vCont;'.length), this.#harts.length)
      return modes === null ? 'E01' : this.#go(modes)
    }
    if (/^vKill(;|$)/.test(data)) {
      this.#send('OK')
      return this.#kill()
    }
    return ''
  }

  #go(modes: readonly Mode[]): string | null {
    if (modes.every((mode) => mode === 'hold')) return 'E16'
    const { seeker, step } = { seeker: this.#seeker, step: modes.indexOf('step') }
    // The harts of a recording take turns as they did then.
    if (seeker !== null) return this.#move(() => seeker.run(step < 0 ? null : { steps: (this.#machine.vcpus[step]?.steps ?? 0) + 1, hart: step }), step)
    if (this.#machine.state !== 'paused') return 'E01'
    this.#stops.apply(this.#harts)
    modes.forEach((mode, index) => {
      const hart = this.#harts[index]
      if (hart !== undefined) hart.mode = mode
    })
    this.#doing = 'running'
    this.#machine.resume()
    return null
  }

  /** `bs` and `bc`. */
  #goBack(how: string): string | null {
    const seeker = this.#seeker
    if (seeker === null || (how !== 's' && how !== 'c')) return ''
    const hart = typeof this.#continued === 'number' ? this.#continued : this.#looked
    return this.#move(() => how === 's' ? seeker.stepBack(hart) : seeker.runBack(), how === 's' ? hart : -1)
  }

  /** Moves about in a recording. `hart`: the one that steps, or −1. */
  #move(work: () => Promise<Halt>, hart: number): null {
    this.#doing = 'running'
    this.#signal = SIGTRAP
    this.#seeker?.setStops(this.#stops.list)
    work().then((halt) => { this.#moved(halt, hart) }, (error: unknown) => {
      // The run differs from the recording: it is at an end.
      this.#send(`O${textToHex(`${error instanceof Error ? error.message : String(error)}\n`)}`)
      this.#moved({ kind: 'end' }, hart)
    })
    return null
  }

  #moved(halt: Halt, hart: number): void {
    if (this.#ended || this.#seeker === null) return
    this.#doing = 'nothing'
    const { physical } = this.#memory
    this.#machine = this.#seeker.machine
    this.#harts = debugsOf(this.#machine)
    this.#memory = new DebugMemory(this.#machine.memory)
    this.#memory.physical = physical
    if (halt.kind === 'stop') this.#looked = halt.hart
    else if (hart >= 0) this.#looked = hart
    if (halt.kind !== 'interrupted') this.#signal = SIGTRAP
    this.#why = halt.kind === 'stop' ? this.#stops.describe(halt.reason, this.#known) : halt.kind === 'begin' || halt.kind === 'end' ? `replaylog:${halt.kind};` : ''
    this.#send(this.#stopReply())
  }

  /** It paused, for a hart's reason, at our wish, or at somebody else's. */
  #stopped(): void {
    const was = this.#doing
    this.#doing = 'nothing'
    if (was === 'restarting') return this.#send('OK')
    if (was !== 'running') return
    const hart = this.#harts.findIndex(({ reason }) => reason !== null)
    if (hart >= 0) {
      this.#looked = hart
      this.#signal = SIGTRAP
    } else {
      this.#signal = SIGINT
    }
    this.#send(this.#stopReply())
  }

  #stopReply(): string {
    const { state, status } = this.#machine
    if (this.#seeker !== null) return `T${this.#signal}thread:${(this.#looked + 1).toString(16)};${this.#why}`
    if (state === 'off' || state === 'disposed') return `W${((status ?? 0) & 0xff).toString(16).padStart(2, '0')}`
    return `T${this.#signal}thread:${(this.#looked + 1).toString(16)};${this.#stops.describe(this.#hart.reason, this.#known)}`
  }

  #gone(): void {
    if (this.#doing !== 'nothing') this.#send(this.#stopReply())
    this.#doing = 'nothing'
    this.end()
    this.#connection.close()
  }

  #detach(): null {
    this.#send('OK')
    this.end()
    this.#connection.close()
    return null
  }

  #kill(): null {
    this.#doing = 'nothing'
    if (this.#seeker === null) this.#machine.powerOff(0)
    else {
      this.#seeker.dispose()
      this.end()
      this.#connection.close()
    }
    return null
  }

  #query(data: string): string | null {
    if (data === 'QStartNoAckMode') {
      this.#send('OK')
      this.#acknowledges = false
      return null
    }
    const mode = /^Qqemu\.PhyMemMode:([01])$/.exec(data)
    if (mode !== null) {
      this.#memory.physical = mode[1] === '1'
      return 'OK'
    }
    if (data.startsWith('qRcmd,')) return this.#monitor(data.slice('qRcmd,'.length))
    return answerQuery(this.#view, this.#looked, data, this.#known, this.#seeker !== null) ?? ''
  }

  #monitor(text: string): string | null {
    const line = fromHex(text)
    if (line === null) return 'E01'
    const result = monitor(this.#view, latin(line))
    if ('text' in result) {
      for (let at = 0; at < result.text.length; at += OUTPUT_PIECE) this.#send(`O${textToHex(result.text.slice(at, at + OUTPUT_PIECE))}`)
      return 'OK'
    }
    if (result.then === 'power-off') {
      this.#send('OK')
      return this.#kill()
    }
    if (this.#machine.state !== 'paused' || this.#seeker !== null) return 'E01'
    // Events are delivered while a machine runs. With every hart held, nothing but that happens.
    for (const hart of this.#harts) hart.mode = 'hold'
    this.#doing = 'restarting'
    this.#machine.reset()
    this.#machine.resume()
    return null
  }
}
