import { machinistError } from '@machinist/api'
import type { ConsoleConnection, Hypervisor } from '../contract/hypervisor.ts'
import { checkName } from './arguments.ts'
import { callsOf, type RemoteCall, unknownCall } from './calls.ts'
import { FrameReader, MOST_MESSAGE } from './frames.ts'
import { badMessage, type ClientMessage, PROTOCOL, PROTOCOL_VERSION, readClientMessage, readGreeting, toWire } from './protocol.ts'
import { Sender } from './sender.ts'
import type { ByteDuplex } from './stream.ts'

/** Calls of a client that may be under way; no more are read until some are answered. */
const MOST_CALLS = 256
/** Consoles that a client may have open. */
const MOST_CONSOLES = 1024

/** Options of {@link serveHypervisor}. */
export interface ServeOptions {
  /** What clients may call besides the hypervisor: `RemoteHypervisor.call`. */
  readonly calls?: Readonly<Record<string, RemoteCall>>
}

/** A client that is served. */
export interface ServedClient {
  /** Resolves when it has said that it is a client. */
  readonly greeted: Promise<void>
  /** Resolves when it has gone. */
  readonly closed: Promise<void>
  /** Sends it away. */
  close(): void
}

class Server implements ServedClient {
  readonly #hypervisor: Hypervisor
  readonly #stream: ByteDuplex
  readonly #calls: Readonly<Record<string, RemoteCall>>
  readonly #sender: Sender
  readonly #reader = new FrameReader()
  /** Calls under way, and the bytes that they came as. */
  readonly #underWay = new Map<number, number>()
  #bytesUnderWay = 0
  readonly #consoles = new Map<number, ConsoleConnection>()
  #unsubscribe: (() => void) | null = null
  #known = false
  #over = false
  readonly greeted: Promise<void>
  readonly closed: Promise<void>
  #greet: () => void = () => undefined
  #ended: () => void = () => undefined

  constructor(hypervisor: Hypervisor, stream: ByteDuplex, { calls = {} }: ServeOptions) {
    this.#hypervisor = hypervisor
    this.#stream = stream
    this.#calls = { ...calls, ...callsOf(hypervisor) }
    this.#sender = new Sender(stream)
    this.greeted = new Promise((resolve) => { this.#greet = resolve })
    this.closed = new Promise((resolve) => { this.#ended = resolve })
    stream.listen({
      bytes: (bytes) => {
        if (this.#over) return
        this.#reader.push(bytes)
        this.#read()
      },
      writable: () => {
        this.#sender.writable()
        this.#read()
      },
      closed: () => { this.#end() },
    })
  }

  close(): void {
    this.#end()
    this.#stream.close()
  }

  #end(): void {
    if (this.#over) return
    this.#over = true
    this.#unsubscribe?.()
    this.#sender.stop()
    for (const console of this.#consoles.values()) console.close()
    this.#consoles.clear()
    this.#ended()
  }

  /** Whether the client is to wait until it has taken answers, or calls are done. */
  get #busy(): boolean {
    return this.#sender.held || this.#underWay.size >= MOST_CALLS || this.#bytesUnderWay >= MOST_MESSAGE
  }

  #read(): void {
    try {
      while (!this.#over && !this.#busy) {
        const bytes = this.#reader.next()
        if (bytes === null) {
          this.#reader.rest()
          break
        }
        if (this.#known) this.#take(readClientMessage(bytes), bytes.length)
        else this.#meet(bytes)
      }
    } catch (error) {
      this.#refuse(error)
    }
    if (!this.#over) this.#stream.flow(!this.#busy)
  }

  #meet(bytes: Uint8Array): void {
    readGreeting(bytes)
    this.#known = true
    this.#reader.most = MOST_MESSAGE
    this.#sender.answer({ hello: PROTOCOL, version: PROTOCOL_VERSION })
    this.#greet()
  }

  /** Ends the connection with the reason. */
  #refuse(error: unknown): void {
    if (this.#over) return
    this.#sender.answer({ refused: toWire(error) })
    this.close()
  }

  #take(message: ClientMessage, length: number): void {
    if ('call' in message) {
      const { id, call, args } = message
      if (this.#underWay.has(id) || this.#consoles.has(id)) throw badMessage('two calls have the same number', id)
      this.#underWay.set(id, length)
      this.#bytesUnderWay += length
      void this.#answer(id, call, args)
      return
    }
    // A console that has ended meanwhile, from this side.
    const console = this.#consoles.get(message.console)
    if (console === undefined) return
    if ('bytes' in message) {
      console.write(message.bytes)
      return
    }
    this.#consoles.delete(message.console)
    this.#sender.forget(message.console)
    console.close()
  }

  async #answer(id: number, call: string, args: readonly unknown[]): Promise<void> {
    try {
      const result = await this.#call(id, call, args)
      this.#done(id)
      if (!this.#over) this.#sender.answer({ id, result })
    } catch (error) {
      this.#done(id)
      if (!this.#over) this.#sender.answer({ id, error: toWire(error) })
    }
    this.#read()
  }

  #done(id: number): void {
    this.#bytesUnderWay -= this.#underWay.get(id) ?? 0
    this.#underWay.delete(id)
  }

  #call(id: number, name: string, args: readonly unknown[]): Promise<unknown> {
    if (name === 'console') return this.#console(id, checkName(args[0]))
    if (name === 'subscribe' || name === 'unsubscribe') {
      this.#unsubscribe?.()
      this.#unsubscribe = name === 'subscribe' ? this.#hypervisor.on((event) => { this.#sender.event(event) }) : null
      return Promise.resolve()
    }
    return (Object.hasOwn(this.#calls, name) ? this.#calls[name] : undefined)?.(...args) ?? unknownCall(name)
  }

  async #console(id: number, name: string): Promise<void> {
    if (this.#consoles.size >= MOST_CONSOLES) {
      throw machinistError({ code: 'parameter', part: name, value: MOST_CONSOLES, remedy: 'Close one.' }, 'this client has as many consoles open as it may')
    }
    let ended = false
    const console = await this.#hypervisor.console(name, {
      output: (bytes) => { if (!ended) this.#sender.output(id, bytes) },
      closed: () => {
        ended = true
        this.#consoles.delete(id)
        this.#sender.end(id)
      },
    })
    if (ended) return
    if (this.#over) console.close()
    else {
      this.#consoles.set(id, {
        write: (bytes) => { console.write(bytes) },
        close: () => {
          ended = true
          console.close()
        },
      })
    }
  }
}

/**
 * Serves a client of a hypervisor at the other end of a stream, until either goes: nothing that it sends ends more than the connection. A client that reads too slowly is sent all answers, and of
 * events (1024) and each console's output (64 KiB) the last, with a note of how much is missing; one that asks too fast waits.
 */
export function serveHypervisor(hypervisor: Hypervisor, stream: ByteDuplex, options: ServeOptions = {}): ServedClient {
  return new Server(hypervisor, stream, options)
}
