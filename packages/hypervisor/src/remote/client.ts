import { machinistError } from '@machinist/api'
import { encodeUtf8 } from '@machinist/boot'
import type { ConsoleConnection, ConsoleListener, Hypervisor, HypervisorEvent } from '../contract/hypervisor.ts'
import type { MachineSpec, PoolSpec } from '../contract/machines.ts'
import type { Resources } from '../contract/resources.ts'
import type { SpecChanges } from './arguments.ts'
import { frame, FrameReader, MOST_MESSAGE } from './frames.ts'
import { type ClientMessage, fromWire, type Greeting, PROTOCOL, PROTOCOL_VERSION, readGreeting, readServerMessage } from './protocol.ts'
import type { ByteDuplex } from './stream.ts'

/** Most bytes of input in one message. */
const PIECE: number = 64 << 10

/** A hypervisor at the other end of a stream. */
export interface RemoteHypervisor extends Hypervisor {
  /** Calls something that the server has besides the hypervisor (`ServeOptions.calls`). @throws a typed error `'call-unknown'` */
  call(name: string, ...args: readonly unknown[]): Promise<unknown>
  /** Resolves when the connection has ended: null when this end closed it, or the reason. */
  readonly closed: Promise<Error | null>
  /** Ends the connection. The machines go on. */
  close(): void
}

type Message = ReturnType<typeof readServerMessage>

interface Pending {
  resolve(result: unknown): void
  reject(error: Error): void
}

class Client implements RemoteHypervisor {
  readonly #stream: ByteDuplex
  readonly #reader = new FrameReader()
  #known = false
  #last = 0
  readonly #pending = new Map<number, Pending>()
  readonly #consoles = new Map<number, ConsoleListener>()
  readonly #listeners = new Set<(event: HypervisorEvent) => void>()
  /** Why nothing can be called any more. */
  #over: Error | null = null
  readonly closed: Promise<Error | null>
  #ended: (reason: Error | null) => void = () => undefined

  constructor(stream: ByteDuplex) {
    this.#stream = stream
    this.#reader.most = MOST_MESSAGE
    this.closed = new Promise((resolve) => { this.#ended = resolve })
    stream.listen({
      bytes: (bytes) => {
        if (this.#over !== null) return
        this.#reader.push(bytes)
        this.#read()
      },
      writable() {},
      closed: () => { this.#end(null) },
    })
    stream.send(frame({ hello: PROTOCOL, version: PROTOCOL_VERSION } satisfies Greeting))
  }

  #read(): void {
    while (this.#over === null) {
      let message: Message | null = null
      try {
        const bytes = this.#reader.next()
        if (bytes === null) {
          this.#reader.rest()
          return
        }
        if (this.#known) message = readServerMessage(bytes)
        else {
          readGreeting(bytes)
          this.#known = true
        }
      } catch (error) {
        this.#end(error instanceof Error ? error : new Error(String(error)))
        this.#stream.close()
      }
      if (message !== null) this.#take(message)
    }
  }

  #take(message: Message): void {
    if ('event' in message) {
      for (const listener of [...this.#listeners]) listener(message.event)
    } else if ('id' in message) {
      const pending = this.#pending.get(message.id)
      this.#pending.delete(message.id)
      if ('error' in message) pending?.reject(fromWire(message.error))
      else pending?.resolve(message.result)
    } else {
      const listener = this.#consoles.get(message.console)
      if ('end' in message) {
        this.#consoles.delete(message.console)
        listener?.closed()
        return
      }
      if (message.lost !== undefined) listener?.output(encodeUtf8(`\r\n[${message.lost} bytes are left out here, because this client read too slowly]\r\n`))
      listener?.output(message.bytes)
    }
  }

  #end(reason: Error | null, own: boolean = false): void {
    if (this.#over !== null) return
    const error = reason ?? machinistError(
      { code: 'connection-closed', part: 'hypervisor', remedy: 'Connect anew.' }, own ? 'this client closed its connection' : 'the connection with the hypervisor has ended')
    this.#over = error
    const [pending, consoles] = [new Map(this.#pending), new Map(this.#consoles)]
    this.#pending.clear()
    this.#consoles.clear()
    for (const { reject } of pending.values()) reject(error)
    // Those that were not open yet are told by the call.
    for (const [id, listener] of consoles) if (!pending.has(id)) listener.closed()
    this.#ended(own ? null : error)
  }

  close(): void {
    this.#end(null, true)
    this.#stream.close()
  }

  #send(message: ClientMessage): void {
    this.#stream.send(frame(message))
  }

  call(name: string, ...args: readonly unknown[]): Promise<unknown> {
    return this.#call(++this.#last, name, args)
  }

  async #call(id: number, call: string, args: readonly unknown[]): Promise<unknown> {
    if (this.#over !== null) throw this.#over
    this.#send({ id, call, args })
    return new Promise((resolve, reject) => { this.#pending.set(id, { resolve, reject }) })
  }

  /** What a server of this version answers to a call of its own interface is what the interface says. */
  #typed<Result>(name: string, ...args: readonly unknown[]): Promise<Result> {
    return this.call(name, ...args) as Promise<Result>
  }

  add(spec: MachineSpec): Promise<void> { return this.#typed('add', spec) }
  start(name: string, snapshot?: string): Promise<void> { return this.#typed('start', name, snapshot) }
  pause(name: string): Promise<void> { return this.#typed('pause', name) }
  resume(name: string): Promise<void> { return this.#typed('resume', name) }
  reset(name: string): Promise<void> { return this.#typed('reset', name) }
  stop(name: string, within?: number): Promise<void> { return this.#typed('stop', name, within) }
  remove(name: string): Promise<void> { return this.#typed('remove', name) }
  fork(name: string, copy: Pick<MachineSpec, 'name' | 'pool' | 'resources'>): Promise<void> { return this.#typed('fork', name, copy) }
  move(name: string, processor: number): Promise<void> { return this.#typed('move', name, processor) }
  set(name: string, changes: SpecChanges): Promise<void> { return this.#typed('set', name, changes) }
  save(name: string, file: string): Promise<void> { return this.#typed('save', name, file) }
  addPool(spec: PoolSpec): Promise<void> { return this.#typed('addPool', spec) }
  setPool(path: string, resources: Resources): Promise<void> { return this.#typed('setPool', path, resources) }
  removePool(path: string): Promise<void> { return this.#typed('removePool', path) }
  machines(): ReturnType<Hypervisor['machines']> { return this.#typed('machines') }
  pools(): ReturnType<Hypervisor['pools']> { return this.#typed('pools') }
  table(): ReturnType<Hypervisor['table']> { return this.#typed('table') }
  host(): ReturnType<Hypervisor['host']> { return this.#typed('host') }
  events(name?: string): ReturnType<Hypervisor['events']> { return this.#typed('events', name) }

  async console(name: string, listener: ConsoleListener): Promise<ConsoleConnection> {
    const id = ++this.#last
    // Its first output may come before the answer.
    this.#consoles.set(id, listener)
    try {
      await this.#call(id, 'console', [name])
    } catch (error) {
      this.#consoles.delete(id)
      throw error
    }
    return {
      write: (bytes) => {
        if (!this.#consoles.has(id)) return
        for (let at = 0; at < bytes.length; at += PIECE) this.#send({ console: id, bytes: bytes.subarray(at, at + PIECE) })
      },
      close: () => {
        if (this.#consoles.delete(id)) this.#send({ console: id, end: true })
      },
    }
  }

  on(listener: (event: HypervisorEvent) => void): () => void {
    // The same function twice is two listeners.
    const own = (event: HypervisorEvent): void => { listener(event) }
    this.#listeners.add(own)
    if (this.#listeners.size === 1) this.call('subscribe').catch(() => undefined)
    return () => {
      if (this.#listeners.delete(own) && this.#listeners.size === 0) this.call('unsubscribe').catch(() => undefined)
    }
  }
}

/**
 * The hypervisor at the other end of a stream, which {@link serveHypervisor} serves. It can be called at once. Errors come as they were thrown there: the same code, part, value and remedy;
 * when the connection has ended, calls reject with a typed error `'connection-closed'`, or with the reason for which the server ended it (`'version'`, `'message'`).
 */
export function connectHypervisor(stream: ByteDuplex): RemoteHypervisor {
  return new Client(stream)
}
