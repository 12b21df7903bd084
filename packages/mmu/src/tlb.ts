import { type Expr, type Func, type FuncRef, i32, i64, type Local, memoryFill, type ModuleBuilder } from '@machinist/wasm'

/** 16 MiB of 4 KiB pages. */
const ENTRIES = 4096
/** 4 MiB of code: a compiler's worth. */
const FETCH_ENTRIES = 1024
const ARRAYS: number = (2 * ENTRIES + FETCH_ENTRIES) * 16
/** Entries that are flushed together: 64 groups cover an array, a bit for each. */
const GROUP = ENTRIES / 64

/**
 * The software TLB: direct-mapped arrays in linear memory, one bank for each way of looking at memory (privilege,
 * address space). An entry is 16 bytes:
 *
 * | offset | |
 * |---|---|
 * | 0 | tag: the guest-virtual address of the page's last byte, or 0: no page ends there. So zeroed memory is an empty TLB |
 * | 8 | data: what to add to the low 32 bits of the address to get the arena address. Fetch: the decoded page |
 * | 12 | fetch: the arena address of the page |
 *
 * One comparison of the tag with the tag of the *last* byte of an access covers presence and page crossing;
 * misaligned accesses within a page take the fast path.
 */
export const tlbLayout: {
  /** Data entries and fetch entries of a bank. */
  readonly entries: number
  readonly fetchEntries: number
  /** Offsets of the three arrays in a bank. */
  readonly read: number
  readonly write: number
  readonly fetch: number
  /**
   * Offsets of two 64-bit masks, for reads and writes: bit n is set when any of the entries from n·64 on was filled
   * since the bank was flushed. And of a byte, 1 when a fetch entry was.
   */
  readonly readGroups: number
  readonly writeGroups: number
  readonly fetched: number
  /** Offset of a 64-bit number that a bank has since it was last changed by a flush, and no bank has at any other time. */
  readonly stamp: number
  /** Bytes of the entries that one bit stands for. */
  readonly groupBytes: number
  /** Bytes of a bank. */
  readonly size: number
  readonly dataOffset: number
  readonly frameOffset: number
} = {
  entries: ENTRIES,
  fetchEntries: FETCH_ENTRIES,
  read: 0,
  write: ENTRIES * 16,
  fetch: 2 * ENTRIES * 16,
  readGroups: ARRAYS,
  writeGroups: ARRAYS + 8,
  fetched: ARRAYS + 16,
  stamp: ARRAYS + 24,
  groupBytes: GROUP * 16,
  size: ARRAYS + 64,
  dataOffset: 8,
  frameOffset: 12,
}

/** Address of the data entry for `va` in the array at `bank`; add `tlbLayout.read` or `.write` as an offset. */
export function dataEntry(bank: Expr<'i32'>, va: Expr<'i64'>): Expr<'i32'> {
  return i32.add(i32.and(i32.wrap(i64.shrU(va, 8)), (tlbLayout.entries - 1) << 4), bank)
}

/** Address of the fetch entry for `va`; add `tlbLayout.fetch` as an offset. */
export function fetchEntry(bank: Expr<'i32'>, va: Expr<'i64'>): Expr<'i32'> {
  return i32.add(i32.and(i32.wrap(i64.shrU(va, 8)), (tlbLayout.fetchEntries - 1) << 4), bank)
}

/** The tag of the entries for `va`. */
export function tagOf(va: Expr<'i64'>): Expr<'i64'> {
  return i64.or(va, 4095)
}

/** The tag for the last byte of an access of `bytes` bytes at `va`: equal to the entry's exactly on a hit. */
export function lastTag(va: Expr<'i64'>, bytes: number): Expr<'i64'> {
  return tagOf(i64.add(va, bytes - 1))
}

/** Notes that the data entry for `va` was filled: `groups` is `tlbLayout.readGroups` or `.writeGroups`. */
export function noteFilled(bank: Expr<'i32'>, va: Expr<'i64'>, groups: Expr<'i32'>): Expr<'void'> {
  const mask = i32.add(bank, groups)
  return i64.store(mask, i64.or(i64.load(mask), i64.shl(1, i64.shrU(va, 18))))
}

export interface TlbFunctions {
  /** `(bank)`: forgets everything. */
  readonly flushBank: FuncRef<readonly ['i32'], 'void'>
  /** `(bank, va)`: forgets one 4 KiB page. */
  readonly flushPage: FuncRef<readonly ['i32', 'i64'], 'void'>
}

export function emitTlb(m: ModuleBuilder): TlbFunctions {
  const stamps = m.global('i64', 0)
  const renew = (f: Func, bank: Local<'i32'>): void => {
    f.setGlobal(stamps, i64.add(stamps, 1))
    f.do(i64.store(bank, stamps, tlbLayout.stamp))
  }
  const forget = (f: Func, at: Local<'i32'>, array: number, tag: Local<'i64'>): void =>
    f.if(i64.eq(i64.load(at, array), tag), () => f.do(i64.store(at, 0, array)))
  return {
    flushBank: m.func('tlbFlushBank', ['i32'], 'void', (f, bank) => {
      // A bank has more than a hundred kilobytes, of which few are used, as a rule.
      const groups = f.local('i64')
      for (const [array, mask] of [[tlbLayout.read, tlbLayout.readGroups], [tlbLayout.write, tlbLayout.writeGroups]] as const) {
        f.set(groups, i64.load(bank, mask))
        f.block((done) => {
          f.loop((next) => {
            f.brIf(done, i64.eqz(groups))
            f.do(memoryFill(i32.add(i32.add(bank, array), i32.mul(i32.wrap(i64.ctz(groups)), GROUP * 16)), 0, GROUP * 16))
            f.set(groups, i64.and(groups, i64.sub(groups, 1)))
            f.br(next)
          })
        })
        f.do(i64.store(bank, 0, mask))
      }
      f.if(i32.load8U(bank, tlbLayout.fetched), () => {
        f.do(memoryFill(i32.add(bank, tlbLayout.fetch), 0, FETCH_ENTRIES * 16))
        f.do(i32.store8(bank, 0, tlbLayout.fetched))
      })
      renew(f, bank)
    }),
    flushPage: m.func('tlbFlushPage', ['i32', 'i64'], 'void', (f, bank, va) => {
      const tag = f.let(tagOf(va))
      const data = f.let(dataEntry(bank, va))
      forget(f, data, tlbLayout.read, tag)
      forget(f, data, tlbLayout.write, tag)
      const fetch = f.let(fetchEntry(bank, va))
      forget(f, fetch, tlbLayout.fetch, tag)
      renew(f, bank)
    }),
  }
}
