export { emitSoftfloat } from './emit.ts'
export { flag, roundingMode } from './environment.ts'
export type {
  Binary,
  FloatConversions,
  FloatFunctions,
  FromInteger,
  Inline,
  InlineBinary,
  InlineTernary,
  InlineUnary,
  Predicate,
  SoftFloat,
  SoftfloatOptions,
  Ternary,
  ToInteger,
  Unary,
} from './types.ts'
