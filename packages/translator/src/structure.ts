import type { Graph } from './graph.ts'

/** A block, or a loop of items, in an order in which control only goes forward but for the loops' own back-edges. */
export type Item = { readonly kind: 'block'; readonly block: number } | Loop

/** A strongly connected component: a loop with one primary header, to which its back-edges go. */
export interface Loop {
  readonly kind: 'loop'
  readonly header: number
  /** Blocks that are entered from outside the loop, the header first. With more than one, the loop's head dispatches. */
  readonly entries: readonly number[]
  readonly items: readonly Item[]
  readonly blocks: ReadonlySet<number>
}

/**
 * Nests the blocks of a graph: strongly connected components in topological order, each one with a cycle becoming a
 * loop, inside which the edges to its header are taken away and the same is done again.
 */
export function structure(graph: Graph): readonly Item[] {
  const all = graph.blocks.map((block) => block.index)
  const external = new Set(graph.entries.map((offset) => graph.byOffset.get(offset) ?? 0))
  return nest(all, (block) => graph.blocks[block]?.successors ?? [], external)
}

function nest(nodes: readonly number[], successors: (node: number) => readonly number[], enteredFromOutside: ReadonlySet<number>): readonly Item[] {
  const inside = new Set(nodes)
  const within = (node: number): readonly number[] => successors(node).filter((next) => inside.has(next))
  return components(nodes, within).map((component): Item => {
    const [only] = component
    if (component.length === 1 && only !== undefined && !within(only).includes(only)) return { kind: 'block', block: only }
    const members = new Set(component)
    const entered = new Set(component.filter((node) => enteredFromOutside.has(node)))
    for (const node of nodes) {
      if (members.has(node)) continue
      for (const next of within(node)) if (members.has(next)) entered.add(next)
    }
    const header = chooseHeader(component, members, entered, within)
    const entries = [header, ...[...entered].filter((node) => node !== header).sort((a, b) => a - b)]
    const rest = (node: number): readonly number[] => within(node).filter((next) => next !== header)
    // The header comes first: nothing inside leads to it any more.
    const ordered = [header, ...component.filter((node) => node !== header)]
    return { kind: 'loop', header, entries, items: nest(ordered, rest, new Set(entries)), blocks: members }
  })
}

/** The block that most back-edges go to; among equals the one that is entered from outside, then the first. */
function chooseHeader(
  component: readonly number[],
  members: ReadonlySet<number>,
  entered: ReadonlySet<number>,
  within: (node: number) => readonly number[],
): number {
  const score = new Map<number, number>()
  for (const node of component) {
    for (const next of within(node)) {
      if (!members.has(next)) continue
      // Blocks are numbered by address: an edge to a lower or equal number is likely a back-edge.
      score.set(next, (score.get(next) ?? 0) + (next <= node ? 4 : 0))
    }
  }
  let best = component[0] ?? 0
  let bestScore = -1
  for (const node of component) {
    const value = (score.get(node) ?? 0) + (entered.has(node) ? 3 : 0)
    if (value > bestScore || (value === bestScore && node < best)) {
      best = node
      bestScore = value
    }
  }
  return best
}

/** Tarjan's strongly connected components, without recursion, in topological order; the first node's comes first if it can. */
function components(nodes: readonly number[], successors: (node: number) => readonly number[]): number[][] {
  const index = new Map<number, number>()
  const low = new Map<number, number>()
  const onStack = new Set<number>()
  const stack: number[] = []
  const result: number[][] = []
  let counter = 0
  // Tarjan finds components in reverse topological order; roots are taken from the last, so that after reversal
  // the first node's component stands as early as its predecessors allow.
  for (let r = nodes.length - 1; r >= 0; r--) {
    const root = nodes[r]
    if (root === undefined || index.has(root)) continue
    const frames: { node: number; next: number; list: readonly number[] }[] = []
    const enter = (node: number): void => {
      index.set(node, counter)
      low.set(node, counter++)
      stack.push(node)
      onStack.add(node)
      frames.push({ node, next: 0, list: successors(node) })
    }
    enter(root)
    for (let frame = frames.at(-1); frame; frame = frames.at(-1)) {
      const next = frame.list[frame.next++]
      if (next !== undefined) {
        if (!index.has(next)) enter(next)
        else if (onStack.has(next)) low.set(frame.node, Math.min(low.get(frame.node) ?? 0, index.get(next) ?? 0))
        continue
      }
      frames.pop()
      const parent = frames.at(-1)
      if (parent) low.set(parent.node, Math.min(low.get(parent.node) ?? 0, low.get(frame.node) ?? 0))
      if (low.get(frame.node) === index.get(frame.node)) {
        const component: number[] = []
        for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
          onStack.delete(node)
          component.push(node)
          if (node === frame.node) break
        }
        result.push(component.sort((a, b) => a - b))
      }
    }
  }
  return result.reverse()
}
