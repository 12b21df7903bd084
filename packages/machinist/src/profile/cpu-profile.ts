import type { MachineSample } from '@machinist/machine'
import type { SymbolTable } from './symbols.ts'

/** A function, in the words of V8's profiler. */
export interface CallFrame {
  readonly functionName: string
  readonly scriptId: string
  /** `guest://`, the privilege, `/`, and the file or kernel module that names the function. */
  readonly url: string
  /** Always −1: the guest's lines are not known. */
  readonly lineNumber: number
  readonly columnNumber: number
}

/** A function as it was called from where its parents are. */
export interface ProfileNode {
  /** From 1 on, in the order of `nodes`. */
  readonly id: number
  readonly callFrame: CallFrame
  /** How many of `samples` are this one. */
  readonly hitCount: number
  readonly children: readonly number[]
}

/**
 * What a `.cpuprofile` file holds, as JSON: `Profiler.Profile` of the Chrome DevTools Protocol. The protocol does not say whether a sample
 * stands for the time before it or after it, and readers differ. Here each span of time has a sample at its beginning and
 * another at its end, so that both are right.
 */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[]
  /** Microseconds, as all times here. */
  readonly startTime: number
  readonly endTime: number
  /** Identities of nodes. */
  readonly samples: readonly number[]
  /** From `startTime` or the sample before to this one. */
  readonly timeDeltas: readonly number[]
}

/** Where profiles begin, in microseconds: DevTools takes 0 for no time at all. */
const ORIGIN = 1

interface Node {
  readonly id: number
  readonly callFrame: CallFrame
  hitCount: number
  readonly children: Map<string, Node>
}

/** A hostile guest shows new stacks all the time: further ones are booked to the callers that are known. */
const MOST_NODES = 250_000
/** Samples that a profile takes in: more than an hour of a thousand in a second. */
const MOST_SAMPLES = 4_000_000
const PAGE = 4096n

/** Makes a {@link CpuProfile} of what a machine's `sample` events tell. */
export class ProfileBuilder {
  readonly #symbols: SymbolTable
  /** With several harts, each is a node below the root. */
  readonly #byHart: boolean
  readonly #nodes: Node[] = []
  readonly #scripts = new Map<string, string>()
  readonly #root: Node
  readonly #samples: number[] = []
  readonly #times: number[] = []
  /** Nanoseconds from the beginning. */
  #now = 0

  /**
   * @param symbols - names of the guest's code
   * @param harts - how many the machine has
   */
  constructor(symbols: SymbolTable, harts: number) {
    this.#symbols = symbols
    this.#byHart = harts > 1
    this.#root = this.#node('(root)', '')
  }

  /** Samples so far. */
  get length(): number {
    return this.#samples.length
  }

  /** Whether further samples are left out. */
  get full(): boolean {
    return this.#samples.length >= MOST_SAMPLES
  }

  add(sample: MachineSample): void {
    if (this.full) return
    const node = sample.kind === 'run' ? this.#leaf(sample) : this.#child(this.#root, `(${sample.kind})`, '')
    node.hitCount++
    this.#samples.push(node.id)
    this.#times.push(this.#now)
    this.#now += sample.duration
  }

  #leaf({ hart, at: { mode, stack } }: MachineSample & { readonly kind: 'run' }): Node {
    let node = this.#byHart ? this.#child(this.#root, `hart ${hart}`, 'guest://harts/') : this.#root
    for (let index = stack.length - 1; index >= 0; index--) {
      const address = stack[index] ?? 0n
      // A call may be the last instruction of a function, and then leads to the next one.
      const inside = index > 0 && address > 0n ? address - 1n : address
      const symbol = this.#symbols.find(inside)
      node = symbol !== null
        ? this.#child(node, symbol.name, `guest://${mode}/${symbol.source}`)
        : this.#child(node, `0x${(inside - (inside % PAGE)).toString(16)} (${mode})`, `guest://${mode}/`)
    }
    return node
  }

  #child(parent: Node, name: string, url: string): Node {
    const key = `${url} ${name}`
    const known = parent.children.get(key)
    if (known !== undefined || this.#nodes.length >= MOST_NODES) return known ?? parent
    const node = this.#node(name, url)
    parent.children.set(key, node)
    return node
  }

  #node(functionName: string, url: string): Node {
    let scriptId = this.#scripts.get(url)
    if (scriptId === undefined) {
      scriptId = String(this.#scripts.size)
      this.#scripts.set(url, scriptId)
    }
    const node = { id: this.#nodes.length + 1, callFrame: { functionName, scriptId, url, lineNumber: -1, columnNumber: -1 }, hitCount: 0, children: new Map<string, Node>() }
    this.#nodes.push(node)
    return node
  }

  /** The profile of all that came till now. */
  build(): CpuProfile {
    const micro = (time: number): number => ORIGIN + Math.round(time / 1000)
    const end = micro(this.#now)
    return {
      nodes: this.#nodes.map(({ id, callFrame, hitCount, children }) => ({ id, callFrame, hitCount: 2 * hitCount, children: Array.from(children.values(), (child) => child.id) })),
      startTime: ORIGIN,
      endTime: end,
      samples: this.#samples.flatMap((id) => [id, id]),
      timeDeltas: this.#times.flatMap((time, index) => {
        const next = this.#times[index + 1]
        return [0, (next === undefined ? end : micro(next)) - micro(time)]
      }),
    }
  }
}
