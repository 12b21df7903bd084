import type { Filling } from './shapes.ts'

/** Buffers that a part lent, one behind the other. */
export class Lent {
  readonly #buffers: readonly Uint8Array[]
  readonly length: number

  constructor(buffers: readonly Uint8Array[]) {
    this.#buffers = buffers
    this.length = buffers.reduce((sum, { length }) => sum + length, 0)
  }

  /** What is in them. */
  copy(): Uint8Array {
    const all = new Uint8Array(this.length)
    let at = 0
    for (const buffer of this.#buffers) {
      all.set(buffer, at)
      at += buffer.length
    }
    return all
  }

  /** Fills them from the beginning. */
  fill(from: Uint8Array): void {
    let at = 0
    for (const buffer of this.#buffers) {
      if (at >= from.length) return
      buffer.set(from.subarray(at, at + buffer.length))
      at += buffer.length
    }
  }
}

/** How many bytes of `length` an answer fills; −1 for an answer that cannot be. */
export function filledBy(filling: Filling, answer: unknown, length: number): number {
  switch (filling) {
    case 'whole':
      return length
    case 'true':
      return answer === true ? length : 0
    case 'ok':
      return answer === 'ok' ? length : 0
    case 'count':
      return typeof answer === 'number' && Number.isInteger(answer) && answer >= 0 && answer <= length ? answer : -1
  }
}
