import type { ModuleBuilder } from '@machinist/wasm'
import type { FloatState } from '../float-state.ts'
import { type CryptoFunctions, emitCrypto } from './crypto.ts'
import { emitHalf, type HalfFunctions } from './half.ts'
import { emitImage, type ImageFunctions } from './image.ts'
import { emitSse, type SseFunctions } from './sse.ts'
import { emitText, type TextFunctions } from './text.ts'
import { emitX87, type X87Functions } from './x87.ts'

/** Functions of floating-point numbers, which handlers call. */
export interface FloatFunctions {
  readonly sse: SseFunctions
  readonly x87: X87Functions
  readonly image: ImageFunctions
  readonly text: TextFunctions
  readonly half: HalfFunctions
  readonly crypto: CryptoFunctions
}

export function emitFloat(m: ModuleBuilder, state: FloatState): FloatFunctions {
  const x87 = emitX87(m, state)
  return { sse: emitSse(m, state), x87, image: emitImage(m, state, x87.summarize), text: emitText(m, state), half: emitHalf(m, state), crypto: emitCrypto(m) }
}
