import type { Worker, MessagePort } from 'node:worker_threads'
import type { Channel } from '@machinist/hypervisor'

/** A channel over a port whose other end has one, too. */
export class PortChannel<Out, In> implements Channel<Out, In> {
  onMessage: ((message: In) => void) | null = null
  onClosed: ((reason: string) => void) | null = null
  readonly #port: MessagePort | Worker
  readonly #end: () => void
  #closed = false

  /** @param end - gives the port back */
  constructor(port: MessagePort | Worker, end: () => void) {
    this.#port = port
    this.#end = end
    port.on('message', (message: In) => { if (!this.#closed) this.onMessage?.(message) })
  }

  post(message: Out, transfer: readonly ArrayBuffer[] = []): void {
    if (!this.#closed) this.#port.postMessage(message, [...transfer])
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#end()
  }

  /** The other end has gone. */
  lose(reason: string): void {
    if (this.#closed) return
    this.#closed = true
    this.onClosed?.(reason)
  }
}
