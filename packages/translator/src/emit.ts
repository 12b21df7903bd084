import { type Expr, type Func, i32, i64, type Label, type Local } from '@machinist/wasm'
import { Exit, type Frontend, type Instruction, type RegionStage } from './code.ts'
import type { Graph } from './graph.ts'
import type { Item, Loop } from './structure.ts'

/** Where a region's code finds things in linear memory. */
export interface RegionPlace {
  /** Addresses of the 64-bit `pc` and `va`, and of the 32-bit exit kind and access. */
  readonly pc: number
  readonly va: number
  readonly exit: number
  readonly access: number
  /** Address of the region's entry map: for each halfword of the unit, 16 bits: entry number + 1, or 0. */
  readonly entryMap: number
}

/** Parameters of a region's function: entry number, address of the unit, budget. It returns what is left of the budget. */
export const REGION_PARAMS: readonly ['i32', 'i64', 'i32'] = ['i32', 'i64', 'i32']

/** A list of items that is being written: where each block of it can be reached from inside. */
interface Frame {
  readonly itemOf: ReadonlyMap<number, number>
  readonly items: readonly Item[]
  readonly labels: readonly (Label | undefined)[]
  readonly loop: { readonly loop: Loop; readonly label: Label } | null
  /** Item being written. */
  current: number
}

/** Writes the code of one region into `f`. */
export class RegionEmitter {
  readonly #f: Func
  readonly #frontend: Frontend
  readonly #graph: Graph
  readonly #place: RegionPlace
  readonly #registers = new Map<number, Local<'i64'>>()
  readonly #written = new Set<number>()
  readonly #entry: Local<'i32'>
  readonly #unit: Local<'i64'>
  readonly #budget: Local<'i32'>
  readonly #pc: Local<'i64'>
  readonly #kind: Local<'i32'>
  readonly #va: Local<'i64'>
  readonly #access: Local<'i32'>
  readonly #at: Local<'i32'>
  /** For each loop with several entries, the local that says which one is meant. */
  readonly #selectors = new Map<Loop, Local<'i32'>>()
  readonly #frames: Frame[] = []
  #constants: Readonly<Record<string, Expr<'i32'>>> = {}
  #epilogue: Label | null = null
  #miss: Label | null = null
  #escape: Label | null = null
  #root: Label | null = null

  constructor(f: Func, frontend: Frontend, graph: Graph, place: RegionPlace) {
    this.#f = f
    this.#frontend = frontend
    this.#graph = graph
    this.#place = place
    this.#entry = f.param('i32', 0)
    this.#unit = f.param('i64', 1)
    this.#budget = f.param('i32', 2)
    this.#pc = f.local('i64')
    this.#kind = f.local('i32')
    this.#va = f.local('i64')
    this.#access = f.local('i32')
    this.#at = f.local('i32')
  }

  /**
   * @param items - the graph's structure
   * @param constants - values that the front end wants once for the whole region
   */
  emit(items: readonly Item[], constants: Readonly<Record<string, Expr<'i32'>>>): void {
    const f = this.#f
    this.#loadRegisters()
    this.#constants = Object.fromEntries(Object.entries(constants).map(([name, value]) => [name, f.let(value)]))
    f.block((epilogue) => {
      this.#epilogue = epilogue
      f.block((escape) => {
        this.#escape = escape
        f.block((miss) => {
          this.#miss = miss
          f.loop((root) => {
            this.#root = root
            this.#list(items, null)
          })
          f.unreachable()
        })
        f.set(this.#kind, Exit.miss)
        this.#resolveAt()
        f.br(epilogue)
      })
      f.set(this.#kind, Exit.escape)
      this.#resolveAt()
    })
    for (const register of [...this.#written].sort((a, b) => a - b)) {
      const local = this.#registers.get(register)
      const spec = this.#frontend.registers[register]
      if (local && spec) f.do(i64.store(0, local, spec.address))
    }
    f.do(i64.store(0, this.#pc, this.#place.pc))
    f.do(i64.store(0, this.#va, this.#place.va))
    f.do(i32.store(0, this.#access, this.#place.access))
    f.do(i32.store(0, this.#kind, this.#place.exit))
    f.return(this.#budget)
  }

  #loadRegisters(): void {
    const f = this.#f
    const used = new Set<number>()
    for (const block of this.#graph.blocks) {
      for (const { reads, writes } of block.instructions) {
        for (const register of reads) used.add(register)
        for (const register of writes) {
          used.add(register)
          this.#written.add(register)
        }
      }
    }
    for (const register of [...used].sort((a, b) => a - b)) {
      const spec = this.#frontend.registers[register]
      if (!spec) continue
      this.#registers.set(register, f.let(i64.load(0, spec.address)))
    }
  }

  /** `at` holds an offset and, in its upper half, how many instructions were counted and not executed. */
  #resolveAt(): void {
    const f = this.#f
    f.set(this.#pc, i64.add(this.#unit, i64.extendU(i32.and(this.#at, 0xffff))))
    f.set(this.#budget, i32.add(this.#budget, i32.shrU(this.#at, 16)))
  }

  #list(items: readonly Item[], loop: { readonly loop: Loop; readonly label: Label } | null): void {
    const f = this.#f
    const itemOf = new Map<number, number>()
    items.forEach((item, i) => {
      if (item.kind === 'block') itemOf.set(item.block, i)
      else for (const block of item.blocks) itemOf.set(block, i)
    })
    const labels: (Label | undefined)[] = []
    const first = loop ? 1 : 0
    for (let i = items.length - 1; i >= first; i--) labels[i] = f.open('block')
    const frame: Frame = { itemOf, items, labels, loop, current: -1 }
    this.#frames.push(frame)
    if (loop) this.#dispatchLoop(loop.loop, frame)
    else this.#dispatchRoot()
    items.forEach((item, i) => {
      const label = labels[i]
      if (label) f.close(label)
      frame.current = i
      if (item.kind === 'block') {
        if (loop?.loop.header === item.block) this.#checkBudget(item.block)
        this.#block(item.block)
      } else {
        f.loop((label) => {
          this.#list(item.items, { loop: item, label })
        })
      }
    })
    this.#frames.pop()
  }

  /** Enters at the entry that the caller names. */
  #dispatchRoot(): void {
    const f = this.#f
    const { entries, byOffset } = this.#graph
    const stubs: Label[] = []
    for (let i = entries.length - 1; i >= 0; i--) stubs[i] = f.open('block')
    const last = stubs.at(-1)
    if (last) f.brTable(this.#entry, stubs, last)
    entries.forEach((offset, i) => {
      const stub = stubs[i]
      if (stub) f.close(stub)
      this.#goto(byOffset.get(offset) ?? 0)
    })
  }

  #dispatchLoop(loop: Loop, frame: Frame): void {
    const selector = this.#selectorOf(loop)
    if (!selector) return
    const f = this.#f
    const usual = f.open('block')
    f.brIf(usual, i32.eqz(selector))
    const targets = loop.entries.map((block) => {
      const index = frame.itemOf.get(block) ?? 0
      return frame.labels[index] ?? usual
    })
    f.brTable(selector, targets, usual)
    f.close(usual)
  }

  #selectorOf(loop: Loop): Local<'i32'> | null {
    if (loop.entries.length < 2) return null
    const known = this.#selectors.get(loop)
    if (known) return known
    const selector = this.#f.local('i32')
    this.#selectors.set(loop, selector)
    return selector
  }

  /** At a loop's header: leaves when the budget is used up. */
  #checkBudget(block: number): void {
    const offset = this.#graph.blocks[block]?.offset ?? 0
    this.#f.if(i32.leS(this.#budget, 0), () => this.#exitTo(i64.add(this.#unit, offset)))
  }

  #exitTo(address: Expr<'i64'>): void {
    const f = this.#f
    f.set(this.#pc, address)
    f.set(this.#kind, Exit.jump)
    f.br(known(this.#epilogue))
  }

  /** Continues at `offset`, inside the region if it can. */
  #gotoOffset(offset: number): void {
    const block = this.#graph.byOffset.get(offset)
    if (block === undefined) this.#exitTo(i64.add(this.#unit, offset))
    else this.#goto(block)
  }

  #goto(block: number): void {
    const f = this.#f
    for (let i = this.#frames.length - 1; i >= 0; i--) {
      const frame = this.#frames[i]
      if (!frame) continue
      if (frame.loop && frame.loop.loop.header === block) {
        const selector = this.#selectorOf(frame.loop.loop)
        if (selector) f.set(selector, 0)
        f.br(frame.loop.label)
        return
      }
      const index = frame.itemOf.get(block)
      if (index === undefined) continue
      const item = frame.items[index]
      if (item) this.#select(item, block)
      const label = frame.labels[index]
      if (!label || index <= frame.current) throw new RangeError('control flow goes backward without a loop')
      f.br(label)
      return
    }
    throw new RangeError(`block ${block} is in no frame`)
  }

  /** Sets the selectors on the way into `block` through nested loops. */
  #select(item: Item, block: number): void {
    if (item.kind === 'block') return
    const selector = this.#selectorOf(item)
    if (selector) this.#f.set(selector, Math.max(0, item.entries.indexOf(block)))
    if (item.header === block) return
    const inner = item.items.find((candidate) => candidate.kind === 'loop' && candidate.blocks.has(block))
    if (inner) this.#select(inner, block)
  }

  #block(index: number): void {
    const block = this.#graph.blocks[index]
    if (!block) return
    const f = this.#f
    const executed = block.instructions.filter(({ flow }) => flow.kind !== 'leave').length
    if (executed > 0) f.set(this.#budget, i32.sub(this.#budget, executed))
    block.instructions.forEach((instruction, i) => {
      const left = executed - i
      if (instruction.flow.kind === 'leave') {
        f.set(this.#at, instruction.offset)
        f.br(known(this.#escape))
      } else f.scope(() => instruction.emit(this.#stage(index, instruction, left)))
    })
    const last = block.instructions.at(-1)
    // Whatever did not go elsewhere goes on behind the block.
    if (!last || last.flow.kind === 'next' || last.flow.kind === 'branch') this.#gotoOffset(block.end)
  }

  #stage(block: number, instruction: Instruction, left: number): RegionStage {
    const f = this.#f
    const at = instruction.offset | (left << 16)
    return {
      f,
      unit: this.#unit,
      block,
      offset: instruction.offset,
      constants: this.#constants,
      get: (register) => known(this.#registers.get(register) ?? null),
      set: (register, value) => f.set(known(this.#registers.get(register) ?? null), value),
      branch: (condition) => {
        const { flow } = instruction
        if (flow.kind === 'branch') f.if(condition, () => this.#gotoOffset(flow.target))
      },
      jump: () => {
        if (instruction.flow.kind === 'jump') this.#gotoOffset(instruction.flow.target)
      },
      indirect: (address) => this.#indirect(address),
      escapeIf: (condition) => {
        f.if(condition, () => {
          f.set(this.#at, at)
          f.br(known(this.#escape))
        })
      },
      missIf: (condition, va, access) => {
        f.if(condition, () => {
          f.set(this.#at, at)
          f.set(this.#va, va)
          f.set(this.#access, access)
          f.br(known(this.#miss))
        })
      },
    }
  }

  /** To an address of the same unit that is an entry, directly; to any other, out of the region. */
  #indirect(address: Expr<'i64'>): void {
    const f = this.#f
    const size = this.#frontend.unitSize
    f.set(this.#pc, address)
    f.if(i64.eq(i64.and(this.#pc, -size), this.#unit), () => {
      f.set(this.#entry, i32.load16U(i32.and(i32.wrap(this.#pc), size - 2), this.#place.entryMap))
      f.if(i32.and(i32.ne(this.#entry, 0), i32.gtS(this.#budget, 0)), () => {
        f.set(this.#entry, i32.sub(this.#entry, 1))
        f.br(known(this.#root))
      })
    })
    f.set(this.#kind, Exit.jump)
    f.br(known(this.#epilogue))
  }
}

function known<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new RangeError('a region is used outside its emission')
  return value
}
