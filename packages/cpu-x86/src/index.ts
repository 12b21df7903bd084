export { Flag, flagBits, STATUS } from './flags.ts'
export { Interpreter } from './interpreter.ts'
export type { CpuEvent, InterpreterOptions, SegmentOptions, Step } from './interpreter.ts'
export { Vector } from './vector.ts'
