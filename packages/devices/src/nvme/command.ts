import { SUBMISSION } from './registers.ts'

/** An entry of a submission queue (NVMe 1.4, 4.2), as it was when it was fetched. */
export class Command {
  /** The identifier of its submission queue. */
  readonly queue: number
  readonly words: Uint32Array
  /** False once nobody waits for it: then guest memory is not its own any more. */
  live = true

  constructor(queue: number, words: Uint32Array) {
    this.queue = queue
    this.words = words
  }

  get opcode(): number {
    return this.word(0) & 0xff
  }

  /** Neither fused nor with scatter gather lists: all that is known here. */
  get plain(): boolean {
    return (this.word(0) & 0xc300) === 0
  }

  get id(): number {
    return this.word(0) >>> 16
  }

  get namespace(): number {
    return this.word(1)
  }

  get prp1(): number {
    return this.long(6)
  }

  get prp2(): number {
    return this.long(8)
  }

  /** A dword, unsigned. */
  word(at: number): number {
    return this.words[at] ?? 0
  }

  /** Two dwords. Beyond 2^53 it is not exact, and far beyond any memory or disk. */
  long(at: number): number {
    return this.word(at) + this.word(at + 1) * 2 ** 32
  }
}

/** Words of a command. */
export const COMMAND_WORDS: number = SUBMISSION / 4
