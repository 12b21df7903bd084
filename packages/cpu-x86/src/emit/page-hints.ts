import { GROUP_SHIFT, PAGE_GROUP, PAGE_IN_GROUPS, PAGE_IN_TLB } from '@machinist/cpu-core'
import { type Func, i32, i64, type Expr, type Local, select } from '@machinist/wasm'

/** Writes down, in a page's entry, that the TLB has it for an address, so that it can be found there when it gets code or another frame. */
export function noteInTlb(f: Func, entry: Local<'i32'>, value: Local<'i32'>, linear: Expr<'i64'>): void {
  const group = f.let(i32.and(i32.shl(i32.wrap(i64.shrU(linear, 18)), GROUP_SHIFT), PAGE_GROUP))
  const again = select('i32', i32.eq(i32.and(value, PAGE_GROUP), group), value, i32.or(value, PAGE_IN_GROUPS))
  f.do(i32.store(entry, select('i32', i32.and(value, PAGE_IN_TLB), again, i32.or(value, i32.or(group, PAGE_IN_TLB)))))
}
