import { closeSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { checksum, icmp, set16 } from '@machinist/packets'
import type { Address } from '@machinist/network'
import { libc, type Libc } from '../system/libc.ts'

/** socket(2), poll(2); the same on every architecture that Node.js runs on but MIPS. */
const SOCK_DGRAM = 2
const SOCK_RAW = 3
const NONBLOCK_CLOEXEC = 0o4000 | 0o2000000
const POLLIN = 1
/** Families, and what echo is in each (RFC 792, RFC 4443). */
const families = {
  4: { family: 2, protocol: 1, request: 8, reply: 0, addressLength: 16, addressAt: 4 },
  6: { family: 10, protocol: 58, request: 128, reply: 129, addressLength: 28, addressAt: 8 },
} as const
/** How long one wait for answers takes, at most, and how long an answer may take, in milliseconds. */
const WAIT_MS = 500
const PATIENCE_MS = 10_000
/** Messages that are read before something else gets its turn: a raw socket hears all that come to this host. */
const TURN = 64

interface Socket {
  readonly fd: number
  /** It hears everything, with IPv4's header, and computes no checksum of IPv4. */
  readonly raw: boolean
}

interface Asked {
  readonly address: Address
  readonly done: (answered: boolean) => void
  readonly until: number
}

/** Echo requests of this process. */
export class Pings {
  readonly #identifier = randomBytes(2)
  readonly #asked = new Map<number, Asked>()
  /** One for each family; null where the system refuses. */
  #sockets: { readonly 4: Socket | null; readonly 6: Socket | null } | null = null
  #sequence = 0
  #waiting = false
  #closed = false

  /** Sends one. False: the system does not let this process do that. */
  ask(address: Address, payload: Uint8Array, done: (answered: boolean) => void): boolean {
    const system = libc()
    if (system === null || this.#closed) return false
    this.#sockets ??= { 4: open(system, 4), 6: open(system, 6) }
    const version = address.length === 4 ? 4 : 6
    const socket = this.#sockets[version]
    if (socket === null) return false
    const { family, request, addressLength, addressAt } = families[version]
    this.#sequence = (this.#sequence + 1) & 0xffff
    const message = new Uint8Array(icmp.length + payload.length)
    message[icmp.type] = request
    message.set(this.#identifier, 4)
    set16(message, 6, this.#sequence)
    message.set(payload, icmp.length)
    if (version === 4) set16(message, icmp.checksum, checksum(message, 0, message.length))
    const to = Buffer.alloc(addressLength)
    to.writeUInt16LE(family)
    to.set(address, addressAt)
    if (system.sendTo(socket.fd, message, to) < 0) {
      setImmediate(() => { done(false) })
      return true
    }
    this.#asked.get(this.#sequence)?.done(false)
    this.#asked.set(this.#sequence, { address, done, until: performance.now() + PATIENCE_MS })
    this.#wait(system)
    return true
  }

  /** Waits for answers while any are due. */
  #wait(system: Libc): void {
    if (this.#waiting || this.#sockets === null) return
    const sockets = [this.#sockets[4], this.#sockets[6]]
    const open = sockets.flatMap((socket) => socket ?? [])
    const fds = Buffer.alloc(8 * open.length)
    for (const [index, { fd }] of open.entries()) {
      fds.writeInt32LE(fd, index * 8)
      fds.writeInt16LE(POLLIN, index * 8 + 4)
    }
    this.#waiting = true
    system.poll(fds, open.length, WAIT_MS, () => {
      this.#waiting = false
      if (!this.#closed) {
        for (const version of [4, 6] as const) this.#read(system, version)
        const now = performance.now()
        for (const [sequence, { until, done }] of this.#asked) {
          if (until > now) break
          this.#asked.delete(sequence)
          done(false)
        }
        if (this.#asked.size > 0) return this.#wait(system)
      }
      // A socket that nobody reads would gather what comes to this host.
      this.#release()
    })
  }

  #read(system: Libc, version: 4 | 6): void {
    const socket = this.#sockets?.[version] ?? null
    const { reply, addressLength, addressAt } = families[version]
    const bytes = new Uint8Array(65_536)
    const from = new Uint8Array(addressLength)
    for (let count = 0; socket !== null && count < TURN; count++) {
      const length = system.receiveFrom(socket.fd, bytes, from)
      if (length < 0) return
      const at = socket.raw && version === 4 ? ((bytes[0] ?? 0) & 15) * 4 : 0
      if (length < at + icmp.length || bytes[at] !== reply) continue
      // The system gives sockets that are not raw a number of their own.
      if (socket.raw && (bytes[at + 4] !== this.#identifier[0] || bytes[at + 5] !== this.#identifier[1])) continue
      const sequence = (bytes[at + 6] ?? 0) << 8 | (bytes[at + 7] ?? 0)
      const asked = this.#asked.get(sequence)
      if (asked?.address.length !== (version === 4 ? 4 : 16) || !asked.address.every((byte, index) => byte === from[addressAt + index])) continue
      this.#asked.delete(sequence)
      asked.done(true)
    }
  }

  #release(): void {
    if (this.#sockets === null) return
    for (const socket of [this.#sockets[4], this.#sockets[6]]) if (socket !== null) closeSync(socket.fd)
    this.#sockets = null
  }

  /** Nothing is asked or answered any more. */
  close(): void {
    this.#closed = true
    this.#asked.clear()
    if (!this.#waiting) this.#release()
  }
}

/** A socket for echo: the one that net.ipv4.ping_group_range allows to ordinary users, or one for root. */
function open(system: Libc, version: 4 | 6): Socket | null {
  const { family, protocol } = families[version]
  for (const type of [SOCK_DGRAM, SOCK_RAW]) {
    const fd = system.socket(family, type | NONBLOCK_CLOEXEC, protocol)
    if (fd >= 0) return { fd, raw: type === SOCK_RAW }
  }
  return null
}
