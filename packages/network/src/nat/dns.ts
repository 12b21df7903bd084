import { get16, set16 } from '@machinist/packets'
import { dnsHeader, failure, fitted, isQuestion, udpLimit } from './dns-message.ts'
import type { HostSockets, HostStream, StreamEvents } from './sockets.ts'

/** Questions that may wait for the host's resolvers at once. */
const MOST_QUERIES = 64
/** Of these, those of one TCP connection. */
const MOST_PIPELINED = 16

/** Carries questions to the host's resolvers: messages go through as they are, but for what a client does not take. */
export class DnsRelay {
  readonly #sockets: HostSockets
  readonly #gate: (work: () => void) => void
  #waiting = 0

  constructor(sockets: HostSockets, gate: (work: () => void) => void) {
    this.#sockets = sockets
    this.#gate = gate
  }

  /** The same for a client that asked by UDP, and takes only so much of an answer. */
  askByUdp(query: Uint8Array, done: (answer: Uint8Array) => void): void {
    this.ask(query, (answer) => { done(fitted(answer, udpLimit(query))) })
  }

  /** Asks; `done` is called once, with "server failure" when nobody answers, or not at all for what is no question. */
  ask(query: Uint8Array, done: (answer: Uint8Array) => void): void {
    // A response would go round in circles.
    if (!isQuestion(query)) return
    if (this.#waiting >= MOST_QUERIES) {
      done(failure(query))
      return
    }
    this.#waiting++
    this.#sockets.resolve(query.slice(), (answer) => {
      this.#gate(() => {
        this.#waiting--
        const good = answer !== null && answer.length >= dnsHeader && get16(answer, 0) === get16(query, 0)
        done(good ? answer : failure(query))
      })
    })
  }
}

/**
 * DNS over TCP (RFC 1035, 4.2.2; RFC 7766) as a stream of the host. Its callbacks come through the gate already.
 */
export function dnsStream(relay: DnsRelay, events: StreamEvents): HostStream {
  let pending = new Uint8Array(0)
  let open = true
  let asked = 0
  let ended = false
  let credit = 0
  const finish = (): void => {
    if (!open || !ended || asked > 0) return
    open = false
    events.end()
    events.closed(null)
  }
  return {
    write(bytes) {
      const all = new Uint8Array(pending.length + bytes.length)
      all.set(pending)
      all.set(bytes, pending.length)
      let at = 0
      while (open && all.length - at >= 2 && all.length - at - 2 >= get16(all, at)) {
        const query = all.subarray(at + 2, at + 2 + get16(all, at))
        at += 2 + query.length
        // A client that does not read what it asked for is not answered, nor is one that does not ask.
        if (asked >= MOST_PIPELINED || credit <= 0 || !isQuestion(query)) continue
        asked++
        relay.ask(query, (answer) => {
          asked--
          if (!open) return
          const framed = new Uint8Array(2 + answer.length)
          set16(framed, 0, answer.length)
          framed.set(answer, 2)
          credit -= framed.length
          events.data(framed)
          finish()
        })
      }
      pending = all.slice(at)
      events.sent(bytes.length)
    },
    grant(count) { credit += count },
    end() {
      ended = true
      finish()
    },
    abort() { open = false },
  }
}
