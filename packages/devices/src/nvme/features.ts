import { Temperature } from './identify.ts'
import { Result } from './registers.ts'

/** Features by their identifiers (NVMe 1.4, 5.21.1). */
export const Feature = { arbitration: 0x01, power: 0x02, temperature: 0x04, errorRecovery: 0x05, cache: 0x06, queues: 0x07, coalescing: 0x08, vector: 0x09, atomicity: 0x0a, events: 0x0b } as const
const FEATURES = 12
/** Bits of dword 11 that are kept. */
const kept: ReadonlyMap<number, number> = new Map([[Feature.arbitration, 0xffff_ff07], [Feature.errorRecovery, 0xffff], [Feature.cache, 1], [Feature.coalescing, 0xffff], [Feature.atomicity, 1], [Feature.events, 0x0000_031f]])
/** Bits of the critical warning: its temperature is not between the thresholds. */
const TOO_WARM = 2
/** Bit 16 of the interrupt vector configuration: no coalescing. */
const VECTOR_FLAG = 0x1_0000

/** Saved state of features. */
export interface NvmeFeatureState {
  readonly values: readonly number[]
  readonly vectors: readonly number[]
  readonly thresholds: readonly number[]
}

/** What of features a controller tells. */
export interface FeatureAnswer {
  readonly status: number
  readonly result: number
}

const answer = (status: number, result: number = 0): FeatureAnswer => ({ status, result })

/** What Set Features sets. */
export class Features {
  readonly #queues: number
  readonly #values = new Uint32Array(FEATURES)
  /** Of each vector, whether it is not coalesced. */
  readonly #vectors: Uint8Array
  /** Kelvin: above the first, or below the second, it warns. */
  #thresholds: [over: number, under: number] = [Temperature.warning, 0]

  constructor(queues: number) {
    this.#queues = queues
    this.#vectors = new Uint8Array(queues + 1)
    this.reset()
  }

  reset(): void {
    this.#values.fill(0)
    this.#values[Feature.cache] = 1
    this.#vectors.fill(0)
    this.#thresholds = [Temperature.warning, 0]
  }

  get cached(): boolean {
    return this.#values[Feature.cache] === 1
  }

  /** Critical warnings (5.14.1.2). */
  get warning(): number {
    const [over, under] = this.#thresholds
    return Temperature.now >= over || Temperature.now <= under ? TOO_WARM : 0
  }

  /** Critical warnings that are told of by an event. */
  get alarming(): number {
    return this.warning & (this.#values[Feature.events] ?? 0)
  }

  get(id: number, select: number): FeatureAnswer {
    switch (id) {
      case Feature.power:
        return answer(Result.ok)
      case Feature.queues:
        return answer(Result.ok, (this.#queues - 1) * 0x1_0001)
      case Feature.vector: {
        const vector = select & 0xffff
        return vector < this.#vectors.length ? answer(Result.ok, vector | ((this.#vectors[vector] ?? 0) === 0 ? 0 : VECTOR_FLAG)) : answer(Result.invalidField)
      }
      case Feature.temperature: {
        const [sensor, type] = [select >>> 16 & 15, select >>> 20 & 3]
        return sensor === 0 && type < 2 ? answer(Result.ok, this.#thresholds[type === 0 ? 0 : 1]) : answer(Result.invalidField)
      }
      default:
        return kept.has(id) ? answer(Result.ok, this.#values[id] ?? 0) : answer(Result.invalidField)
    }
  }

  /** @param begun - whether queues for I/O were made, behind which their number does not change */
  set(id: number, value: number, begun: boolean): FeatureAnswer {
    switch (id) {
      case Feature.power:
        return answer((value & 31) === 0 ? Result.ok : Result.invalidField)
      case Feature.queues:
        if ((value & 0xffff) === 0xffff || value >>> 16 === 0xffff) return answer(Result.invalidField)
        return begun ? answer(Result.sequence) : this.get(id, 0)
      case Feature.vector: {
        const vector = value & 0xffff
        if (vector >= this.#vectors.length) return answer(Result.invalidField)
        this.#vectors[vector] = (value & VECTOR_FLAG) === 0 ? 0 : 1
        return answer(Result.ok)
      }
      case Feature.temperature: {
        const [sensor, type] = [value >>> 16 & 15, value >>> 20 & 3]
        // All sensors that there are, for one: it has none but the whole.
        if ((sensor !== 0 && sensor !== 15) || type > 1) return answer(Result.invalidField)
        this.#thresholds[type === 0 ? 0 : 1] = value & 0xffff
        return answer(Result.ok)
      }
      default: {
        const mask = kept.get(id)
        if (mask === undefined) return answer(Result.invalidField)
        this.#values[id] = value & mask
        return answer(Result.ok)
      }
    }
  }

  save(): NvmeFeatureState {
    return { values: [...this.#values], vectors: [...this.#vectors], thresholds: [...this.#thresholds] }
  }

  restore({ values, vectors, thresholds: [over = 0, under = 0] }: NvmeFeatureState): void {
    this.#values.set(values)
    this.#vectors.set(vectors)
    this.#thresholds = [over, under]
  }
}

/** Numbers that {@link NvmeFeatureState.values} has. */
export const FEATURE_VALUES: number = FEATURES
