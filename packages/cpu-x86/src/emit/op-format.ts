/** An op of a page, as `run` executes it. Registers are bytes from RAX on, 8 for each, and one more for AH to BH. */
export const denseLayout = {
  handler: 0,
  /** The offset of the instruction in its page, and above it its length. */
  place: 2,
  reg: 4,
  rm: 5,
  /** A memory operand: the positions in the state, in units of eight bytes from RAX on, of two numbers that are added; the scale of the second is above it. */
  base: 6,
  index: 7,
  /** Or a branch's target, from the start of the page. */
  displacement: 8,
  immediate: 12,
  size: 16,
} as const

export const PLACE_BITS = 12
export const INDEX_BITS = 6

/** Ops of a page, of which the first stands for none; then, for each byte, the number of the op that begins there. */
export const densePage = {
  ops: 0,
  map: 0x8000,
  /** How many of the ops are used; where the page's bytes lie; and as what code they were decoded: see `DenseKey`. */
  used: 0xa000,
  frame: 0xa004,
  /** A bit for each 64 bytes that were decoded. */
  lines: 0xa008,
  key: 0xa010,
  /** The first of the `enter` ops that are free again, 0 of none: each has the next as its target. */
  free: 0xa014,
  /** A byte for each of the page, set where control arrived by a jump. */
  marks: 0xa040,
  size: 0xb040,
} as const
/** Code that `run` has, by the key that `step` has for it: of 64 bits, and of 32 with a stack of 32, all of whose segments are flat. */
export const DenseKey = { long: 64, flat: 33 } as const
export const MOST_OPS = 2048
/** Bytes that have one bit of `lines`. */
export const LINE = 64

/**
 * Handlers that are no variants. `cold`: `step` executes the instruction. `go`: no instruction, but the next one is at the target. `function`: the instruction's function is called, and
 * control goes on behind it as a rule. `enter`: translated code is entered, and comes back when its budget is used up, or an instruction is to be executed elsewhere.
 */
export const Pseudo = { cold: 0, go: 1, function: 2, enter: 3, count: 4 } as const
/** Of an `enter` op: the target of jump-cache.ts of cpu-core, and the number of the op in whose place it is. */
export const ENTER_FIELD = { target: 8, original: 12 } as const
/** Bytes from an instruction on that its function must find in the page: those that decoding looks at. */
export const WINDOW = 16
