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
  /** How many of the ops are used; and where the page's bytes lie. */
  used: 0xa000,
  frame: 0xa004,
  /** A bit for each 64 bytes that were decoded. */
  lines: 0xa008,
  size: 0xa040,
} as const
export const MOST_OPS = 2048
/** Bytes that have one bit of `lines`. */
export const LINE = 64

/** Handlers that are no variants. `cold`: `step` executes the instruction. `go`: no instruction, but the next one is at the target. */
export const Pseudo = { cold: 0, go: 1, count: 2 } as const
