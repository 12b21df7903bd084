import type { RegisterSpec } from '@machinist/translator'
import type { State } from '../emit/layout.ts'

/**
 * Numbers of what regions keep in locals, from 0 on RAX to R15, and from `vectors` on XMM0 to XMM15. Between them the flags: what their last writer did (`how`, which is its kind and, in the upper half, its shift, `source` and `result`: see emit/flags.ts), what was replaced since
 * (emit/exits.ts), and its operands and result as they are, for conditions in the same block. What stands above XMM registers stays in memory.
 */
export const Kept = { how: 16, source: 17, result: 18, replaced: 19, left: 20, right: 21, value: 22, vectors: 23 } as const

/** They go together: who reads or writes one reads or writes all. */
export const flagRegisters: readonly number[] = [Kept.how, Kept.source, Kept.result, Kept.replaced, Kept.left, Kept.right, Kept.value]

export function registerSpecs(state: State): readonly RegisterSpec[] {
  const flags = { stored: 'by wayOut' } as const
  return [
    ...Array.from({ length: 16 }, (_, number): RegisterSpec => ({ type: 'i64', address: state.register(number) })),
    { type: 'i64', address: state.field('flagKind'), ...flags },
    { type: 'i64', address: state.field('flagSource'), ...flags },
    { type: 'i64', address: state.field('flagResult'), ...flags },
    { type: 'i32', address: null, ...flags },
    ...Array.from({ length: 3 }, (): RegisterSpec => ({ type: 'i64', address: null, ...flags })),
    ...Array.from({ length: 16 }, (_, number): RegisterSpec => ({ type: 'v128', address: state.float.vector(number) })),
  ]
}
