import { PAGE_DIRTY, ramTable } from '@machinist/memory'
import { call, type Func, type FuncRef, i32, i64, type Local, type ModuleBuilder } from '@machinist/wasm'

/** Generated functions that turn guest-physical addresses into addresses of the arena. */
export interface RamFunctions {
  /** `(pa)` → address of the page-map entry, or 0 when `pa` is not RAM. */
  readonly entry: FuncRef<readonly ['i64'], 'i32'>
  /** `(pa)` → arena address of that byte, its page given a frame; 0 when `pa` is not RAM. */
  readonly host: FuncRef<readonly ['i64'], 'i32'>
  /** The same, written in place for a page of the first RAM that has its frame: the usual case, without a call. */
  readonly hostInline: (f: Func, pa: Local<'i64'>) => Local<'i32'>
  /** `(entry address)` → the entry, its page given a frame. */
  readonly touched: FuncRef<readonly ['i32'], 'i32'>
  /** `(entry address)`: marks the page dirty. */
  readonly markDirty: FuncRef<readonly ['i32'], 'void'>
}

/**
 * @param table - address of the machine's `ramTable`
 * @param touch - imported: gives the page behind an entry its frame and returns the entry
 */
export function emitRam(m: ModuleBuilder, table: number, touch: FuncRef<readonly ['i32'], 'i32'>): RamFunctions {
  const { offset } = ramTable
  const entry = m.func('ramEntry', ['i64'], 'i32', (f, pa) => {
    const index = f.local('i32')
    const inside = f.local('i64')
    f.loop((next) => {
      f.set(inside, i64.sub(pa, i64.load(i32.shl(index, 3), table + offset.base)))
      // An address below the base wraps round to a huge offset: one comparison does for both ends.
      f.if(i64.ltU(inside, i64.load(i32.shl(index, 3), table + offset.size)), () => {
        f.return(i32.add(i32.load(i32.shl(index, 2), table + offset.map), i32.shl(i32.wrap(i64.shrU(inside, 12)), 2)))
      })
      f.set(index, i32.add(index, 1))
      f.brIf(next, i32.ltU(index, i32.load(0, table + offset.count)))
    })
    f.return(0)
  })
  const touched = m.func('ramTouched', ['i32'], 'i32', (f, at) => {
    const value = f.let(i32.load(at))
    f.if(value, () => f.return(value))
    f.return(call(touch, at))
  })
  const host = m.func('ramHost', ['i64'], 'i32', (f, pa) => {
    const at = f.let(call(entry, pa))
    f.if(i32.eqz(at), () => f.return(0))
    f.return(i32.or(i32.and(call(touched, at), -4096), i32.and(i32.wrap(pa), 4095)))
  })
  const markDirty = m.func('ramMarkDirty', ['i32'], 'void', (f, at) => f.do(i32.store(at, i32.or(i32.load(at), PAGE_DIRTY))))
  const hostInline = (f: Func, pa: Local<'i64'>): Local<'i32'> => {
    const inside = f.let(i64.sub(pa, i64.load(0, table + offset.base)))
    const found = f.local('i32')
    f.set(found, 0)
    f.if(i64.ltU(inside, i64.load(0, table + offset.size)), () => {
      f.set(found, i32.load(i32.add(i32.load(0, table + offset.map), i32.shl(i32.wrap(i64.shrU(inside, 12)), 2))))
    })
    f.if(
      found,
      () => f.set(found, i32.or(i32.and(found, -4096), i32.and(i32.wrap(pa), 4095))),
      () => f.set(found, call(host, pa)),
    )
    f.free(inside)
    return found
  }
  return { entry, host, hostInline, touched, markDirty }
}
