import type { Instruction } from '../isa/form.ts'
import { bmi } from './bmi.ts'
import { crypto } from './crypto.ts'
import { gathers } from './gathers.ts'
import { packed } from './packed.ts'
import { states } from './states.ts'
import { texts } from './texts.ts'
import { vectorFloat } from './vector-float.ts'
import { vectorMoves } from './vector-moves.ts'
import { x87Environment } from './x87-environment.ts'
import { x87 } from './x87.ts'

/** Every instruction of the x87 FPU, MMX, SSE and AVX. */
export const vectors: readonly Instruction[] = [...packed, ...vectorMoves, ...vectorFloat, ...x87, ...x87Environment, ...states, ...texts, ...bmi, ...crypto, ...gathers]
