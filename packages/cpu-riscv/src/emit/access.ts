import { type Expr, type Func, i64 } from '@machinist/wasm'
import type { LoadKind } from './stage.ts'

/** What a load instruction of this kind finds at a host address, extended to 64 bits. */
export function loadAs(kind: LoadKind, at: Expr<'i32'>): Expr<'i64'> {
  switch (kind) {
    case 's8':
      return i64.load8S(at)
    case 'u8':
      return i64.load8U(at)
    case 's16':
      return i64.load16S(at)
    case 'u16':
      return i64.load16U(at)
    case 's32':
      return i64.load32S(at)
    case 'u32':
      return i64.load32U(at)
    case 'u64':
      return i64.load(at)
  }
}

/** Stores the low bytes of a value at a host address. */
export function storeAs(f: Func, bytes: 1 | 2 | 4 | 8, at: Expr<'i32'>, value: Expr<'i64'>): void {
  f.do(bytes === 1 ? i64.store8(at, value) : bytes === 2 ? i64.store16(at, value) : bytes === 4 ? i64.store32(at, value) : i64.store(at, value))
}
