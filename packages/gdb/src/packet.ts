import { bytesOf } from './text.ts'

/** Most characters of a packet's data, in either direction: what `PacketSize` of `qSupported` says. */
export const MAX_PACKET = 0x4000

/** What comes from a debugger. */
export type Incoming =
  | { readonly kind: 'packet'; readonly data: string }
  /** A packet whose checksum is wrong, or that is too long. */
  | { readonly kind: 'bad' }
  /** `+` and `-`: how our last packet arrived. */
  | { readonly kind: 'ack' | 'nak' }
  /** Ctrl-C. */
  | { readonly kind: 'interrupt' }

const [DOLLAR, HASH, ESCAPE, PLUS, MINUS, INTERRUPT] = [0x24, 0x23, 0x7d, 0x2b, 0x2d, 0x03]
const ESCAPED = 0x20

function digit(byte: number): number {
  const character = String.fromCharCode(byte)
  return /[0-9a-fA-F]/.test(character) ? parseInt(character, 16) : -1
}

/** Takes a stream of bytes apart into packets. Whatever comes, it holds no more than one packet of {@link MAX_PACKET}. */
export class PacketReader {
  #state: 'idle' | 'data' | 'first' | 'second' = 'idle'
  #data = ''
  #sum = 0
  #escaped = false
  #broken = false
  #first = 0

  /** Gives what is complete to `take`, in order. */
  push(bytes: Uint8Array, take: (incoming: Incoming) => void): void {
    for (const byte of bytes) this.#byte(byte, take)
  }

  #begin(): void {
    this.#state = 'data'
    this.#data = ''
    this.#sum = 0
    this.#escaped = this.#broken = false
  }

  #byte(byte: number, take: (incoming: Incoming) => void): void {
    switch (this.#state) {
      case 'idle':
        if (byte === DOLLAR) this.#begin()
        else if (byte === PLUS) take({ kind: 'ack' })
        else if (byte === MINUS) take({ kind: 'nak' })
        else if (byte === INTERRUPT) take({ kind: 'interrupt' })
        return
      case 'data':
        // Neither stands in the data of a packet: they would be escaped.
        if (byte === DOLLAR) return this.#begin()
        if (byte === HASH) {
          if (this.#escaped) this.#broken = true
          this.#state = 'first'
          return
        }
        this.#sum = (this.#sum + byte) & 0xff
        if (byte === ESCAPE && !this.#escaped) {
          this.#escaped = true
          return
        }
        if (this.#data.length >= MAX_PACKET) this.#broken = true
        else this.#data += String.fromCharCode(this.#escaped ? byte ^ ESCAPED : byte)
        this.#escaped = false
        return
      case 'first':
        this.#first = digit(byte)
        this.#state = 'second'
        return
      case 'second': {
        this.#state = 'idle'
        const second = digit(byte)
        const right = this.#first >= 0 && second >= 0 && this.#first * 16 + second === this.#sum
        take(right && !this.#broken ? { kind: 'packet', data: this.#data } : { kind: 'bad' })
        this.#data = ''
      }
    }
  }
}

/** A packet with these data, ready to be sent. */
export function packet(data: string): Uint8Array<ArrayBuffer> {
  // `*` would begin a run-length.
  const escaped = data.replace(/[#$}*]/g, (character) => `}${String.fromCharCode(character.charCodeAt(0) ^ ESCAPED)}`)
  let sum = 0
  for (const byte of bytesOf(escaped)) sum = (sum + byte) & 0xff
  return bytesOf(`$${escaped}#${sum.toString(16).padStart(2, '0')}`)
}
