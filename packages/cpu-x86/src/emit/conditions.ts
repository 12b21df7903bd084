import { type Expr, i64 } from '@machinist/wasm'

/** A condition by its source and result, which are at the top of 64 bits. */
export interface Quick {
  readonly value: Expr<'i32'>
  /** Whether it holds after every writer but `plain`; otherwise after a subtraction alone. */
  readonly always: boolean
}

/** A pair of conditions by their number without its last bit (SDM volume 1, appendix B); null of O and P. The destination of a subtraction is its source and its result. */
export function quickCondition(pair: number, source: Expr<'i64'>, result: Expr<'i64'>): Quick | null {
  const destination = i64.add(result, source)
  switch (pair) {
    case 1: return { value: i64.ltU(destination, source), always: false }
    case 2: return { value: i64.eqz(result), always: true }
    case 3: return { value: i64.leU(destination, source), always: false }
    case 4: return { value: i64.ltS(result, 0), always: true }
    case 6: return { value: i64.ltS(destination, source), always: false }
    case 7: return { value: i64.leS(destination, source), always: false }
    default: return null
  }
}
