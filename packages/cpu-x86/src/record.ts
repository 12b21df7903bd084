import { Structure } from '@machinist/cpu-core'
import type { Arena, Layout } from '@machinist/memory'
import { State, STATE_SIZE, x86Layout } from './emit/layout.ts'

/** All of a processor: its floating-point and vector registers, and what it keeps, lie behind its fields. */
const whole: Layout<typeof x86Layout.fields> = { ...x86Layout, size: STATE_SIZE }

/** TypeScript's access to a processor's record. */
export class X86Record extends Structure<typeof x86Layout.fields> {
  constructor(arena: Arena, base: number) {
    super(arena, whole, base)
  }

  /** All of the arena. */
  get data(): DataView {
    return this.arena.data
  }

  /** Where its parts are now. */
  get state(): State {
    return new State(this.base)
  }
}
