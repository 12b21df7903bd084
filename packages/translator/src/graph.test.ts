import { expect, test } from 'vitest'
import { buildGraph, type Flow, type Frontend } from './index.ts'

/** Code of two-byte instructions: `flow` says where control goes after each. */
function code(flow: (offset: number) => Flow): Frontend {
  return { registers: [], unitSize: 4096, decode: (offset) => ({ offset, length: 2, flow: flow(offset), reads: [], writes: [], emit: () => {} }) }
}

const count = (frontend: Frontend, roots: readonly number[], most: number): number =>
  buildGraph(frontend, roots, [], { enough: 100, most }).blocks.reduce((sum, { instructions }) => sum + instructions.length, 0)

test('straight code goes on to the next jump when there is enough; other code does not', () => {
  const straight = (length: number): Frontend => code((offset) => (offset < 2 * length ? { kind: 'next' } : { kind: 'indirect', returns: false }))
  expect(count(straight(320), [0], 400)).toBe(321)
  expect(count(straight(1500), [0], 400)).toBe(400)
  expect(buildGraph(straight(320), [0], [], { enough: 100, most: 400 }).blocks).toHaveLength(1)
  // Every tenth instruction may jump.
  const branches = code((offset) => (offset % 20 === 18 ? { kind: 'branch', target: (offset * 7 + 40) % 4096 } : { kind: 'next' }))
  const found = count(branches, [0, 2000], 400)
  expect(found).toBeGreaterThanOrEqual(100)
  expect(found).toBeLessThan(110)
})
