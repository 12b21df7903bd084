import type { Instruction } from '../isa/form.ts'
import { packed } from './packed.ts'
import { vectorFloat } from './vector-float.ts'
import { vectorMoves } from './vector-moves.ts'

/** Every instruction of MMX, SSE and AVX. */
export const vectors: readonly Instruction[] = [...packed, ...vectorMoves, ...vectorFloat]
