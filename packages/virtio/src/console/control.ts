import { plainData } from '@machinist/registers'
import { consoleFeature, controlEvent, controlQueue, controlSize } from './layout.ts'
import type { VirtioContext } from '../device/spec.ts'

/** Messages that may wait for the driver to make buffers available; while there are so many, it is not listened to. */
const waitingLimit = 64
/** Longest message: a port's name after the header. */
const longestMessage = controlSize + 255
const messagesPerTurn = 64
const again = 'again'

/** The conversation about ports when there are several (virtio 1.2, 5.3.6.2). */
export class ConsoleControl {
  readonly #context: Pick<VirtioContext, 'name' | 'clock' | 'trace' | 'running' | 'queue' | 'has'>
  readonly #names: readonly string[]
  readonly #opened: (port: number, open: boolean) => void
  /** Ports whose input has ended: nobody is there any more. */
  #hungUp = new Set<number>()
  readonly #size: () => { readonly columns: number, readonly rows: number } | undefined
  readonly #header = new Uint8Array(controlSize)
  #waiting: Uint8Array[] = []

  constructor(
    context: Pick<VirtioContext, 'name' | 'clock' | 'trace' | 'running' | 'queue' | 'has'>,
    names: readonly string[], size: () => { readonly columns: number, readonly rows: number } | undefined, opened: (port: number, open: boolean) => void,
  ) {
    this.#opened = opened
    this.#context = context
    this.#names = names
    this.#size = size
  }

  /** Answers the driver's messages and delivers ours, as far as there are buffers. */
  pump(): void {
    const queue = this.#context.queue(controlQueue.transmit)
    if (queue === null || !this.#context.running) return
    this.#deliver()
    let budget = messagesPerTurn
    for (; budget > 0 && this.#waiting.length < waitingLimit; budget--) {
      const chain = queue.pop()
      if (chain === null) break
      if (chain.read(0, this.#header)) this.#answer()
      queue.push(chain, 0)
      this.#deliver()
    }
    queue.signal()
    if (budget === 0) this.#context.clock.timer(again).arm(this.#context.clock.now())
  }

  /** The terminal has another size. */
  resized(): void {
    if (!this.#context.running || this.#waiting.length >= waitingLimit) return
    this.#sendSize()
    this.#deliver()
  }

  /** The input of a port has ended: its reader sees that. Once, until the device is reset. */
  hangUp(port: number): void {
    if (this.#hungUp.has(port)) return
    this.#hungUp.add(port)
    this.#send(port, controlEvent.portOpen, 0)
    this.#deliver()
  }

  reset(): void {
    this.#waiting = []
    this.#hungUp.clear()
  }

  save(): { messages: number[][]; hungUp: number[] } {
    return { messages: this.#waiting.map((message) => [...message]), hungUp: [...this.#hungUp] }
  }

  /** Throws a typed error when `input` is not what {@link save} gives. */
  restore(input: unknown, hungUp: readonly number[]): void {
    const list: readonly unknown[] = Array.isArray(input) ? input.slice(0, 2 * waitingLimit) : []
    this.#waiting = list.map((message) => Uint8Array.from(plainData(this.#context.name, { message }, 'state').bytes('message', longestMessage)))
    this.#hungUp = new Set(hungUp)
  }

  #answer(): void {
    const view = new DataView(this.#header.buffer)
    const id = view.getUint32(0, true)
    const event = view.getUint16(4, true)
    const value = view.getUint16(6, true)
    switch (event) {
      case controlEvent.deviceReady:
        if (value === 1) for (const port of this.#names.keys()) this.#send(port, controlEvent.deviceAdd, 0)
        return
      case controlEvent.portReady: {
        const name = this.#names[id]
        if (name === undefined || value !== 1) return
        if (id === 0) {
          this.#send(id, controlEvent.consolePort, 1)
          if (this.#context.has(consoleFeature.size)) this.#sendSize()
        }
        this.#send(id, controlEvent.portName, 1, Array.from(name.slice(0, 255), (letter) => letter.charCodeAt(0) & 0x7f))
        this.#send(id, controlEvent.portOpen, this.#hungUp.has(id) ? 0 : 1)
        return
      }
      case controlEvent.portOpen:
        if (this.#names[id] !== undefined) this.#opened(id, value === 1)
        return
      default:
        this.#context.trace.warn(`${this.#context.name}: ignored control message ${String(event)}`)
    }
  }

  #sendSize(): void {
    const { columns, rows } = this.#size() ?? { columns: 0, rows: 0 }
    this.#send(0, controlEvent.resize, 0, [columns & 0xff, (columns >> 8) & 0xff, rows & 0xff, (rows >> 8) & 0xff])
  }

  #send(id: number, event: number, value: number, more: readonly number[] = []): void {
    const message = new Uint8Array(controlSize + more.length)
    const view = new DataView(message.buffer)
    view.setUint32(0, id, true)
    view.setUint16(4, event, true)
    view.setUint16(6, value, true)
    message.set(more, controlSize)
    this.#waiting.push(message)
  }

  #deliver(): void {
    const queue = this.#context.queue(controlQueue.receive)
    if (queue === null) return
    for (let message = this.#waiting[0]; message !== undefined; message = this.#waiting[0]) {
      const chain = queue.pop()
      if (chain === null) break
      queue.push(chain, chain.write(0, message) ? message.length : 0)
      this.#waiting.shift()
    }
    queue.signal()
  }
}
