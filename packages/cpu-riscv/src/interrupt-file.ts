import { plainData } from '@machinist/registers'

/** Registers of an interrupt file, as `siselect` numbers them (AIA 1.0, 3.8), and the arrays' ends. */
const EIDELIVERY = 0x70
const EITHRESHOLD = 0x72
const EIP = 0x80
const EIE = 0xc0
const END = 0x100
/** Stands for the register that `stopei` shows: no number of a register. */
export const TOPEI = 0

/** Most identities of an interrupt file (AIA 1.0, 3.1). */
export const MAX_IDENTITIES = 2047

/** Saved state of an interrupt file. */
export interface InterruptFileState {
  readonly select: number
  readonly delivery: number
  readonly threshold: number
  /** Bit n of the words: identity n. */
  readonly pending: readonly number[]
  readonly enabled: readonly number[]
}

/**
 * The interrupt file of a hart for one privilege level: what an IMSIC is beside its place in memory (AIA 1.0, chapter 3). Identity 1 comes
 * first, and identity 0 is none.
 */
export class InterruptFile {
  readonly identities: number
  /** Drives the hart's external interrupt. */
  readonly #drive: (level: boolean) => void
  readonly #pending: Uint32Array
  readonly #enabled: Uint32Array
  /** Values that the threshold can have: all of as many bits as the last identity takes. */
  readonly #thresholds: number
  #delivery = 0
  #threshold = 0

  /** @param identities - 63 … 2047, one less than a multiple of 64 */
  constructor(identities: number, drive: (level: boolean) => void) {
    this.identities = identities
    this.#thresholds = 2 ** (32 - Math.clz32(identities))
    this.#drive = drive
    this.#pending = new Uint32Array((identities + 1) / 32)
    this.#enabled = new Uint32Array((identities + 1) / 32)
  }

  /** A message has come. Those with an identity that does not exist are ignored (3.5). */
  message(identity: number): void {
    if (identity < 1 || identity > this.identities) return
    const word = identity >>> 5
    this.#pending[word] = (this.#pending[word] ?? 0) | 1 << (identity & 31)
    this.#update()
  }

  /** The pending and enabled identity of highest priority below the threshold, or 0 (3.9). */
  get top(): number {
    for (let word = 0; word < this.#pending.length; word++) {
      const bits = (this.#pending[word] ?? 0) & (this.#enabled[word] ?? 0)
      if (bits === 0) continue
      const identity = word * 32 + 31 - Math.clz32(bits & -bits)
      return this.#threshold === 0 || identity < this.#threshold ? identity : 0
    }
    return 0
  }

  /** Low and high word of a register of 64 bits. What is reserved reads as zero. */
  read(register: number): readonly [low: number, high: number] {
    if (register === TOPEI) return [this.top * 0x1_0001, 0]
    if (register === EIDELIVERY) return [this.#delivery, 0]
    if (register === EITHRESHOLD) return [this.#threshold, 0]
    const { array, word } = this.#arrayOf(register)
    return [array[word] ?? 0, array[word + 1] ?? 0]
  }

  /** Writes a register of 64 bits. A write to {@link TOPEI} claims what it shows, whatever is written (3.9). */
  write(register: number, low: number, high: number): void {
    if (register === TOPEI) {
      const { top } = this
      this.#pending[top >>> 5] = (this.#pending[top >>> 5] ?? 0) & ~(1 << (top & 31))
    } else if (register === EIDELIVERY) {
      // WARL: there is no other controller that could deliver instead (3.8.1).
      this.#delivery = low & 1
    } else if (register === EITHRESHOLD) {
      this.#threshold = low % this.#thresholds
    } else {
      const { array, word } = this.#arrayOf(register)
      if (word < array.length) {
        // Identity 0 does not exist.
        array[word] = word === 0 ? low & ~1 : low
        array[word + 1] = high
      }
    }
    this.#update()
  }

  reset(): void {
    this.#pending.fill(0)
    this.#enabled.fill(0)
    this.#delivery = 0
    this.#threshold = 0
    this.#update()
  }

  /** @param select - `siselect`, which is the hart's, and saved here */
  save(select: number): InterruptFileState {
    return { select, delivery: this.#delivery, threshold: this.#threshold, pending: [...this.#pending], enabled: [...this.#enabled] }
  }

  /** Takes a state back; returns `siselect`. Throws a typed error, with nothing changed, when it is not one. */
  restore(part: string, state: unknown): number {
    const data = plainData(part, state, 'state')
    const select = data.integer('select', 0, 0x1ff)
    const delivery = data.integer('delivery', 0, 1)
    const threshold = data.integer('threshold', 0, this.#thresholds - 1)
    const pending = data.integers('pending', this.#pending.length, 0, 0xffff_ffff)
    const enabled = data.integers('enabled', this.#enabled.length, 0, 0xffff_ffff)
    data.done()
    this.#delivery = delivery
    this.#threshold = threshold
    this.#pending.set(pending)
    this.#enabled.set(enabled)
    for (const array of [this.#pending, this.#enabled]) array[0] = (array[0] ?? 0) & ~1
    this.#update()
    return select
  }

  #arrayOf(register: number): { readonly array: Uint32Array; readonly word: number } {
    if (register >= EIP && register < EIE) return { array: this.#pending, word: register - EIP }
    if (register >= EIE && register < END) return { array: this.#enabled, word: register - EIE }
    return { array: none, word: 0 }
  }

  #update(): void {
    this.#drive(this.#delivery === 1 && this.top !== 0)
  }
}

const none = new Uint32Array(0)
