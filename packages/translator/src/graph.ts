import type { Frontend, Instruction } from './code.ts'

/** A run of instructions entered at the top only. */
export interface Block {
  readonly index: number
  readonly offset: number
  readonly instructions: readonly Instruction[]
  /** Blocks that may follow, in this unit and region. */
  readonly successors: readonly number[]
  /** Offset of the instruction after the last one. */
  readonly end: number
}

export interface Graph {
  readonly blocks: readonly Block[]
  /** Blocks that control may enter from outside, by offset. */
  readonly entries: readonly number[]
  readonly byOffset: ReadonlyMap<number, number>
}

/** Most instructions of a region. */
export interface Limits {
  /** When there are so many, no further path is followed. */
  readonly enough: number
  /** The path that is being followed then goes on to its next jump, up to so many in all. */
  readonly most: number
}

/**
 * Finds the code that can be reached from `roots` without leaving the unit, within `limits`, root by root,
 * and cuts it into blocks. Roots are entries; so is whatever follows a call or an instruction that is executed
 * elsewhere, since control comes back there from outside, and those of `arrivals` that were found.
 */
export function buildGraph(frontend: Frontend, roots: readonly number[], arrivals: readonly number[], { enough, most }: Limits): Graph {
  const instructions = new Map<number, Instruction>()
  const leaders = new Set<number>()
  const outside = new Set<number>()
  const work: number[] = []
  const inUnit = (offset: number): boolean => offset >= 0 && offset < frontend.unitSize
  const lead = (offset: number): void => {
    if (!inUnit(offset) || leaders.has(offset)) return
    leaders.add(offset)
    work.push(offset)
  }
  const explore = (): void => {
    for (let start = work.shift(); start !== undefined; start = work.shift()) follow(start)
  }
  const follow = (start: number): void => {
    if (instructions.size >= enough) return
    for (let offset = start; inUnit(offset) && !instructions.has(offset) && instructions.size < most; ) {
      const instruction = frontend.decode(offset)
      if (!instruction) break
      instructions.set(offset, instruction)
      const next = offset + instruction.length
      const { flow } = instruction
      if (flow.kind === 'branch') {
        lead(flow.target)
        lead(next)
      } else if (flow.kind === 'jump') {
        if (flow.returns) {
          lead(next)
          outside.add(next)
        }
        lead(flow.target)
      } else if (flow.kind === 'indirect') {
        if (flow.returns) {
          lead(next)
          outside.add(next)
        }
      } else if (flow.kind === 'leave') {
        lead(next)
        outside.add(next)
      }
      if (flow.kind !== 'next') break
      offset = next
    }
  }
  for (const root of roots) {
    if (instructions.size >= enough) break
    outside.add(root)
    lead(root)
    explore()
  }
  for (const arrival of arrivals) {
    if (!instructions.has(arrival)) continue
    outside.add(arrival)
    leaders.add(arrival)
  }
  return cut(instructions, leaders, outside)
}

function cut(instructions: ReadonlyMap<number, Instruction>, leaders: ReadonlySet<number>, outside: ReadonlySet<number>): Graph {
  const starts = [...leaders].filter((offset) => instructions.has(offset)).sort((a, b) => a - b)
  const byOffset = new Map(starts.map((offset, index) => [offset, index]))
  const blocks = starts.map((offset, index): Block => {
    const list: Instruction[] = []
    let at = offset
    const successors: number[] = []
    const follow = (target: number): void => {
      const block = byOffset.get(target)
      if (block !== undefined && !successors.includes(block)) successors.push(block)
    }
    for (;;) {
      const instruction = instructions.get(at)
      if (!instruction) break
      list.push(instruction)
      at += instruction.length
      const { flow } = instruction
      if (flow.kind === 'branch') {
        follow(at)
        follow(flow.target)
      } else if (flow.kind === 'jump') follow(flow.target)
      if (flow.kind !== 'next') break
      if (byOffset.has(at)) {
        follow(at)
        break
      }
    }
    return { index, offset, instructions: list, successors, end: at }
  })
  return { blocks, byOffset, entries: [...outside].filter((offset) => byOffset.has(offset)).sort((a, b) => a - b) }
}
