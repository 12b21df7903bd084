/** Exception codes of `mcause` and `scause` (privileged specification 20240411, table 14). */
export const Cause = {
  instructionMisaligned: 0,
  instructionAccess: 1,
  illegalInstruction: 2,
  breakpoint: 3,
  loadMisaligned: 4,
  loadAccess: 5,
  storeMisaligned: 6,
  storeAccess: 7,
  ecallFromU: 8,
  ecallFromS: 9,
  ecallFromM: 11,
  instructionPageFault: 12,
  loadPageFault: 13,
  storePageFault: 15,
} as const

/** Interrupt codes, which are also their bits in `mip` and `mie`. */
export const Interrupt = { ssip: 1, msip: 3, stip: 5, mtip: 7, seip: 9, meip: 11 } as const

/** Privilege levels. */
export const Mode = { user: 0, supervisor: 1, machine: 3 } as const
