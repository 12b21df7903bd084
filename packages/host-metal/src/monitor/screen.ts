import type { CharPort } from '@machinist/api'
import { encodeUtf8 } from '@machinist/boot'

/** Bytes that wait for a slow line, at most: what guests say beyond is left out. */
const MOST = 65536
const LF = 0x0a

/** What is written to the console of the hardware, which may be slower than those who write. */
export class Screen {
  readonly #port: CharPort
  #waiting: Uint8Array[] = []
  #bytes = 0
  #omitted = 0
  /** Whether the cursor is at the beginning of a line. */
  #fresh = true

  constructor(port: CharPort) {
    this.#port = port
  }

  /** Bytes of a guest, as they are; left out when too many wait. */
  bytes(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    if (this.#bytes + bytes.length > MOST) {
      this.#omitted += bytes.length
      return
    }
    this.#put(bytes.slice())
  }

  /** Text of the monitor; `\n` begins a line. */
  text(text: string): void {
    this.#put(encodeUtf8(text.replaceAll('\n', '\r\n')))
  }

  /** A line of its own, wherever the cursor is. */
  line(text: string): void {
    this.text(`${this.#fresh ? '' : '\n'}${text}\n`)
  }

  /** Goes to the beginning of a line. */
  fresh(): void {
    if (!this.#fresh) this.text('\n')
  }

  /** Writes what waits, as far as the line takes it. */
  flush(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const taken = this.#port.write(first)
      this.#bytes -= taken
      if (taken < first.length) {
        this.#waiting[0] = first.subarray(taken)
        return
      }
      this.#waiting.shift()
    }
    if (this.#omitted === 0) return
    const omitted = this.#omitted
    this.#omitted = 0
    this.line(`[${omitted} bytes were left out: the line is too slow]`)
  }

  #put(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#waiting.push(bytes)
    this.#bytes += bytes.length
    this.#fresh = bytes[bytes.length - 1] === LF
    this.flush()
  }
}
