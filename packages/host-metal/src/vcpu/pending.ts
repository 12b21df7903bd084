/** Bits of `hvip` (privileged specification, 8.2.3). In `vsie` and `vsip` they are one to the right, where `sie` has them. */
export const Pending = { software: 0x4, timer: 0x40, external: 0x400 } as const
