/** Functions whose results are exact: every engine has the same. */
export const exact: readonly string[] = ['sqrt', 'floor', 'ceil', 'trunc', 'round', 'fround', 'remainder', 'toInt32', 'text', 'fixed', 'parse']

/** All that an engine takes from a C library, and what it has of its own in its place. */
export const functions: readonly (readonly [string, (x: number, y: number) => number])[] = [
  ['sqrt', (x) => Math.sqrt(x)], ['floor', (x) => Math.floor(x)], ['ceil', (x) => Math.ceil(x)], ['trunc', (x) => Math.trunc(x)], ['round', (x) => Math.round(x)], ['fround', (x) => Math.fround(x)],
  ['remainder', (x, y) => x % y], ['toInt32', (x) => x | 0], ['text', (x) => Number(String(x))], ['fixed', (x) => Number((x % 1e6).toFixed(3))], ['parse', (x) => Number(x.toExponential(9))],
  ['exp', (x) => Math.exp(x % 700)], ['expm1', (x) => Math.expm1(x % 700)], ['log', (x) => Math.log(Math.abs(x))], ['log2', (x) => Math.log2(Math.abs(x))], ['log10', (x) => Math.log10(Math.abs(x))], ['log1p', (x) => Math.log1p(Math.abs(x))],
  ['pow', (x, y) => (Math.abs(x) % 1e3) ** (y % 50)], ['cbrt', (x) => Math.cbrt(x)], ['hypot', (x, y) => Math.hypot(x % 1e9, y % 1e9)],
  ['sin', (x) => Math.sin(x)], ['cos', (x) => Math.cos(x)], ['tan', (x) => Math.tan(x % 1e6)], ['asin', (x) => Math.asin(x % 1)], ['acos', (x) => Math.acos(x % 1)], ['atan', (x) => Math.atan(x)], ['atan2', (x, y) => Math.atan2(x, y)],
  ['sinh', (x) => Math.sinh(x % 700)], ['cosh', (x) => Math.cosh(x % 700)], ['tanh', (x) => Math.tanh(x)], ['asinh', (x) => Math.asinh(x)], ['acosh', (x) => Math.acosh(1 + Math.abs(x))], ['atanh', (x) => Math.atanh(x % 1)],
]

const special: readonly number[] = [0, -0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 2 ** 31, 2 ** 32 + 0.5, 2 ** 52 + 0.5, 2 ** 53, -(2 ** 53), 5e-324, 2 ** -1022, 1.7976931348623157e308, 11583243.75, Infinity, -Infinity, NaN]
const COUNT = 60

/** Pairs of numbers of all sizes, always the same. */
export function inputs(): [number, number][] {
  const view = new DataView(new ArrayBuffer(8))
  let state = 0x2545_f491
  const word = (): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
  const any = (kind: number): number => {
    view.setUint32(0, word())
    view.setUint32(4, word())
    if (kind === 0) return view.getFloat64(0)
    return kind === 1 ? view.getInt32(0) / 1024 : view.getInt32(0) / 2 ** 31
  }
  return [...special.map((x, index): [number, number] => [x, special[(index * 7 + 3) % special.length] ?? 0]), ...Array.from({ length: COUNT }, (_, index): [number, number] => [any(index % 3), any((index >> 1) % 3)])]
}

/** A double as 16 digits; all that are no number are one. */
export function bitsOf(value: number): string {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, Number.isNaN(value) ? NaN : value)
  return Number.isNaN(value) ? 'nan' : view.getUint32(0).toString(16).padStart(8, '0') + view.getUint32(4).toString(16).padStart(8, '0')
}
