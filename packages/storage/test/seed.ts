/** Where the random tests of this package begin; `SEED` in the environment gives others. What fails says which seed it had, or had this one. */
export const SEED: number = Number(process.env['SEED'] ?? 1)
