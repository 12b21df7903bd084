import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { connect } from 'node:net'

/** For how long one resolver is waited for before the next is asked, and how often the list is gone through. */
const PATIENCE_MS = 2500
const ROUNDS = 2
const DNS_PORT = 53
/** Bits of a message's third byte: it is an answer; it was cut to fit. */
const RESPONSE = 0x80
const TRUNCATED = 0x02

/** Carries DNS messages to resolvers. */
export interface Resolver {
  /** Asks one after the other; `done` is called once, with null when none answers in time. */
  ask(query: Uint8Array, done: (answer: Uint8Array | null) => void): void
  close(): void
}

/** `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`. */
function place(text: string): { host: string; port: number } {
  const [, six, four, port] = /^(?:\[([^\]]+)\]|([^:]+)):([0-9]+)$/.exec(text) ?? []
  return { host: six ?? four ?? text, port: Number(port ?? DNS_PORT) }
}

/**
 * Makes a {@link Resolver}. Each question has a socket of its own, and so a port that nobody guesses (RFC 5452); answers that were cut are
 * asked for again by TCP (RFC 7766).
 *
 * @param servers - gives the resolvers, first choice first
 */
export function resolver(servers: () => readonly string[]): Resolver {
  const running = new Set<() => void>()

  const overUdp = (query: Uint8Array, host: string, port: number, done: (answer: Uint8Array | null) => void): void => {
    const socket: UdpSocket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    const finish = (answer: Uint8Array | null): void => {
      if (!running.delete(cancel)) return
      clearTimeout(timer)
      socket.close()
      done(answer)
    }
    const cancel = (): void => { finish(null) }
    running.add(cancel)
    const timer = setTimeout(cancel, PATIENCE_MS)
    socket.on('error', cancel)
    socket.on('message', (answer) => {
      const good = answer.length >= 12 && answer[0] === query[0] && answer[1] === query[1] && ((answer[2] ?? 0) & RESPONSE) !== 0
      if (good) finish(answer)
    })
    // Connected: only the resolver is heard.
    socket.connect(port, host, () => {
      if (running.has(cancel)) socket.send(query)
    })
  }

  const overTcp = (query: Uint8Array, host: string, port: number, done: (answer: Uint8Array | null) => void): void => {
    const socket = connect({ host, port })
    let bytes = Buffer.alloc(0)
    const finish = (answer: Uint8Array | null): void => {
      if (!running.delete(cancel)) return
      clearTimeout(timer)
      socket.destroy()
      done(answer)
    }
    const cancel = (): void => { finish(null) }
    running.add(cancel)
    const timer = setTimeout(cancel, PATIENCE_MS)
    socket.on('error', cancel)
    socket.on('close', cancel)
    socket.on('connect', () => {
      const size = Buffer.alloc(2)
      size.writeUInt16BE(query.length)
      socket.write(Buffer.concat([size, query]))
    })
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      if (bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16BE(0)) finish(bytes.subarray(2, 2 + bytes.readUInt16BE(0)))
    })
  }

  return {
    ask(query, done) {
      const list = servers()
      const attempt = (index: number): void => {
        const server = list[index % Math.max(1, list.length)]
        if (server === undefined || index >= list.length * ROUNDS) {
          done(null)
          return
        }
        const { host, port } = place(server)
        overUdp(query, host, port, (answer) => {
          if (answer === null) attempt(index + 1)
          else if (((answer[2] ?? 0) & TRUNCATED) === 0) done(answer)
          else overTcp(query, host, port, (whole) => { done(whole ?? answer) })
        })
      }
      attempt(0)
    },
    close() {
      for (const cancel of [...running]) cancel()
    },
  }
}
