import { Csr } from '../../csr-numbers.ts'

/** Number of each register, at the index that generated code knows it by; index 0 is the one that does not exist. */
export const csrOrder: readonly number[] = [
  -1,
  ...Object.entries(Csr)
    .filter(([name]) => !/^(pmp|hpm|mhpm)/.test(name))
    .map(([, number]) => number),
  ...range(0, 8).map((i) => Csr.pmpcfg0 + 2 * i),
  ...range(0, 64).map((i) => Csr.pmpaddr0 + i),
  ...range(0, 29).map((i) => Csr.hpmcounter3 + i),
  ...range(0, 29).map((i) => Csr.mhpmcounter3 + i),
  ...range(0, 29).map((i) => Csr.mhpmevent3 + i),
]

const indexes: ReadonlyMap<number, number> = new Map(csrOrder.map((number, i) => [number, i]))

/** The index of CSR `number`; 0 when it does not exist. */
export function csrIndex(number: number): number {
  return indexes.get(number) ?? 0
}

/** The numbers from `from` up to, not including, `to`. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i)
}
