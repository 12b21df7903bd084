import { Structure } from '@machinist/cpu-core'
import type { Arena } from '@machinist/memory'
import { hartLayout } from './hart-layout.ts'

/** TypeScript's access to a hart's record. */
export class HartRecord extends Structure<typeof hartLayout.fields> {
  constructor(arena: Arena, base: number) {
    super(arena, hartLayout, base)
  }

  /** A copy of all integer registers, in words. */
  getX(): Uint32Array {
    const at = (this.base + hartLayout.offset.x) >>> 2
    return this.arena.u32.slice(at, at + 64)
  }
}
