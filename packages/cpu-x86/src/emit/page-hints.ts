import { type Func, i32, i64, type Expr, type Local, select } from '@machinist/wasm'

/**
 * What a page-map entry says of the TLBs, in the bits that are the CPU's: some TLB may hold the page, in the group of entries of this number,
 * or, if the last is set, in several. It tells of write entries; while the page is shared nobody may write to it, and it tells of read entries.
 */
export const PAGE_IN_TLB = 4
const GROUP_SHIFT = 3
const PAGE_GROUP: number = 63 << GROUP_SHIFT
const PAGE_IN_GROUPS: number = 1 << 9

/** Writes down, in a page's entry, that the TLB has it for an address, so that it can be found there when it gets code or another frame. */
export function noteInTlb(f: Func, entry: Local<'i32'>, value: Local<'i32'>, linear: Expr<'i64'>): void {
  const group = f.let(i32.and(i32.shl(i32.wrap(i64.shrU(linear, 18)), GROUP_SHIFT), PAGE_GROUP))
  const again = select('i32', i32.eq(i32.and(value, PAGE_GROUP), group), value, i32.or(value, PAGE_IN_GROUPS))
  f.do(i32.store(entry, select('i32', i32.and(value, PAGE_IN_TLB), again, i32.or(value, i32.or(group, PAGE_IN_TLB)))))
}
