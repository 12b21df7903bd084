import { call, type Expr, i32, i64, type Local } from '@machinist/wasm'
import type { Stage, Value } from '../emit/stage.ts'
import { group, type Instruction } from '../isa/form.ts'

/** The environment of the x87 FPU, and all of it, to memory and from there (SDM volume 1, 8.1.10). In every mode they have the formats of protected mode. */
const { instructions, define } = group('x87')
export const x87Environment: readonly Instruction[] = instructions

const CONTROL = 0x37f
const MASKS = 0x3f
const REGISTERS = 8

/** With 16 bits seven words, else seven doublewords. */
const unit = (s: Stage): 2 | 4 => s.operandSize === 2 ? 2 : 4
const plus = (s: Stage, bytes: number): Value => s.truncate(i64.add(s.offset(), bytes), s.addressSize)

function storeEnvironment(s: Stage): void {
  const size = unit(s)
  const selectors = size === 4 ? i64.shl(i64.extendU(s.getX87('opcode')), 16) : i64.const(0)
  // The upper halves of words are ones.
  const word = (value: Expr<'i32'> | number): Value => size === 4 ? i64.or(i64.extendU(typeof value === 'number' ? i32.const(value) : value), 0xffff_0000) : i64.extendU(typeof value === 'number' ? i32.const(value) : value)
  const fields = [word(s.getX87('control')), word(s.getX87('status')), word(call(s.float.x87.tagWord)), s.x87Pointer('instruction'), selectors, s.x87Pointer('operand'), word(0)]
  fields.forEach((value, i) => s.store(plus(s, size * i), s.truncate(value, size), size))
}

/** All of it is read before anything changes. Where alignment is checked, its words are, and the registers behind it are not (SDM volume 3, table 7-7). */
function loadEnvironment(s: Stage): readonly Local<'i64'>[] {
  return Array.from({ length: 7 }, (_, i) => s.load(plus(s, unit(s) * i), unit(s)))
}
function takeEnvironment(s: Stage, fields: readonly Local<'i64'>[]): void {
  const [control, status, tags, instruction, selectors, operand] = fields as unknown as readonly [Value, Value, Value, Value, Value, Value]
  const low = (value: Value): Expr<'i32'> => i32.and(i32.wrap(value), 0xffff)
  s.setX87({ control: i32.or(i32.and(low(control), 0x1f3f), 0x40), status: low(status), opcode: unit(s) === 4 ? i32.and(i32.wrap(i64.shrU(selectors, 16)), 0x7ff) : i32.const(0) })
  s.setX87Pointer('instruction', instruction)
  s.setX87Pointer('operand', operand)
  s.f.do(call(s.float.x87.setTagWord, low(tags)))
  s.f.do(call(s.float.x87.summarize))
}

define('fldenv', ['D9/4 Mn; wide'], (s) => {
  s.beginX87()
  takeEnvironment(s, loadEnvironment(s))
})
/** Then all exceptions are masked. */
define('fnstenv', ['D9/6 Mn; wide'], (s) => {
  s.writable(s.offset(), 1)
  s.writable(plus(s, 7 * unit(s) - 1), 1)
  storeEnvironment(s)
  s.setX87({ control: i32.or(s.getX87('control'), MASKS) })
  s.f.do(call(s.float.x87.summarize))
})
define('frstor', ['DD/4 Mn; wide'], (s) => {
  s.beginX87()
  const environment = loadEnvironment(s)
  const from = 7 * unit(s)
  const numbers: (readonly [Local<'i64'>, Local<'i64'>])[] = []
  s.anyAlignment(() => {
    for (let i = 0; i < REGISTERS; i++) numbers.push([s.load(plus(s, from + 10 * i), 8), s.load(plus(s, from + 10 * i + 8), 2)])
  })
  takeEnvironment(s, environment)
  numbers.forEach(([significand, exponent], i) => {
    const at = s.let(call(s.float.x87.register, i))
    s.f.do(i64.store(at, significand))
    s.f.do(i64.store16(at, exponent, 8))
  })
})
/** Then it is as after FNINIT. */
define('fnsave', ['DD/6 Mn; wide'], (s) => {
  const from = 7 * unit(s)
  s.writable(s.offset(), 1)
  s.writable(plus(s, from + 10 * REGISTERS - 1), 1)
  storeEnvironment(s)
  s.anyAlignment(() => {
    for (let i = 0; i < REGISTERS; i++) {
      const at = s.let(call(s.float.x87.register, i))
      s.store(plus(s, from + 10 * i), i64.load(at), 8)
      s.store(plus(s, from + 10 * i + 8), i64.load16U(at, 8), 2)
    }
  })
  s.setX87({ control: i32.const(CONTROL), status: i32.const(0), tags: i32.const(0), opcode: i32.const(0) })
  s.setX87Pointer('instruction', i64.const(0))
  s.setX87Pointer('operand', i64.const(0))
})
