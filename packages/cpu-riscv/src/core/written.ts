import type { WrittenModule } from '@machinist/cpu-core'

/** A module that was written beforehand, for places and a memory of this key. */
export interface WrittenCore extends WrittenModule {
  /** What `writeRules` gives, in base 64. */
  readonly rules: string
}

/**
 * The module for the first engine of an arena in shared memory. None in the sources: the build writes it (`tsup.config.ts`), so that programs need not, which takes
 * longer than all else that making a machine takes.
 */
export const written: WrittenCore | null = null
