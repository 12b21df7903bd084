/**
 * A growable byte buffer for WebAssembly binaries. Appending is one bounds check and one store; an emitter on
 * JavaScript arrays costs several times as much, more than V8's own compilation of the result.
 */
export class Bytes {
  #data: Uint8Array
  #length = 0

  constructor(capacity: number = 1024) {
    this.#data = new Uint8Array(capacity)
  }

  get length(): number {
    return this.#length
  }

  #reserve(more: number): void {
    const need = this.#length + more
    if (need <= this.#data.length) return
    const data = new Uint8Array(Math.max(need, this.#data.length * 2))
    data.set(this.#data.subarray(0, this.#length))
    this.#data = data
  }

  /** Empties the buffer, keeping its memory. */
  clear(): void {
    this.#length = 0
  }

  byte(value: number): void {
    if (this.#length === this.#data.length) this.#reserve(1)
    this.#data[this.#length++] = value
  }

  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#data.set(bytes, this.#length)
    this.#length += bytes.length
  }

  /** Unsigned LEB128 of a number below 2^32. */
  u32(value: number): void {
    let rest = value >>> 0
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80)
      rest >>>= 7
    }
    this.byte(rest)
  }

  /** Signed LEB128 of a 32-bit integer. */
  s32(value: number): void {
    let rest = value | 0
    for (;;) {
      const low = rest & 0x7f
      rest >>= 7
      if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) {
        this.byte(low)
        return
      }
      this.byte(low | 0x80)
    }
  }

  /** Signed LEB128 of a 64-bit integer. */
  s64(value: number | bigint): void {
    if (typeof value === 'number' && (value | 0) === value) {
      this.s32(value)
      return
    }
    let rest = BigInt.asIntN(64, BigInt(value))
    for (;;) {
      const low = Number(rest & 0x7fn)
      rest >>= 7n
      if ((rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0)) {
        this.byte(low)
        return
      }
      this.byte(low | 0x80)
    }
  }

  f32(value: number): void {
    floats.setFloat32(0, value, true)
    for (let i = 0; i < 4; i++) this.byte(floats.getUint8(i))
  }

  f64(value: number): void {
    floats.setFloat64(0, value, true)
    for (let i = 0; i < 8; i++) this.byte(floats.getUint8(i))
  }

  /** A length-prefixed name; names here are ASCII. */
  name(text: string): void {
    this.u32(text.length)
    for (let i = 0; i < text.length; i++) this.byte(text.charCodeAt(i) & 0x7f)
  }

  /** A copy of what was written. */
  finish(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#data.subarray(0, this.#length))
  }

  /** What was written, without a copy; valid until the next write. */
  view(): Uint8Array {
    return this.#data.subarray(0, this.#length)
  }
}

const floats = new DataView(new ArrayBuffer(8))
