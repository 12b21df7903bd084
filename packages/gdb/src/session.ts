import type { VcpuDebug } from '@machinist/api'
import { type Machine, Seeker } from '@machinist/machine'
import { LiveTarget } from './live-target.ts'
import { monitor, type MonitorView } from './monitor.ts'
import { type Incoming, MAX_PACKET, packet, PacketReader } from './packet.ts'
import { programCounter } from './program-counter.ts'
import { answerQuery } from './queries.ts'
import { RecordedTarget } from './recorded-target.ts'
import { readAll, readOne, writeAll, writeOne } from './registers.ts'
import { Stops } from './stops.ts'
import type { Halted, Target, TargetEvents } from './target.ts'
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

/** The protocol: what a debugger asks, and what is answered. */
class Session implements GdbSession, TargetEvents {
  readonly #target: Target
  readonly #connection: GdbConnection
  readonly #reader = new PacketReader()
  readonly #stops = new Stops()
  readonly #known = new Set<string>()
  #acknowledges = true
  #last: Uint8Array | null = null
  /** The harts that registers and memory are those of, and that the old commands go on with. */
  #looked = 0
  #continued: ThreadId = 'all'
  /** It goes on, or restarts, for us: until it stops there is one thing to be said: that it ends. */
  #busy = false
  #signal = SIGTRAP
  /** What a stop reply says of the last stop. */
  #why = ''
  #ended = false

  constructor(target: Machine | Seeker, connection: GdbConnection) {
    this.#connection = connection
    this.#target = target instanceof Seeker ? new RecordedTarget(target, this) : new LiveTarget(target, this)
  }

  receive(bytes: Uint8Array): void {
    this.#reader.push(bytes, (incoming) => { if (!this.#ended) this.#take(incoming) })
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#target.leave(this.#stops)
  }

  halted({ hart, interrupted, reason, end }: Halted): void {
    if (this.#ended) return
    this.#busy = false
    if (hart !== null) this.#looked = hart
    this.#signal = interrupted ? SIGINT : SIGTRAP
    this.#why = end !== null ? `replaylog:${end};` : this.#stops.describe(reason, this.#known)
    this.#send(this.#stopReply())
  }

  restarted(): void {
    this.#busy = false
    this.#send('OK')
  }

  said(text: string): void {
    this.#send(`O${textToHex(`${text}\n`)}`)
  }

  gone(): void {
    if (this.#busy) this.#send(this.#stopReply())
    this.#busy = false
    this.end()
    this.#connection.close()
  }

  get #view(): MonitorView {
    const { machine, harts, memory } = this.#target
    return { machine, harts, memory, hart: this.#hart }
  }

  get #hart(): VcpuDebug {
    const { harts } = this.#target
    const hart = harts[this.#looked] ?? harts[0]
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
        if (this.#busy) this.#target.interrupt()
        return
      case 'packet': {
        if (this.#acknowledges) this.#connection.send(bytesOf('+'))
        if (this.#busy && incoming.data !== 'k') return
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
    if (this.#target.recorded && /^[GPMX]/.test(data)) return 'E01'
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
      case 'T': return typeof parseThread(rest, this.#target.harts.length) === 'number' ? 'OK' : 'E01'
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
    const bytes = this.#target.memory.read(this.#hart, address, Math.min(length, MAX_PACKET / 2))
    return bytes.length > 0 || length === 0 ? toHex(bytes) : 'E0e'
  }

  #write(text: string, decode: (text: string) => Uint8Array | null): string {
    const [, at = '', size = '', data = ''] = /^([0-9a-fA-F]+),([0-9a-fA-F]+):(.*)$/s.exec(text) ?? []
    const [address, length, bytes] = [parseHex(at), parseSmallHex(size), decode(data)]
    if (address === null || length === null || bytes === null || bytes.length !== length) return 'E01'
    return this.#target.memory.write(this.#hart, address, bytes) ? 'OK' : 'E0e'
  }

  #choose(text: string): string {
    const thread = parseThread(text.slice(1), this.#target.harts.length)
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
      if (address === null || !this.#hart.writeRegister(programCounter(this.#hart), address)) return 'E01'
    }
    const steps = command.toLowerCase() === 's'
    const only = typeof this.#continued === 'number' ? this.#continued : steps ? this.#looked : null
    return this.#go(this.#target.harts.map((_, index) => only !== null && index !== only ? 'hold' : steps ? 'step' : 'run'))
  }

  #verbose(data: string): string | null {
    if (data === 'vCont?') return 'vCont;c;C;s;S;t'
    if (data.startsWith('vCont;')) {
      const modes = parseContinue(data.slice('vCont;'.length), this.#target.harts.length)
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
    return this.#begin(() => this.#target.go(modes, this.#stops))
  }

  /** `bs` and `bc`. */
  #goBack(how: string): string | null {
    if (!this.#target.recorded || (how !== 's' && how !== 'c')) return ''
    const hart = typeof this.#continued === 'number' ? this.#continued : this.#looked
    return this.#begin(() => this.#target.goBack(how === 's' ? 'step' : 'run', hart, this.#stops))
  }

  /** The answer comes when it has stopped. */
  #begin(going: () => boolean): string | null {
    this.#busy = true
    if (going()) return null
    this.#busy = false
    return 'E01'
  }

  #stopReply(): string {
    const { state, status } = this.#target.machine
    if (!this.#target.recorded && (state === 'off' || state === 'disposed')) return `W${((status ?? 0) & 0xff).toString(16).padStart(2, '0')}`
    return `T${this.#signal}thread:${(this.#looked + 1).toString(16)};${this.#why}`
  }

  #detach(): null {
    this.#send('OK')
    this.end()
    this.#connection.close()
    return null
  }

  #kill(): null {
    this.#busy = false
    this.#target.kill()
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
      this.#target.memory.physical = mode[1] === '1'
      return 'OK'
    }
    if (data.startsWith('qRcmd,')) return this.#monitor(data.slice('qRcmd,'.length))
    return answerQuery(this.#view, this.#looked, data, this.#known, this.#target.recorded) ?? ''
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
    return this.#begin(() => this.#target.restart())
  }
}
