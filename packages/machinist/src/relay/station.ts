import { maximumFrame, noOffloads } from '@machinist/api'
import type { Nat } from '@machinist/network'
import type { RawData, WebSocket } from 'ws'

/** Addresses and type. */
const ETHERNET_HEADER = 14
/** Bytes that may be on their way to a page. */
const WINDOW = 1 << 20
/** Milliseconds after which a page that answers nothing counts as gone. */
const PATIENCE = 30_000
/** What a message that is no frame ends with: "unsupported data" (RFC 6455, 7.4.1). */
const UNSUPPORTED = 1003

/** Carries frames between a page and a network of its own, each a binary message, until one of both ends. Either waits for the other. */
export function serveStation(socket: WebSocket, network: Nat): void {
  const port = network.connect((callback) => { setImmediate(callback) })
  const held: Uint8Array[] = []
  let alive = true
  const flush = (): void => {
    while (socket.readyState === socket.OPEN && socket.bufferedAmount < WINDOW) {
      const frame = port.receive()
      if (frame === null) return
      socket.send(frame.bytes, { binary: true }, () => { if (socket.bufferedAmount < WINDOW) flush() })
    }
  }
  const pump = (): void => {
    for (let bytes = held[0]; bytes !== undefined; bytes = held[0]) {
      if (!port.send({ bytes })) {
        socket.pause()
        return
      }
      held.shift()
    }
    socket.resume()
  }
  // Nothing is told of a frame that somebody could tell wrongly: they are plain.
  port.accept(noOffloads)
  port.listen({ readable: flush, writable: pump, linkChanged: () => undefined })
  socket.on('message', (data: RawData, binary: boolean) => {
    const bytes = binary && Buffer.isBuffer(data) ? new Uint8Array(data) : null
    if (bytes === null || bytes.length < ETHERNET_HEADER || bytes.length > maximumFrame) {
      socket.close(UNSUPPORTED, 'no frame')
      return
    }
    held.push(bytes)
    if (held.length === 1) pump()
  })
  socket.on('pong', () => { alive = true })
  const watch = setInterval(() => {
    if (!alive) socket.terminate()
    alive = false
    socket.ping()
  }, PATIENCE)
  // What a page sends wrongly ends its connection, and nothing else.
  socket.on('error', () => { socket.terminate() })
  socket.on('close', () => {
    clearInterval(watch)
    network.close()
  })
  flush()
}
