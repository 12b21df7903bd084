import type { Device, DeviceContext, IrqLine, Shortcut, Width } from '@machinist/api'
import { plainData, RegisterBlock } from '@machinist/registers'
import { hartLines, type NoBackends } from '../harts.ts'
import type { PlicConfig, PlicIrq } from './spec.ts'
import { plicRegisters, wordsPerContext } from './registers.ts'

/** A PLIC's saved state. The levels of its inputs are part of it, for the gateways sample them. */
export interface PlicState {
  readonly registers: Readonly<Record<string, number | readonly number[]>>
  /** Bit n of the words: source n is claimed and not completed. */
  readonly claimed: readonly number[]
  readonly levels: readonly number[]
}

/** A PLIC: gateways in front of a core that knows priorities, with a claim register for each context. */
export class Plic implements Device<PlicState> {
  readonly #name: string
  readonly #registers: RegisterBlock<typeof plicRegisters>
  readonly #sources: number
  /** Outputs, by context. */
  readonly #outputs: readonly IrqLine[]
  readonly #shortcuts: readonly Shortcut[] | undefined
  readonly #pending: Uint32Array
  readonly #enable: Uint32Array
  readonly #priority: Uint32Array
  readonly #threshold: Uint32Array
  readonly #claimed = new Uint32Array(wordsPerContext)
  readonly #levels = new Uint32Array(wordsPerContext)
  /** Bit n: word n of those that are pending, or claimed, is not 0. Nearly always hardly any is. */
  #pendingWords = 0
  #claimedWords = 0
  /** Of each context: the pending and enabled source of highest priority, the lowest number among equals; 0 for none. */
  readonly #best: Uint32Array
  /** How many completions may wait, as it was declared. */
  #completions = -1
  /** Bits of the sources that exist. */
  readonly #implemented: Uint32Array

  constructor(config: PlicConfig, context: DeviceContext<PlicIrq, NoBackends>) {
    const byMode = [...config.modes].map((mode) => hartLines(context.name, context.irq, config.harts, mode === 'M' ? 'meip' : 'seip'))
    const outputs = Array.from({ length: config.harts }, (_, hart) => byMode.flatMap((lines) => lines[hart] ?? [])).flat()
    const contexts = outputs.length
    const priorityMask = 2 ** config.priorityBits - 1
    this.#name = context.name
    this.#sources = config.sources
    this.#best = new Uint32Array(contexts)
    this.#outputs = outputs
    this.#shortcuts = context.shortcuts
    this.#registers = new RegisterBlock(plicRegisters, {
      name: context.name,
      trace: context.trace,
      count: {
        PRIORITY: config.sources + 1, ENABLE: contexts * wordsPerContext, THRESHOLD: contexts, CLAIM: contexts, COMPLETE: contexts,
      },
      read: { CLAIM: (_, target) => this.#claim(target) },
      write: {
        PRIORITY: (value, _, source) => {
          this.#registers.set('PRIORITY', source === 0 ? 0 : value & priorityMask, source)
          this.#updateAll()
        },
        ENABLE: (value, _, word) => {
          this.#registers.set('ENABLE', value & (this.#implemented[word % wordsPerContext] ?? 0), word)
          this.#updateTarget(Math.floor(word / wordsPerContext))
        },
        THRESHOLD: (value, _, target) => {
          this.#registers.set('THRESHOLD', value & priorityMask, target)
          this.#updateTarget(target)
        },
        COMPLETE: (source, _, target) => this.#complete(source, target),
      },
    })
    this.#pending = this.#registers.words('PENDING')
    this.#enable = this.#registers.words('ENABLE')
    this.#priority = this.#registers.words('PRIORITY')
    this.#threshold = this.#registers.words('THRESHOLD')
    this.#implemented = Uint32Array.from({ length: wordsPerContext }, (_, word) => {
      let bits = 0
      for (let bit = 0; bit < 32; bit++) if (within(word * 32 + bit, config.sources)) bits |= 1 << bit
      return bits >>> 0
    })
  }

  read(_region: number, offset: number, width: Width): number {
    return this.#registers.read(offset, width)
  }

  write(_region: number, offset: number, width: Width, value: number): void {
    this.#registers.write(offset, width, value)
  }

  /** The level of a source's wire; its gateway turns it into at most one request at a time ("Interrupt Gateways"). */
  input(source: number, level: boolean): void {
    if (!within(source, this.#sources)) return
    const word = source >>> 5
    const bit = 1 << (source & 31)
    const levels = this.#levels[word] ?? 0
    this.#levels[word] = level ? levels | bit : levels & ~bit
    // Of one that was not claimed a completion knows nothing.
    if (level && this.#forward(source)) this.#offer(source)
    else this.#declareComplete()
  }

  reset(kind: 'cold' | 'warm'): void {
    this.#registers.reset()
    this.#claimed.fill(0)
    if (kind === 'cold') this.#levels.fill(0)
    this.#countWords()
    this.#sample()
    this.#updateAll()
  }

  save(): PlicState {
    return { registers: this.#registers.save(), claimed: [...this.#claimed], levels: [...this.#levels] }
  }

  restore(state: PlicState): void {
    const data = plainData(this.#name, state, 'state')
    const claimed = data.integers('claimed', wordsPerContext, 0, 0xffff_ffff)
    const levels = data.integers('levels', wordsPerContext, 0, 0xffff_ffff)
    this.#registers.restore(data.unknown('registers'))
    this.#claimed.set(claimed.map((bits, word) => bits & (this.#implemented[word] ?? 0)))
    this.#levels.set(levels.map((bits, word) => bits & (this.#implemented[word] ?? 0)))
    this.#pending.forEach((bits, word) => { this.#pending[word] = bits & (this.#implemented[word] ?? 0) })
    this.#enable.forEach((bits, word) => { this.#enable[word] = bits & (this.#implemented[word % wordsPerContext] ?? 0) })
    this.#countWords()
    this.#updateAll()
  }

  /** The gateway of a source passes a request to the core, unless one is still pending or being served. */
  #forward(source: number): boolean {
    const word = source >>> 5
    const bit = 1 << (source & 31)
    const pending = this.#pending[word] ?? 0
    if (((pending | (this.#claimed[word] ?? 0)) & bit) !== 0) return false
    this.#pending[word] = pending | bit
    this.#pendingWords |= 1 << word
    return true
  }

  /** All of the words may have changed. */
  #countWords(): void {
    this.#pendingWords = this.#claimedWords = 0
    for (let word = 0; word < wordsPerContext; word++) {
      if (this.#pending[word] !== 0) this.#pendingWords |= 1 << word
      if (this.#claimed[word] !== 0) this.#claimedWords |= 1 << word
    }
  }

  #sample(): void {
    for (let source = 1; source <= this.#sources; source++) if (((this.#levels[source >>> 5] ?? 0) >>> (source & 31) & 1) === 1) this.#forward(source)
  }

  /** A read of the claim register: takes the best pending source, whatever the threshold ("Interrupt Claim Process"). */
  #claim(target: number): number {
    const source = this.#best[target] ?? 0
    if (source === 0) return 0
    const word = source >>> 5
    const bit = 1 << (source & 31)
    const pending = (this.#pending[word] ?? 0) & ~bit
    this.#pending[word] = pending
    this.#claimed[word] = (this.#claimed[word] ?? 0) | bit
    if (pending === 0) this.#pendingWords &= ~(1 << word)
    this.#claimedWords |= 1 << word
    // Who had another one, has it still.
    for (let each = 0; each < this.#best.length; each++) if (this.#best[each] === source) this.#setBest(each, this.#bestOf(each))
    this.#declareComplete()
    return source
  }

  /** A write of the completion register; one for a source not enabled for the target is ignored ("Interrupt Completion"). */
  #complete(source: number, target: number): void {
    if (!within(source, this.#sources)) return
    const word = source >>> 5
    const bit = 1 << (source & 31)
    const claimed = this.#claimed[word] ?? 0
    if (((this.#enable[target * wordsPerContext + word] ?? 0) & claimed & bit) === 0) return
    this.#claimed[word] = claimed & ~bit
    if ((claimed & ~bit) === 0) this.#claimedWords &= ~(1 << word)
    if (((this.#levels[word] ?? 0) & bit) !== 0 && this.#forward(source)) this.#offer(source)
    this.#declareComplete()
  }

  #bestOf(target: number): number {
    let best = 0
    let most = 0
    for (let words = this.#pendingWords, word = 0; words !== 0; words >>>= 1, word++) {
      if ((words & 1) === 0) continue
      let bits = (this.#pending[word] ?? 0) & (this.#enable[target * wordsPerContext + word] ?? 0)
      while (bits !== 0) {
        const lowest = 31 - Math.clz32(bits & -bits)
        const source = word * 32 + lowest
        const priority = this.#priority[source] ?? 0
        if (priority > most) {
          best = source
          most = priority
        }
        bits &= bits - 1
      }
    }
    return best
  }

  /** One more source is pending. */
  #offer(source: number): void {
    const word = source >>> 5
    const bit = 1 << (source & 31)
    const priority = this.#priority[source] ?? 0
    for (let target = 0; target < this.#best.length; target++) {
      if (((this.#enable[target * wordsPerContext + word] ?? 0) & bit) === 0) continue
      const best = this.#best[target] ?? 0
      // That of source 0, which is none, is 0.
      const most = this.#priority[best] ?? 0
      if (priority > most || (priority === most && source < best)) this.#setBest(target, source)
    }
  }

  /** Anything has changed. */
  #updateAll(): void {
    for (let target = 0; target < this.#best.length; target++) this.#updateTarget(target)
    this.#declareComplete()
  }

  /** Completions may come late while none would have its source ask again. */
  #declareComplete(): void {
    if (this.#shortcuts === undefined) return
    let most = MANY
    for (let words = this.#claimedWords, word = 0; words !== 0; words >>>= 1, word++) {
      if ((words & 1) !== 0 && ((this.#claimed[word] ?? 0) & (this.#levels[word] ?? 0)) !== 0) most = 0
    }
    if (most === this.#completions) return
    this.#completions = most
    for (let target = 0; target < this.#best.length; target++) this.#shortcuts[2 * target + 1]?.set(most)
  }

  /** Anything of a context may have changed. */
  #updateTarget(target: number): void {
    this.#setBest(target, this.#bestOf(target))
  }

  /** Drives a context's output: some pending source is above its threshold ("Priority Thresholds"). */
  #setBest(target: number, best: number): void {
    this.#best[target] = best
    const above = best !== 0 && (this.#priority[best] ?? 0) > (this.#threshold[target] ?? 0)
    this.#outputs[target]?.set(above)
    // A claim that finds nothing changes nothing.
    this.#shortcuts?.[2 * target]?.set(best === 0 ? 0 : -1)
  }
}

/** Completions that may wait: more than any host lets. */
const MANY = 2 ** 16

/** Source 0 means "no interrupt" and does not exist. */
function within(source: number, sources: number): boolean {
  return source >= 1 && source <= sources
}
