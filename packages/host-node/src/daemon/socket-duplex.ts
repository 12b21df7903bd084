import type { Socket } from 'node:net'
import type { ByteDuplex } from '@machinist/hypervisor'

/** Milliseconds that an end waits for what was sent to be read. */
const PATIENCE = 5000

/** A socket of Node.js as a stream for `serveHypervisor` and `connectHypervisor`. */
export function socketDuplex(socket: Socket): ByteDuplex {
  socket.on('error', () => undefined)
  return {
    listen(listener) {
      socket.on('data', (chunk: Buffer) => { listener.bytes(chunk) })
      socket.on('drain', () => { listener.writable() })
      socket.on('close', () => { listener.closed() })
      if (socket.destroyed) listener.closed()
    },
    send: (bytes) => socket.writable && socket.write(bytes),
    flow(on) {
      if (on) socket.resume()
      else socket.pause()
    },
    close() {
      // What still comes is read, or its end is never seen.
      socket.resume()
      socket.destroySoon()
      setTimeout(() => { socket.destroy() }, PATIENCE).unref()
    },
  }
}
