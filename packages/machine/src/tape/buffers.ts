import type { Call, Filling } from './shapes.ts'

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

/** The buffers that a part lends in a call. */
export function lentIn(call: Call, args: readonly unknown[]): Lent {
  return new Lent(args.flatMap((each, place) => (call.args[place] === 'buffer' ? [each as Uint8Array] : call.args[place] === 'buffers' ? each as readonly Uint8Array[] : [])))
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
