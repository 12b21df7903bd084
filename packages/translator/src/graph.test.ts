import { expect, test } from 'vitest'
import { buildGraph, type Flow, type Frontend } from './index.ts'

/** Code of two-byte instructions: `flow` says where control goes after each. */
function code(flow: (offset: number) => Flow): Frontend {
  return { registers: [], unitSize: 4096, decode: (offset) => ({ offset, length: 2, flow: flow(offset), reads: [], writes: [], emit: () => {} }) }
}

const count = (frontend: Frontend, roots: readonly number[], limit: number): number =>
  buildGraph(frontend, roots, [], limit).blocks.reduce((sum, { instructions }) => sum + instructions.length, 0)

test('straight code is not cut at the limit, up to four times of it; code with branches is', () => {
  const straight = (length: number): Frontend => code((offset) => (offset < 2 * length ? { kind: 'next' } : { kind: 'indirect', returns: false }))
  expect(count(straight(320), [0], 100)).toBe(321)
  expect(count(straight(1500), [0], 100)).toBe(400)
  expect(buildGraph(straight(320), [0], [], 100).blocks).toHaveLength(1)
  // Every tenth instruction may jump.
  const branches = code((offset) => (offset % 20 === 18 ? { kind: 'branch', target: (offset * 7 + 40) % 4096 } : { kind: 'next' }))
  const found = count(branches, [0, 2000], 100)
  expect(found).toBeGreaterThanOrEqual(100)
  expect(found).toBeLessThan(110)
})
