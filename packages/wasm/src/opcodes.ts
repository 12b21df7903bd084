/** Names of instructions in the text format, by opcode (WebAssembly core specification 2.0, sections 5.4 and 6.5). */

const words = (text: string): readonly string[] => text.trim().split(/\s+/)

/** The opcode of the first name of a run of them. */
const FIRST_ACCESS = 0x28
const FIRST_NUMERIC = 0x45
const FIRST_CONVERSION = 0xa7

const accesses = words(`
  i32.load i64.load f32.load f64.load i32.load8_s i32.load8_u i32.load16_s i32.load16_u
  i64.load8_s i64.load8_u i64.load16_s i64.load16_u i64.load32_s i64.load32_u
  i32.store i64.store f32.store f64.store i32.store8 i32.store16 i64.store8 i64.store16 i64.store32`)

const comparisons = (type: string): string => words('eqz eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u').map((name) => `${type}.${name}`).join(' ')
const floatComparisons = (type: string): string => words('eq ne lt gt le ge').map((name) => `${type}.${name}`).join(' ')
const integers = (type: string): string =>
  words('clz ctz popcnt add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr').map((name) => `${type}.${name}`).join(' ')
const floats = (type: string): string =>
  words('abs neg ceil floor trunc nearest sqrt add sub mul div min max copysign').map((name) => `${type}.${name}`).join(' ')

const numerics = words(`
  ${comparisons('i32')} ${comparisons('i64')} ${floatComparisons('f32')} ${floatComparisons('f64')}
  ${integers('i32')} ${integers('i64')} ${floats('f32')} ${floats('f64')}
  i32.wrap_i64 i32.trunc_f32_s i32.trunc_f32_u i32.trunc_f64_s i32.trunc_f64_u
  i64.extend_i32_s i64.extend_i32_u i64.trunc_f32_s i64.trunc_f32_u i64.trunc_f64_s i64.trunc_f64_u
  f32.convert_i32_s f32.convert_i32_u f32.convert_i64_s f32.convert_i64_u f32.demote_f64
  f64.convert_i32_s f64.convert_i32_u f64.convert_i64_s f64.convert_i64_u f64.promote_f32
  i32.reinterpret_f32 i64.reinterpret_f64 f32.reinterpret_i32 f64.reinterpret_i64
  i32.extend8_s i32.extend16_s i64.extend8_s i64.extend16_s i64.extend32_s`)

const unary: ReadonlySet<string> = new Set(words('eqz clz ctz popcnt abs neg ceil floor trunc nearest sqrt'))

/** Instructions behind the prefix 0xfc, with how many operands they take and how many zero bytes follow. */
const prefixed: ReadonlyMap<number, { readonly name: string; readonly operands: number; readonly zeros: number }> = new Map([
  ...words('i32.trunc_sat_f32_s i32.trunc_sat_f32_u i32.trunc_sat_f64_s i32.trunc_sat_f64_u i64.trunc_sat_f32_s i64.trunc_sat_f32_u i64.trunc_sat_f64_s i64.trunc_sat_f64_u')
    .map((name, i) => [i, { name, operands: 1, zeros: 0 }] as const),
  [10, { name: 'memory.copy', operands: 3, zeros: 2 }],
  [11, { name: 'memory.fill', operands: 3, zeros: 1 }],
])

/** A load or store: its name, and the bytes it accesses. */
export function accessOf(opcode: number): { readonly name: string; readonly bytes: number; readonly store: boolean } | null {
  const name = accesses[opcode - FIRST_ACCESS]
  if (name === undefined) return null
  const bits = /(?:load|store)([0-9]+)/.exec(name)?.[1] ?? name.slice(1, 3)
  return { name, bytes: Number(bits) / 8, store: name.includes('store') }
}

/** An instruction that takes only operands, and gives one value. */
export function numericOf(opcode: number): { readonly name: string; readonly operands: 1 | 2 } | null {
  const name = numerics[opcode - FIRST_NUMERIC]
  if (name === undefined) return null
  return { name, operands: opcode >= FIRST_CONVERSION || unary.has(name.slice(4)) ? 1 : 2 }
}

/** An instruction behind the prefix 0xfc. */
export function prefixedOf(opcode: number): { readonly name: string; readonly operands: number; readonly zeros: number } | null {
  return prefixed.get(opcode) ?? null
}
