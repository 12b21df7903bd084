import { maximumFrame, noOffloads } from '@machinist/api'
import type { Nat } from '@machinist/network'
import type { RawData, WebSocket } from 'ws'

/** Addresses and type. */
const ETHERNET_HEADER = 14
/** Bytes that may be on their way to a page. */
const WINDOW = 1 << 20
/** Milliseconds between signs of life, and how many of them a page that is there leaves unanswered. */
const BEAT = 15_000
const UNANSWERED = 2
/** What a page sees, as it does not see pings (RFC 6455, 5.5.2): a message that is too short for a frame. */
const NO_FRAME = new Uint8Array()
/** What a message that is no frame ends with: "unsupported data" (RFC 6455, 7.4.1). */
const UNSUPPORTED = 1003

/** Carries frames between a page and a network of its own, each a binary message, until one of both ends. Frames wait for a page that is slow; the network takes all at once, and loses those that it has no room for. */
export function serveStation(socket: WebSocket, network: Nat): void {
  const port = network.connect((callback) => { setImmediate(callback) })
  let unanswered = 0
  const flush = (): void => {
    while (socket.readyState === socket.OPEN && socket.bufferedAmount < WINDOW) {
      const frame = port.receive()
      if (frame === null) return
      socket.send(frame.bytes, { binary: true }, () => { if (socket.bufferedAmount < WINDOW) flush() })
    }
  }
  // Nothing is told of a frame that somebody could tell wrongly: they are plain.
  port.accept(noOffloads)
  port.listen({ readable: flush, writable: () => undefined, linkChanged: () => undefined })
  socket.on('message', (data: RawData, binary: boolean) => {
    const bytes = binary && Buffer.isBuffer(data) ? new Uint8Array(data) : null
    if (bytes === null || bytes.length < ETHERNET_HEADER || bytes.length > maximumFrame) {
      socket.close(UNSUPPORTED, 'no frame')
      return
    }
    port.send({ bytes })
  })
  socket.on('pong', () => { unanswered = 0 })
  const watch = setInterval(() => {
    if (unanswered++ === UNANSWERED) {
      socket.terminate()
      return
    }
    socket.ping()
    socket.send(NO_FRAME, { binary: true })
  }, BEAT)
  // What a page sends wrongly ends its connection, and nothing else.
  socket.on('error', () => { socket.terminate() })
  socket.on('close', () => {
    clearInterval(watch)
    network.close()
  })
  flush()
}
