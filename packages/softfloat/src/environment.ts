/**
 * The sticky exception flags, with the bits of RISC-V's `fflags` (Unprivileged ISA, 20.2): inexact, underflow,
 * overflow, division by zero, invalid operation.
 */
export const flag: { readonly NX: 1; readonly UF: 2; readonly OF: 4; readonly DZ: 8; readonly NV: 16 } = {
  NX: 1,
  UF: 2,
  OF: 4,
  DZ: 8,
  NV: 16,
}

/**
 * The rounding modes, with the encoding of RISC-V's `frm` (Unprivileged ISA, 20.2): to nearest with ties to even,
 * towards zero, down, up, to nearest with ties away from zero.
 */
export const roundingMode: { readonly RNE: 0; readonly RTZ: 1; readonly RDN: 2; readonly RUP: 3; readonly RMM: 4 } = {
  RNE: 0,
  RTZ: 1,
  RDN: 2,
  RUP: 3,
  RMM: 4,
}
