import { machinistError } from '@machinist/api'
import type { ModuleBuilder } from '@machinist/wasm'
import { f64 } from '@machinist/wasm'
import { emitAdd } from './add.ts'
import { emitCompare } from './compare.ts'
import { emitFormatConversions, emitIntegerConversions } from './convert.ts'
import { emitDivide, exactQuotient32, exactQuotient64 } from './divide.ts'
import { binary32, binary64, type FloatType, type Format } from './format.ts'
import { emitFused32, emitFused64 } from './fused.ts'
import type { Kit } from './kit.ts'
import { emitMultiply, exactProduct32, exactProduct64 } from './multiply.ts'
import { canonical, type NanRules, x86 } from './nan.ts'
import { emitRoundPack, emitShared } from './round.ts'
import { emitSquareRoot, exactRoot32, exactRoot64 } from './square-root.ts'
import type { BitsType, SoftFloat, SoftfloatOptions } from './types.ts'

const nanRules: Readonly<Record<SoftfloatOptions['nan'], NanRules>> = { canonical, x86 }

/**
 * Emits IEEE 754-2019 arithmetic for binary32 and binary64 into a module: correct rounding in five modes and exact
 * exception flags, with tininess detected after rounding. The module must have a memory.
 *
 * @param m - A module whose imports are complete; about seventy functions are added to it.
 * @returns References for `call`, and emitters that write the fast paths in place.
 * @throws a typed error, `'softfloat'`, when `options.flags` is not an address.
 */
export function emitSoftfloat(m: ModuleBuilder, options: SoftfloatOptions): SoftFloat {
  const { flags } = options
  if (!Number.isInteger(flags) || flags < 0 || flags > 0xffffffff) {
    throw machinistError({ code: 'softfloat', part: 'flags', value: flags, remedy: 'Give the address of a byte, from 0 to 2^32 - 1' }, 'is no address')
  }
  const environment = { flags, nan: nanRules[options.nan], trapped: options.trapped === true }
  const shared = emitShared(m)
  const kitFor = <F extends FloatType, I extends BitsType>(format: Format<F, I>): Kit<F, I> => ({
    m,
    format,
    ...environment,
    shared,
    roundPack: emitRoundPack(m, environment, shared, format),
  })
  const k32 = kitFor(binary32)
  const k64 = kitFor(binary64)

  const add32 = emitAdd(k32)
  const mul32 = emitMultiply(k32, exactProduct32(k32))
  const div32 = emitDivide(k32, exactQuotient32(k32))
  const sqrt32 = emitSquareRoot(k32, exactRoot32(k32))
  const fma32 = emitFused32(k32)
  const add64 = emitAdd(k64)
  const mul64 = emitMultiply(k64, exactProduct64(k64))
  const div64 = emitDivide(k64, exactQuotient64(k64))
  const sqrt64 = emitSquareRoot(k64, exactRoot64(k64))
  const fma64 = emitFused64(k64)
  const { narrow, widen } = emitFormatConversions(k32, k64)
  return {
    f32: {
      add: add32.add,
      sub: add32.sub,
      mul: mul32.call,
      div: div32.call,
      sqrt: sqrt32.call,
      fma: fma32.call,
      ...emitCompare(k32),
      ...emitIntegerConversions(k32, f64.promote),
      toF64: widen,
      inline: { ...add32.inline, mul: mul32.inline, div: div32.inline, sqrt: sqrt32.inline, fma: fma32.inline },
    },
    f64: {
      add: add64.add,
      sub: add64.sub,
      mul: mul64.call,
      div: div64.call,
      sqrt: sqrt64.call,
      fma: fma64.call,
      ...emitCompare(k64),
      ...emitIntegerConversions(k64, (a) => a),
      toF32: narrow,
      inline: { ...add64.inline, mul: mul64.inline, div: div64.inline, sqrt: sqrt64.inline, fma: fma64.inline },
    },
  }
}
