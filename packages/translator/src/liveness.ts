import type { Graph } from './graph.ts'

/**
 * For each block the registers whose values it needs from before, itself or further on inside the region. What
 * leaves the region needs none of them: at the end of every block linear memory is up to date.
 *
 * @param registers - how many guest registers there are
 */
export function liveIn(graph: Graph, registers: number): readonly (readonly number[])[] {
  const { blocks } = graph
  const uses: bigint[] = []
  const keeps: bigint[] = []
  const all = (1n << BigInt(registers)) - 1n
  for (const block of blocks) {
    let used = 0n
    let defined = 0n
    for (const { reads, writes } of block.instructions) {
      for (const register of reads) if (((defined >> BigInt(register)) & 1n) === 0n) used |= 1n << BigInt(register)
      for (const register of writes) defined |= 1n << BigInt(register)
    }
    uses.push(used)
    keeps.push(all & ~defined)
  }
  const live = [...uses]
  for (let changed = true; changed; ) {
    changed = false
    for (let i = blocks.length - 1; i >= 0; i--) {
      let after = 0n
      for (const next of blocks[i]?.successors ?? []) after |= live[next] ?? 0n
      const before = (uses[i] ?? 0n) | (after & (keeps[i] ?? 0n))
      if (before !== live[i]) {
        live[i] = before
        changed = true
      }
    }
  }
  return live.map((mask) => Array.from({ length: registers }, (_, i) => i).filter((i) => ((mask >> BigInt(i)) & 1n) !== 0n))
}
