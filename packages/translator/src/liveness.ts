import type { Frontend, Instruction } from './code.ts'
import type { Graph } from './graph.ts'
import { isStoredOut, storedOut } from './registers.ts'

/** What is needed of registers, and where. */
export interface Liveness {
  /** For each block, the registers whose values it needs from before, itself or further on inside the region. */
  readonly liveIn: readonly (readonly number[])[]
  /** Whether what an instruction of a block, by its index there, leaves in a register is needed: read further on, or stored. */
  needed(block: number, instruction: number, register: number): boolean
}

/**
 * What leaves the region needs no registers but those that are stored on the ways out: of the others memory is up to date at the end of every block.
 *
 * @param headers - blocks whose budget is looked at when they begin
 */
export function liveness(graph: Graph, { registers }: Pick<Frontend, 'registers'>, headers: ReadonlySet<number>): Liveness {
  const { blocks, byOffset } = graph
  // Sets of registers as words of 32 bits, `width` of them for each block.
  const width = Math.ceil(registers.length / 32)
  const live = new Int32Array(blocks.length * width)
  const out = new Int32Array(width)
  for (const register of storedOut(graph, registers)) out[register >>> 5] = (out[register >>> 5] ?? 0) | 1 << register
  const ends = blocks.map(({ instructions, end }) => {
    const flow = instructions.at(-1)?.flow
    if (!flow || flow.kind === 'next') return !byOffset.has(end)
    if (flow.kind === 'branch') return !byOffset.has(end) || !byOffset.has(flow.target)
    return flow.kind !== 'jump' || !byOffset.has(flow.target)
  })

  const now = new Int32Array(width)
  const add = (register: number): void => void (now[register >>> 5] = (now[register >>> 5] ?? 0) | 1 << register)
  const addOut = (): void => out.forEach((bits, word) => (now[word] = (now[word] ?? 0) | bits))
  /** From what is needed behind a block, in `now`, to what is needed before its instruction number `from`. */
  const back = (instructions: readonly Instruction[], from: number): void => {
    for (let i = instructions.length - 1; i >= from; i--) {
      const { reads = [], writes = [], leaves = 'behind' } = instructions[i] ?? {}
      if (leaves === 'behind') addOut()
      for (const register of writes) now[register >>> 5] = (now[register >>> 5] ?? 0) & ~(1 << register)
      if (leaves !== 'never') addOut()
      for (const register of reads) add(register)
    }
  }
  const kept = new Int32Array(blocks.length * width).fill(-1)
  blocks.forEach(({ instructions }, i) => {
    now.fill(0)
    if (ends[i] === true) addOut()
    back(instructions, 0)
    if (headers.has(i)) addOut()
    live.set(now, i * width)
    for (const { writes } of instructions) for (const register of writes) kept[i * width + (register >>> 5)] = (kept[i * width + (register >>> 5)] ?? 0) & ~(1 << register)
  })
  for (let changed = true; changed;) {
    changed = false
    for (let i = blocks.length - 1; i >= 0; i--) {
      for (const next of blocks[i]?.successors ?? []) {
        for (let word = 0; word < width; word++) {
          const more = (live[next * width + word] ?? 0) & (kept[i * width + word] ?? 0) & ~(live[i * width + word] ?? 0)
          if (more === 0) continue
          live[i * width + word] = (live[i * width + word] ?? 0) | more
          changed = true
        }
      }
    }
  }
  const list = (at: (word: number) => number): number[] => registers.flatMap((_, register) => (at(register >>> 5) >>> (register & 31) & 1) !== 0 ? [register] : [])
  return {
    liveIn: blocks.map((_, i) => list((word) => live[i * width + word] ?? 0)),
    needed(block, instruction, register) {
      if (!isStoredOut(registers[register])) return true
      const { successors = [], instructions = [] } = blocks[block] ?? {}
      now.fill(0)
      for (const next of successors) for (let word = 0; word < width; word++) now[word] = (now[word] ?? 0) | (live[next * width + word] ?? 0)
      if (ends[block] === true) addOut()
      back(instructions, instruction + 1)
      if ((instructions[instruction]?.leaves ?? 'behind') === 'behind') addOut()
      return ((now[register >>> 5] ?? 0) >>> (register & 31) & 1) !== 0
    },
  }
}
