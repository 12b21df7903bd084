import { PAGE_SIZE } from '@machinist/memory'
import { fetchEntry, tagOf, tlbLayout } from '@machinist/mmu'
import { type ExitPlace, REGION_PARAMS } from '@machinist/translator'
import { type Expr, type Func, i32, i64, type Local, type ModuleBuilder } from '@machinist/wasm'

/** Of the number of an entry of a region: a page has no more instructions. Its function's place in the table is above it: both are a *target*. */
export const ENTRY_BITS = 12

const JUMPS = 2048
/** In each place the address of what was jumped to, what it was fetched by, and the target. */
const FIELD = { pc: 0, stamp: 8, target: 16 } as const
const JUMP_SIZE = 32
/** Bytes of a table of jumps, which begins as zeros. */
export const JUMPS_BYTES: number = JUMPS * JUMP_SIZE

/** Calls the region at a target of the page at `unit`: what is left of the budget. */
export function callRegion(m: ModuleBuilder, target: Local<'i32'>, unit: Expr<'i64'>, budget: Expr<'i32'>): Expr<'i32'> {
  return m.callIndirect(REGION_PARAMS, 'i32', i32.shrU(target, ENTRY_BITS), i32.and(target, (1 << ENTRY_BITS) - 1), unit, budget)
}

/** How regions of an instruction set lead to each other. */
export interface JumpCacheOptions {
  /** Address of the table of jumps, of {@link JUMPS_BYTES}. */
  readonly jumps: Expr<'i32'> | number
  /** Bytes of which addresses of instructions are multiples. */
  readonly granule: 1 | 2
  /** Address of the TLB bank by which the hart fetches. */
  readonly bank: () => Expr<'i32'>
  /** What tells apart the ways in which the bytes at an address are executed: every flush gives a bank another stamp. */
  readonly stamp: (bank: Local<'i32'>) => Expr<'i64'>
  /** Goes on with `enter` when a region is entered at `pc`, in the page with these ops, and with what follows if none is. */
  readonly find: (f: Func, ops: Expr<'i32'>, pc: Local<'i64'>, enter: (target: Expr<'i32'>) => void) => void
}

/**
 * From region to region without the interpreter between them: what it would find in the fetch TLB, and at the op there. A jump is remembered
 * by its address, since ops are spread over megabytes; it holds while the bank has the stamp that it had then.
 */
export function chainRegions(m: ModuleBuilder, { jumps, granule, bank: bankOf, stamp: stampOf, find }: JumpCacheOptions): NonNullable<ExitPlace['chain']> {
  return (f, pc, budget) => {
    const page = f.let(i64.and(pc, -PAGE_SIZE))
    const enter = (to: Local<'i32'>): void => m.returnCallIndirect(f, REGION_PARAMS, 'i32', i32.shrU(to, ENTRY_BITS), i32.and(to, (1 << ENTRY_BITS) - 1), page, budget)
    const bank = f.let(bankOf())
    const mixed = i64.xor(granule === 1 ? pc : i64.shrU(pc, 1), i64.shrU(pc, 12))
    const jump = f.let(i32.add(i32.mul(i32.and(i32.wrap(mixed), JUMPS - 1), JUMP_SIZE), jumps))
    const stamp = f.let(stampOf(bank))
    f.if(i32.and(i64.eq(i64.load(jump, FIELD.pc), pc), i64.eq(i64.load(jump, FIELD.stamp), stamp)), () =>
      enter(f.let(i32.load(jump, FIELD.target))),
    )
    const entry = f.let(fetchEntry(bank, pc))
    f.if(i64.eq(i64.load(entry, tlbLayout.fetch), tagOf(pc)), () => {
      find(f, i32.load(entry, tlbLayout.fetch + tlbLayout.dataOffset), pc, (target) => {
        const to = f.let(target)
        f.do(i64.store(jump, pc, FIELD.pc))
        f.do(i64.store(jump, stamp, FIELD.stamp))
        f.do(i32.store(jump, to, FIELD.target))
        enter(to)
      })
    })
  }
}
