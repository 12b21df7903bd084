import { call, type Expr, type Func, i32, i64, type Label, type Local } from '@machinist/wasm'
import type { Frontend, Instruction, RegionObserver, RegionStage, RegionValues, RegisterType, WayOut } from './code.ts'
import { regionError } from './errors.ts'
import type { RegionExits } from './exits.ts'
import type { Graph } from './graph.ts'
import { type Liveness, liveness } from './liveness.ts'
import { isStoredOut, RegionRegisters } from './registers.ts'
import type { Item, Loop } from './structure.ts'

export interface RegionPlace {
  /** Address of the region's entry map: for each place of the unit where an instruction may begin, 16 bits: entry number + 1, or 0. */
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
  #registers: RegionRegisters
  #liveness: Liveness | null = null
  readonly #exits: RegionExits
  readonly #entry: Local<'i32'>
  readonly #unit: Local<'i64'>
  readonly #budget: Local<'i32'>
  readonly #target: Local<'i64'>
  /** For each loop with several entries, the local that says which one is meant. */
  readonly #selectors = new Map<Loop, Local<'i32'>>()
  readonly #frames: Frame[] = []
  #constants: Readonly<Record<string, Local<'i32'>>> = {}
  #sources: Readonly<Record<string, Expr<'i32'>>> = {}
  #root: Label | null = null
  readonly #observer: RegionObserver | undefined

  /** @param observer - told what is written; only listings have one */
  constructor(f: Func, frontend: Frontend, graph: Graph, place: RegionPlace, exits: RegionExits, observer?: RegionObserver) {
    this.#f = f
    this.#observer = observer
    this.#exits = exits
    this.#frontend = frontend
    this.#graph = graph
    this.#place = place
    this.#entry = f.param('i32', 0)
    this.#unit = f.param('i64', 1)
    this.#budget = f.param('i32', 2)
    this.#target = f.local('i64')
    this.#registers = new RegionRegisters(f, [], { blocks: [], entries: [], byOffset: new Map() }, undefined)
    observer?.local(this.#target, 'target')
  }

  /**
   * @param items - the graph's structure
   * @param constants - values that the front end wants once for the whole region
   */
  emit(items: readonly Item[], constants: Readonly<Record<string, Expr<'i32'>>>): void {
    const f = this.#f
    this.#observer?.code(f.position, { kind: 'entry' })
    this.#registers = new RegionRegisters(f, this.#frontend.registers, this.#graph, this.#observer)
    this.#liveness = liveness(this.#graph, this.#frontend, headersOf(items))
    this.#declareSelectors(items)
    this.#sources = constants
    this.#constants = Object.fromEntries(Object.entries(constants).map(([name, value]) => [name, f.let(value)]))
    for (const [name, local] of Object.entries(this.#constants)) this.#observer?.local(local, name)
    // What is stored on the ways out alone stays in locals while control is in the region.
    this.#frontend.registers.forEach((spec, register) => {
      if (isStoredOut(spec)) this.#registers.load(register)
    })
    this.#observer?.label(f.position, 'region')
    f.loop((root) => {
      this.#root = root
      this.#list(items, null)
    })
    f.unreachable()
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
    for (let i = items.length - 1; i >= first; i--) {
      this.#observer?.label(f.position, `B${headOf(items[i])}`)
      labels[i] = f.open('block')
    }
    const frame: Frame = { itemOf, items, labels, loop, current: -1 }
    this.#frames.push(frame)
    if (loop) this.#dispatchLoop(loop.loop, frame)
    else this.#dispatchRoot()
    items.forEach((item, i) => {
      const label = labels[i]
      this.#observer?.code(f.position, { kind: 'nesting', block: headOf(item) })
      if (label) f.close(label)
      frame.current = i
      if (item.kind === 'block') {
        if (loop?.loop.header === item.block) this.#checkBudget(item.block)
        this.#block(item.block)
      } else {
        this.#observer?.label(f.position, `loop${item.header}`)
        f.loop((label) => {
          this.#list(item.items, { loop: item, label })
        })
      }
    })
    this.#frames.pop()
  }

  /** Enters at the entry that the caller names, with the registers that are needed from there on. */
  #dispatchRoot(): void {
    const f = this.#f
    const { entries, byOffset } = this.#graph
    const stubs: Label[] = []
    for (let i = entries.length - 1; i >= 0; i--) {
      this.#observer?.label(f.position, `entry${i}`)
      stubs[i] = f.open('block')
    }
    const last = stubs.at(-1)
    if (last) f.brTable(this.#entry, stubs, last)
    entries.forEach((offset, i) => {
      const stub = stubs[i]
      if (stub) f.close(stub)
      const block = byOffset.get(offset) ?? 0
      for (const register of this.#liveness?.liveIn[block] ?? []) if (!isStoredOut(this.#frontend.registers[register])) this.#registers.load(register)
      this.#goto(block)
    })
  }

  #dispatchLoop(loop: Loop, frame: Frame): void {
    const selector = this.#selectors.get(loop)
    if (!selector) return
    const f = this.#f
    this.#observer?.label(f.position, `usual${loop.header}`)
    const usual = f.open('block')
    f.brIf(usual, i32.eqz(selector))
    const targets = loop.entries.map((block) => {
      const index = frame.itemOf.get(block) ?? 0
      return frame.labels[index] ?? usual
    })
    f.brTable(selector, targets, usual)
    f.close(usual)
  }

  /** Before any code: a local taken where an instruction is written goes back to others when that is done. */
  #declareSelectors(items: readonly Item[]): void {
    for (const item of items) {
      if (item.kind === 'block') continue
      if (item.entries.length > 1) {
        const selector = this.#f.local('i32')
        this.#selectors.set(item, selector)
        this.#observer?.local(selector, `entry${item.header}`)
      }
      this.#declareSelectors(item.items)
    }
  }

  /** At a loop's header: leaves when the budget is used up. */
  #checkBudget(block: number): void {
    const offset = this.#graph.blocks[block]?.offset ?? 0
    this.#f.if(i32.leS(this.#budget, 0), () => this.#exitTo(i64.add(this.#unit, offset)))
  }

  #exitTo(address: Expr<'i64'>): void {
    this.#leave('jump')
    const { addressMask } = this.#frontend
    // A tail call, since the region that it may go on to must not grow the stack.
    this.#f.returnCall(this.#exits.jump, addressMask === undefined ? address : i64.and(address, addressMask), this.#budget)
  }

  /** Continues at `offset`, inside the region if it can. */
  #gotoOffset(offset: number): void {
    const block = this.#graph.byOffset.get(offset)
    if (block === undefined) this.#exitTo(i64.add(this.#unit, offset))
    else {
      this.#frontend.edge?.(this.#f)
      this.#goto(block)
    }
  }

  /** On a way out, before control is gone. */
  #leave(kind: WayOut): void {
    if (this.#frontend.wayOut) this.#f.scope(() => this.#frontend.wayOut?.(this.#values(), kind))
    this.#registers.storeOut()
  }

  #values(): RegionValues {
    const registers = this.#registers
    return {
      f: this.#f,
      get: ((register: number, type: RegisterType = 'i64') => registers.get(register, type)) as RegionStage['get'],
      set: (register, value) => registers.set(register, value),
      writes: (register) => registers.writes(register),
    }
  }

  #goto(block: number): void {
    const f = this.#f
    for (let i = this.#frames.length - 1; i >= 0; i--) {
      const frame = this.#frames[i]
      if (!frame) continue
      if (frame.loop && frame.loop.loop.header === block) {
        const selector = this.#selectors.get(frame.loop.loop)
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
    const selector = this.#selectors.get(item)
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
    this.#observer?.code(f.position, { kind: 'block', block: index })
    if (executed > 0) f.set(this.#budget, i32.sub(this.#budget, executed))
    const [first] = block.instructions
    if (first && this.#frontend.beginBlock) f.scope(() => this.#frontend.beginBlock?.(this.#stage(index, first, 0, executed)))
    block.instructions.forEach((instruction, i) => {
      const left = executed - i
      this.#observer?.code(f.position, { kind: 'instruction', block: index, instruction })
      if (instruction.flow.kind !== 'next') this.#registers.flush()
      if (instruction.flow.kind === 'leave') {
        this.#leave('escape')
        f.return(call(this.#exits.escape, instruction.offset, this.#unit, this.#budget))
      } else f.scope(() => instruction.emit(this.#stage(index, instruction, i, left)))
    })
    const last = block.instructions.at(-1)
    this.#observer?.code(f.position, { kind: 'block', block: index })
    // Whatever did not go elsewhere goes on behind the block.
    this.#registers.flush()
    if (!last || last.flow.kind === 'next' || last.flow.kind === 'branch') this.#gotoOffset(block.end)
  }

  #readConstants(): void {
    for (const [name, local] of Object.entries(this.#constants)) this.#f.set(local, this.#sources[name] ?? 0)
  }

  #stage(block: number, instruction: Instruction, index: number, left: number): RegionStage {
    const f = this.#f
    const registers = this.#registers
    const leaveIf = (condition: Expr<'i32'>, kind: WayOut, exit: () => Expr<'i32'>): void => {
      registers.flush()
      f.if(condition, () => {
        this.#leave(kind)
        f.return(exit())
      })
    }
    const at = instruction.offset | (left << 16)
    return {
      ...this.#values(),
      unit: this.#unit,
      block,
      offset: instruction.offset,
      constants: this.#constants,
      settle: () => registers.flush(),
      set: (register, value) => {
        registers.set(register, value)
        // A jump stores what it writes itself before it leaves the block.
        if (instruction.flow.kind !== 'next') registers.flush()
      },
      needed: (register) => this.#liveness?.needed(block, index, register) ?? true,
      budgetBy: (steps) => f.set(this.#budget, i32.sub(this.#budget, steps)),
      branch: (condition) => {
        const { flow } = instruction
        if (flow.kind === 'branch') f.if(condition, () => this.#gotoOffset(flow.target))
      },
      jump: () => {
        if (instruction.flow.kind === 'jump') this.#gotoOffset(instruction.flow.target)
      },
      indirect: (address) => this.#indirect(address),
      outside: (invoke) => {
        registers.flush()
        this.#leave('outside')
        const back = invoke(i64.add(this.#unit, instruction.offset), i32.add(this.#budget, left))
        f.if(i32.eqz(back), () => f.return(call(this.#exits.moved)))
        for (const register of instruction.writes) registers.load(register)
        this.#readConstants()
      },
      leaveBehindIf: (condition) => {
        leaveIf(condition, 'behind', () => call(this.#exits.behind, (instruction.offset + instruction.length) | ((left - 1) << 16), this.#unit, this.#budget))
        this.#readConstants()
      },
      escapeIf: (condition) => leaveIf(condition, 'escape', () => call(this.#exits.escape, at, this.#unit, this.#budget)),
      missIf: (condition, va, access) => leaveIf(condition, 'miss', () => call(this.#exits.miss, at, va, access, this.#unit, this.#budget)),
    }
  }

  /** To an address of the same unit that is an entry, directly; to any other, out of the region. */
  #indirect(address: Expr<'i64'>): void {
    const f = this.#f
    const { unitSize: size, granule = 2 } = this.#frontend
    f.set(this.#target, address)
    f.if(i64.eq(i64.and(this.#target, -size), this.#unit), () => {
      const inside = i32.and(i32.wrap(this.#target), size - granule)
      f.set(this.#entry, i32.load16U(granule === 2 ? inside : i32.shl(inside, 1), this.#place.entryMap))
      f.if(i32.and(i32.ne(this.#entry, 0), i32.gtS(this.#budget, 0)), () => {
        // Its registers are read again where it enters, but for those that are stored on the ways out alone.
        f.set(this.#entry, i32.sub(this.#entry, 1))
        f.br(known(this.#root))
      })
    })
    this.#exitTo(this.#target)
  }
}

/** The guest block that an item begins with. */
function headOf(item: Item | undefined): number {
  return item?.kind === 'loop' ? item.header : (item?.block ?? 0)
}

/** Blocks whose budget is looked at when they begin. */
function headersOf(items: readonly Item[]): Set<number> {
  const headers = new Set<number>()
  const add = (list: readonly Item[]): void => {
    for (const item of list) {
      if (item.kind === 'block') continue
      headers.add(item.header)
      add(item.items)
    }
  }
  add(items)
  return headers
}

function known<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw regionError('it is used outside its emission')
  return value
}
