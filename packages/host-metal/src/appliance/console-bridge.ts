import type { CharPort } from '@machinist/api'
import type { ConsoleConnection, ConsoleListener } from '@machinist/hypervisor'

/** Bytes that wait for the line; what comes beyond is lost, as on a line that nobody reads. */
const ROOM = 2 ** 20
/** Bytes of input that are taken at once. */
const PIECE = 256

/** A machine's console on a line of the hardware: bytes as they are, in both directions. */
export class ConsoleBridge implements ConsoleListener {
  readonly #line: CharPort
  #waiting: Uint8Array[] = []
  #count = 0
  #connection: ConsoleConnection | null = null

  constructor(line: CharPort) {
    this.#line = line
    line.listen({
      readable: () => { this.#read() },
      writable: () => { this.#flush() },
    })
  }

  /** Where input goes. */
  set connection(connection: ConsoleConnection | null) {
    this.#connection = connection
    this.#read()
  }

  output(bytes: Uint8Array): void {
    if (this.#count + bytes.length > ROOM) return
    this.#waiting.push(bytes)
    this.#count += bytes.length
    this.#flush()
  }

  closed(): void {
    this.#connection = null
  }

  #flush(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const taken = this.#line.write(first)
      this.#count -= taken
      if (taken < first.length) {
        this.#waiting[0] = first.subarray(taken)
        return
      }
      this.#waiting.shift()
    }
  }

  #read(): void {
    const connection = this.#connection
    if (connection === null) return
    const bytes = new Uint8Array(PIECE)
    for (let count = this.#line.read(bytes); count > 0; count = this.#line.read(bytes)) connection.write(bytes.slice(0, count))
  }
}
