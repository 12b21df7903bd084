import { PAGE_CODE, PAGE_DIRTY, PAGE_PRESENT, PAGE_SHARED, ramTable } from '@machinist/memory'
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
  /** `(entry address, pa, bytes)` → arena address to write so many bytes at, at once: the one way to such an address. */
  readonly writable: FuncRef<readonly ['i32', 'i64', 'i32'], 'i32'>
}

/** What generated code asks for pages that do not let it do what it wants. */
export interface RamFaults {
  /** `(entry address)`: makes the page readable; returns the entry. */
  readonly read: FuncRef<readonly ['i32'], 'i32'>
  /**
   * `(entry address, offset, bytes)`: makes the page writable and marks it dirty; returns the entry. So many bytes at the offset are about to
   * change; with 0 bytes, nothing is yet.
   */
  readonly write: FuncRef<readonly ['i32', 'i32', 'i32'], 'i32'>
}

/**
 * @param table - address of the machine's `ramTable`
 * @param faults - imported
 */
export function emitRam(m: ModuleBuilder, table: number, faults: RamFaults): RamFunctions {
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
    f.if(i32.and(value, PAGE_PRESENT), () => f.return(value))
    f.return(call(faults.read, at))
  })
  const host = m.func('ramHost', ['i64'], 'i32', (f, pa) => {
    const at = f.let(call(entry, pa))
    f.if(i32.eqz(at), () => f.return(0))
    f.return(i32.or(i32.and(call(touched, at), -4096), i32.and(i32.wrap(pa), 4095)))
  })
  const writable = m.func('ramWritable', ['i32', 'i64', 'i32'], 'i32', (f, at, pa, bytes) => {
    const value = f.let(i32.load(at))
    f.if(
      i32.eq(i32.and(value, PAGE_PRESENT | PAGE_SHARED | PAGE_CODE), PAGE_PRESENT),
      () => f.do(i32.store(at, i32.or(value, PAGE_DIRTY))),
      () => f.set(value, call(faults.write, at, i32.and(i32.wrap(pa), 4095), bytes)),
    )
    f.return(i32.or(i32.and(value, -4096), i32.and(i32.wrap(pa), 4095)))
  })
  const hostInline = (f: Func, pa: Local<'i64'>): Local<'i32'> => {
    const inside = f.let(i64.sub(pa, i64.load(0, table + offset.base)))
    const found = f.local('i32')
    f.set(found, 0)
    f.if(i64.ltU(inside, i64.load(0, table + offset.size)), () => {
      f.set(found, i32.load(i32.add(i32.load(0, table + offset.map), i32.shl(i32.wrap(i64.shrU(inside, 12)), 2))))
    })
    f.if(
      i32.and(found, PAGE_PRESENT),
      () => f.set(found, i32.or(i32.and(found, -4096), i32.and(i32.wrap(pa), 4095))),
      () => f.set(found, call(host, pa)),
    )
    f.free(inside)
    return found
  }
  return { entry, host, hostInline, touched, writable }
}
