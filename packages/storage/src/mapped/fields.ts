/** Reading and writing the fields of a structure in a file, by their offsets. */
export class Fields {
  readonly bytes: Uint8Array
  readonly #view: DataView
  readonly #little: boolean

  constructor(bytes: Uint8Array, little: boolean) {
    this.bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#little = little
  }

  u16(at: number): number { return this.#view.getUint16(at, this.#little) }
  u32(at: number): number { return this.#view.getUint32(at, this.#little) }

  /** From 2^53 on it is not exact; whoever believes it asks `Number.isSafeInteger`. */
  u64(at: number): number {
    const [low, high] = this.#little ? [at, at + 4] : [at + 4, at]
    return this.u32(high) * 2 ** 32 + this.u32(low)
  }

  setU16(at: number, value: number): void { this.#view.setUint16(at, value, this.#little) }
  setU32(at: number, value: number): void { this.#view.setUint32(at, value, this.#little) }

  setU64(at: number, value: number): void {
    const [low, high] = this.#little ? [at, at + 4] : [at + 4, at]
    this.setU32(high, Math.floor(value / 2 ** 32))
    this.setU32(low, value % 2 ** 32)
  }

  /** Bytes as ASCII text. */
  text(at: number, length: number): string {
    return asciiOf(this.bytes.subarray(at, at + length))
  }

  setText(at: number, text: string): void {
    for (let index = 0; index < text.length; index++) this.bytes[at + index] = text.charCodeAt(index) & 0xff
  }
}

/** Bytes as text, one character each, in pieces that a call can take. */
export function asciiOf(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096))
  return text
}

/** Text as bytes, one for each character. */
export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 0xff)
}

/** Rounds up to a multiple of `unit`. */
export function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit
}

/** Whether every byte is zero. */
export function allZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0)
}
