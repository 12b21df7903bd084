import type { Graph } from './graph.ts'

/**
 * For each block the registers whose values it needs from before, itself or further on inside the region. What
 * leaves the region needs none of them: at the end of every block linear memory is up to date.
 *
 * @param registers - how many guest registers there are
 */
export function liveIn(graph: Graph, registers: number): readonly (readonly number[])[] {
  const { blocks } = graph
  // Sets of registers as words of 32 bits, `width` of them for each block.
  const width = Math.ceil(registers / 32)
  const live = new Int32Array(blocks.length * width)
  const defined = new Int32Array(blocks.length * width)
  blocks.forEach((block, i) => {
    for (const { reads, writes } of block.instructions) {
      for (const register of reads) {
        const word = i * width + (register >>> 5)
        live[word] = (live[word] ?? 0) | ((1 << register) & ~(defined[word] ?? 0))
      }
      for (const register of writes) {
        const word = i * width + (register >>> 5)
        defined[word] = (defined[word] ?? 0) | (1 << register)
      }
    }
  })
  for (let changed = true; changed; ) {
    changed = false
    for (let i = blocks.length - 1; i >= 0; i--) {
      for (const next of blocks[i]?.successors ?? []) {
        for (let word = 0; word < width; word++) {
          const more = (live[next * width + word] ?? 0) & ~(defined[i * width + word] ?? 0) & ~(live[i * width + word] ?? 0)
          if (more === 0) continue
          live[i * width + word] = (live[i * width + word] ?? 0) | more
          changed = true
        }
      }
    }
  }
  return blocks.map((_, i) => {
    const list: number[] = []
    for (let register = 0; register < registers; register++) if ((((live[i * width + (register >>> 5)] ?? 0) >>> (register & 31)) & 1) !== 0) list.push(register)
    return list
  })
}
