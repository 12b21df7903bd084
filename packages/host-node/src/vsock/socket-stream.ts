import type { Socket } from 'node:net'
import type { Deliver, VsockStream } from '@machinist/api'

/** Bytes that wait in each direction. */
const limit = 128 << 10

/** A socket of the host as the host's end of a stream. */
export class SocketStream implements VsockStream {
  readonly #socket: Socket
  readonly #deliver: Deliver
  #listener: { readable(): void, writable(): void, failed(): void } | null = null
  readonly #chunks: Uint8Array[] = []
  #length = 0
  #starved = false
  #closed = false
  ended = false

  /** @param rest - input that was read already */
  constructor(socket: Socket, deliver: Deliver, rest: Uint8Array = new Uint8Array(0)) {
    this.#socket = socket
    this.#deliver = deliver
    if (rest.length > 0) this.#take(rest)
    socket.on('data', (chunk: Buffer) => { this.#take(chunk) })
    socket.on('end', () => {
      this.ended = true
      this.#tell((listener) => { listener.readable() })
    })
    socket.on('drain', () => {
      if (!this.#starved) return
      this.#starved = false
      this.#tell((listener) => { listener.writable() })
    })
    socket.on('error', () => undefined)
    socket.on('close', (failed) => {
      if (failed || !this.ended) this.#tell((listener) => { listener.failed() })
    })
    if (this.#length <= limit) socket.resume()
  }

  get readable(): boolean {
    return this.#length > 0
  }

  write(bytes: Uint8Array): number {
    const taken = this.#socket.writable ? Math.min(bytes.length, Math.max(0, limit - this.#socket.writableLength)) : bytes.length
    if (taken > 0 && this.#socket.writable) this.#socket.write(bytes.slice(0, taken))
    if (taken < bytes.length) this.#starved = true
    return taken
  }

  read(into: Uint8Array): number {
    let done = 0
    for (let first = this.#chunks[0]; first !== undefined && done < into.length; first = this.#chunks[0]) {
      const piece = first.subarray(0, into.length - done)
      into.set(piece, done)
      done += piece.length
      if (piece.length === first.length) this.#chunks.shift()
      else this.#chunks[0] = first.subarray(piece.length)
    }
    if (this.#length > limit && this.#length - done <= limit) this.#socket.resume()
    this.#length -= done
    return done
  }

  end(): void {
    this.#socket.end()
  }

  close(): void {
    this.#forget()
    this.#socket.resume()
    this.#socket.destroySoon()
  }

  destroy(): void {
    this.#forget()
    this.#socket.destroy()
  }

  listen(listener: { readable(): void, writable(): void, failed(): void }): void {
    this.#listener = listener
    if (this.#length > 0 || this.ended) this.#tell((each) => { each.readable() })
    if (this.#socket.destroyed) this.#tell((each) => { each.failed() })
  }

  #take(chunk: Uint8Array): void {
    if (this.#closed) return
    this.#chunks.push(chunk)
    this.#length += chunk.length
    if (this.#length > limit) this.#socket.pause()
    this.#tell((listener) => { listener.readable() })
  }

  #forget(): void {
    this.#closed = true
    this.#listener = null
    this.#chunks.length = this.#length = 0
  }

  #tell(what: (listener: { readable(): void, writable(): void, failed(): void }) => void): void {
    if (this.#listener === null) return
    this.#deliver(() => {
      if (this.#listener !== null) what(this.#listener)
    })
  }
}
