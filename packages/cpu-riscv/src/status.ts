/** Fields of `mstatus` (privileged specification 20240411, 3.1.6). */
export const Status: { readonly SIE: bigint; readonly MIE: bigint; readonly SPIE: bigint; readonly MPIE: bigint; readonly SPP: bigint; readonly MPP: bigint; readonly FS: bigint; readonly MPRV: bigint; readonly SUM: bigint; readonly MXR: bigint; readonly TVM: bigint; readonly TW: bigint; readonly TSR: bigint; readonly UXL: bigint; readonly SXL: bigint; readonly SD: bigint } = {
  SIE: 1n << 1n,
  MIE: 1n << 3n,
  SPIE: 1n << 5n,
  MPIE: 1n << 7n,
  SPP: 1n << 8n,
  MPP: 3n << 11n,
  FS: 3n << 13n,
  MPRV: 1n << 17n,
  SUM: 1n << 18n,
  MXR: 1n << 19n,
  TVM: 1n << 20n,
  TW: 1n << 21n,
  TSR: 1n << 22n,
  UXL: 3n << 32n,
  SXL: 3n << 34n,
  SD: -(1n << 63n),
}

/** Both XL fields say 64 bits, and cannot be changed. */
export const XL_64: bigint = (2n << 32n) | (2n << 34n)

/** Fields of `menvcfg` and `senvcfg` (3.1.18 and 10.1.10). */
export const Envcfg: { readonly FIOM: bigint; readonly CBIE: bigint; readonly CBCFE: bigint; readonly CBZE: bigint; readonly ADUE: bigint; readonly STCE: bigint } = {
  FIOM: 1n,
  CBIE: 3n << 4n,
  CBCFE: 1n << 6n,
  CBZE: 1n << 7n,
  ADUE: 1n << 61n,
  STCE: -(1n << 63n),
}

/** `misa` (3.1.1): RV64 with A, B (Zba, Zbb and Zbs), C, D, F, I, M, S, U. It is read-only, which WARL allows. */
export const MISA: bigint = (() => {
  let value = 2n << 62n
  for (const letter of 'ABCDFIMSU') value |= 1n << BigInt(letter.charCodeAt(0) - 65)
  return value
})()
