import { get16, ipProtocol, set16 } from '@machinist/packets'
import { type Address, sameAddress } from '../nat/address.ts'
import type { Station } from './station.ts'
import type { Table } from './table.ts'

/** In milliseconds, for each resolver and each of two rounds. */
const PATIENCE = 2500
const ROUNDS = 2
const DNS_PORT = 53
/** Questions under way for all networks together. */
const MOST = 256

interface Question {
  readonly query: Uint8Array
  readonly identifier: number
  readonly port: number
  readonly done: (answer: Uint8Array | null) => void
  tries: number
  due: number
  asked: Address | null
  /** Whom to ask; those that the uplink has, where that is null. */
  readonly whom: readonly Address[] | null
}

/** What {@link Resolver} needs. */
export interface ResolverOptions {
  readonly station: Station
  readonly table: Table
  now(): number
  random(): number
}

/** Asks resolvers on the uplink for guests, by UDP: each question from a port, and with an identifier, that nobody guesses (RFC 5452, 9.2). */
export class Resolver {
  /** Whom to ask. */
  resolvers: readonly Address[] = []
  readonly #options: ResolverOptions
  /** By the port from which they were asked. */
  readonly #questions = new Map<number, Question>()

  constructor(options: ResolverOptions) {
    this.#options = options
  }

  get busy(): boolean {
    return this.#questions.size > 0
  }

  listens(port: number): boolean {
    return this.#questions.has(port)
  }

  ask(query: Uint8Array, whom: readonly Address[] | null, done: (answer: Uint8Array | null) => void): void {
    const port = this.#questions.size >= MOST || (whom ?? this.resolvers).length === 0 ? 0 : this.#port()
    if (port === 0) {
      done(null)
      return
    }
    const own = query.slice()
    const identifier = this.#options.random() & 0xffff
    set16(own, 0, identifier)
    const question: Question = { query: own, identifier, port, whom, tries: 0, due: 0, asked: null, done: (answer) => {
      // What the guest sees is its own identifier.
      if (answer !== null) set16(answer, 0, get16(query, 0))
      done(answer)
    } }
    this.#questions.set(port, question)
    this.#send(question)
  }

  take(port: number, bytes: Uint8Array, from: Address, fromPort: number): void {
    const question = this.#questions.get(port)
    const asked = question?.asked ?? null
    if (question === undefined || asked === null || fromPort !== DNS_PORT || !sameAddress(from, asked) || bytes.length < 12 || get16(bytes, 0) !== question.identifier) return
    this.#end(question, bytes.slice())
  }

  poll(): void {
    const now = this.#options.now()
    for (const question of [...this.#questions.values()]) {
      if (question.due > now) continue
      if (question.tries >= ROUNDS * (question.whom ?? this.resolvers).length) this.#end(question, null)
      else this.#send(question)
    }
  }

  #send(question: Question): void {
    const { station, now } = this.#options
    const whom = question.whom ?? this.resolvers
    question.asked = whom[question.tries % whom.length] ?? null
    question.tries++
    question.due = now() + PATIENCE
    if (question.asked !== null) station.sendDatagram(question.port, question.asked, DNS_PORT, question.query)
  }

  #end(question: Question, answer: Uint8Array | null): void {
    this.#questions.delete(question.port)
    this.#options.table.release(ipProtocol.udp, question.port)
    question.done(answer)
  }

  #port(): number {
    for (let tries = 0; tries < 64; tries++) {
      const port = 1024 + (this.#options.random() >>> 0) % 64_512
      if (this.#options.table.reserve(ipProtocol.udp, port)) return port
    }
    return 0
  }
}
