import type { WrittenModule } from '@machinist/cpu-core'

/**
 * The module of the core for the first engine of an arena in shared memory. None in the sources: the build writes it (`tsup.config.ts`), so that programs need not, which takes
 * longer than all else that making a machine takes.
 */
export const written: WrittenModule | null = null
