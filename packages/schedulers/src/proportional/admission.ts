import { MILLION, refused } from '../refuse.ts'
import type { Node, Pool } from './node.ts'

/**
 * Changes what a child of a pool was promised, and with it what the pools above must keep for it. A pool that is expandable takes from its parent what its own promise does not
 * cover; another refuses. When it is refused, nothing has changed.
 *
 * @throws a `MachinistError`: `'not-admitted'`
 */
export function promise(pool: Pool | null, before: number, after: number): void {
  if (after > before) walk(pool, before, after, check)
  walk(pool, before, after, (ancestor, sum, promised) => {
    ancestor.childrenPromised = sum
    ancestor.promised = promised
  })
}

/** Changes the promise and the limit of a node itself. @throws a `MachinistError`: `'not-admitted'` */
export function promiseItself(node: Node, own: number, limit: number, children: number, fixed: boolean): void {
  const promised = Math.max(own, children)
  if (fixed && children > own) throw refused('not-admitted', own / MILLION, `less than the ${String(children / MILLION)} processors that its children were promised`, 'Reserve more, or make the pool expandable.')
  if (promised > limit * MILLION) throw refused('not-admitted', promised / MILLION, `more than the limit of ${String(limit)} processors`, 'Reserve less, or raise the limit.')
  promise(node.parent, node.promised, promised)
  node.own = own
  node.limit = limit
  node.promised = promised
}

function check(pool: Pool, sum: number, promised: number): void {
  if (!pool.expandable && sum > pool.own) {
    throw refused('not-admitted', sum / MILLION, `the pool '${pool.name}' has promised ${String(pool.childrenPromised / MILLION)} of its ${String(pool.own / MILLION)} processors, and cannot promise this sum`, 'Reserve less, or reserve more for the pool.')
  }
  if (promised > pool.limit * MILLION) throw refused('not-admitted', promised / MILLION, `the pool '${pool.name}' is limited to ${String(pool.limit)} processors, and cannot promise this sum`, 'Reserve less, or raise the limit of the pool.')
}

function walk(first: Pool | null, before: number, after: number, visit: (pool: Pool, sum: number, promised: number) => void): void {
  let [was, is] = [before, after]
  for (let pool = first; pool !== null && was !== is; pool = pool.parent) {
    const sum = pool.childrenPromised - was + is
    was = pool.promised
    is = Math.max(pool.own, sum)
    visit(pool, sum, is)
  }
}
